// Sockets in select: what loses has taken nothing from the kernel, and what is waited for again
// comes.
#include "net/helpers.hpp"

namespace {

class NetSelect : public EveryRuntime {};
EVERY_RUNTIME(NetSelect);

constexpr int rounds = sanitized ? 2'000 : 20'000;

TEST_P(NetSelect, losing_reads_take_no_bytes_and_leave_the_buffer_alone_b31) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto writer = rt::spawn(
            [](rt::tcp_stream out) -> rt::io_task<> {
                for (int i = 0; i < rounds; ++i) {
                    auto byte = static_cast<std::byte>(i % 251);
                    co_await out.write_all(std::span(&byte, 1)).or_return();
                    if (i % 64 == 0) co_await rt::yield_now();
                }
                co_return {};
            },
            std::move(near));
        constexpr auto untouched = std::byte{0xff};
        std::size_t got = 0, lost = 0;
        for (std::size_t round = 0;; ++round) {
            std::byte buffer[3] = {untouched, untouched, untouched};
            auto first = co_await rt::select(far.read(buffer), rt::sleep(0ms));
            if (first.index() == 1) {
                ++lost;
                for (auto b : buffer) EXPECT_EQ(b, untouched);
                if (round % 16 == 0) co_await rt::yield_now();
                continue;
            }
            auto n = std::get<0>(first).value();
            if (n == 0) break;
            for (std::size_t i = 0; i < n; ++i, ++got)
                EXPECT_EQ(std::to_integer<int>(buffer[i]), static_cast<int>(got % 251));
        }
        EXPECT_EQ(got, static_cast<std::size_t>(rounds));
        EXPECT_GT(lost, 0u);
        (co_await writer).value();
    });
}

TEST_P(NetSelect, armed_reads_that_lose_a_race_take_no_bytes_b31) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        std::size_t got = 0, sent = 0;
        for (int i = 0; i < rounds / 10; ++i) {
            // The task ends at about the time at which its byte comes.
            auto child = rt::spawn(
                [](rt::tcp_stream& out, std::byte b) -> rt::task<> {
                    (co_await out.write_all(std::span(&b, 1))).value();
                },
                std::ref(near), static_cast<std::byte>(i % 251));
            ++sent;
            std::byte buffer[8];
            auto first = co_await rt::select(far.read(buffer), child);
            if (first.index() == 1) continue;
            auto n = std::get<0>(first).value();
            for (std::size_t k = 0; k < n; ++k, ++got)
                EXPECT_EQ(std::to_integer<int>(buffer[k]), static_cast<int>(got % 251));
            co_await child;
        }
        near.shutdown(rt::shutdown_side::write).value();
        auto rest = co_await read_to_end(far);
        for (auto c : rest) {
            EXPECT_EQ(static_cast<unsigned char>(c), got % 251);
            ++got;
        }
        EXPECT_EQ(got, sent);
    });
}

TEST_P(NetSelect, losing_writes_have_written_nothing_b31) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        near.options().send_buffer(4096).value();
        far.options().receive_buffer(4096).value();
        auto reader = rt::spawn(
            [](rt::tcp_stream in) -> rt::task<std::string> { co_return co_await read_to_end(in); },
            std::move(far));
        std::string expected;
        std::size_t lost = 0;
        for (int i = 0; i < rounds / 20; ++i) {
            std::string chunk(700, static_cast<char>('a' + i % 26));
            auto first = co_await rt::select(near.write(bytes_of(chunk)), rt::sleep(0ms));
            if (first.index() == 0) {
                expected += chunk.substr(0, std::get<0>(first).value());
            } else {
                ++lost;
                if (lost % 8 == 0) co_await rt::yield_now();
            }
        }
        near.shutdown(rt::shutdown_side::write).value();
        auto all = co_await reader;
        EXPECT_EQ(all.size(), expected.size());
        EXPECT_TRUE(all == expected);
        EXPECT_GT(lost, 0u);
    });
}

TEST_P(NetSelect, losing_accepts_have_accepted_nothing_b31) {
    static constexpr int connections = sanitized ? 50 : 300;
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        auto clients = rt::spawn(
            [](rt::endpoint to) -> rt::task<> {
                for (int i = 0; i < connections; ++i) {
                    auto stream = (co_await rt::tcp_stream::connect(to)).or_throw();
                    auto byte = static_cast<std::byte>(i % 251);
                    (co_await stream.write_all(std::span(&byte, 1))).value();
                    // Not before it is served: at most a few wait.
                    EXPECT_EQ(co_await read_to_end(stream), "");
                }
            },
            listener.local().value());
        int served = 0;
        std::size_t lost = 0;
        while (served < connections) {
            auto first = co_await rt::select(listener.accept(), rt::sleep(0ms));
            if (first.index() == 1) {
                ++lost;
                co_await rt::yield_now();
                continue;
            }
            auto [stream, from] = std::move(std::get<0>(first)).or_throw();
            EXPECT_TRUE(from == stream.peer().value());
            auto text = co_await read_text(stream, 1);
            EXPECT_EQ(static_cast<unsigned char>(text[0]), served % 251);
            ++served;
        }
        co_await clients;
        EXPECT_EQ(served, connections);
        EXPECT_GT(lost, 0u);
    });
}

TEST_P(NetSelect, a_read_that_lost_can_be_waited_for_without_select) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        for (int i = 0; i < 200; ++i) {
            std::byte buffer[4];
            auto tick = soon();
            auto first = co_await rt::select(far.read(buffer), tick);
            EXPECT_EQ(first.index(), 1u);
            (co_await near.write_all(bytes_of("ab"))).value();
            EXPECT_EQ((co_await far.read(buffer)).value(), 2u);
        }
    });
}

TEST_P(NetSelect, both_directions_of_one_stream_are_arms) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        for (int i = 0; i < 200; ++i) {
            std::byte buffer[4];
            auto first = co_await rt::select(far.read(buffer), far.write(bytes_of("x")));
            EXPECT_EQ(first.index(), 1u);
        }
        EXPECT_EQ(co_await read_text(near, 200), std::string(200, 'x'));
    });
}

}  // namespace
