// TCP streams: bytes there and back, their ends, halves and options.
#include "net/helpers.hpp"

#include <array>

namespace {

class Tcp : public EveryRuntime {};
EVERY_RUNTIME(Tcp);

TEST_P(Tcp, what_is_written_comes_back_in_order) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto echo = rt::spawn(
            [](rt::tcp_stream peer) -> rt::io_task<std::uint64_t> {
                auto [in, out] = std::move(peer).split();
                co_return co_await rt::copy(in, out);
            },
            std::move(far));
        auto sent = pattern(1 << 20);
        auto writes = [](rt::tcp_stream& out, std::vector<std::byte>& data) -> rt::task<> {
            (co_await out.write_all(data)).value();
            out.shutdown(rt::shutdown_side::write).value();
        };
        // Reading and writing one stream at once (b73).
        auto [done, back] = co_await rt::join(writes(near, sent), read_to_end(near));
        EXPECT_TRUE(back == text_of(sent));
        EXPECT_EQ((co_await echo).value(), sent.size());
    });
}

// A peer that never pauses: on io_uring each read was begun, had its bytes before the stop could
// withdraw it, and went on.
TEST_P(Tcp, a_stop_ends_a_task_whose_reads_always_have_bytes_b24) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        std::atomic<int> reads = 0;
        auto reader = rt::spawn([](rt::tcp_stream from, std::atomic<int>& reads) -> rt::task<> {
            std::array<std::byte, 64> buffer;
            for (;; ++reads) (void)co_await from.read(buffer);
        }(std::move(near), reads));
        auto writer = rt::spawn(
            [](rt::tcp_stream to) -> rt::task<> {
                std::array<std::byte, 4096> bytes{};
                while (co_await to.write_all(bytes)) continue;
            },
            std::move(far));
        while (reads < 1000) co_await rt::yield_now();
        reader.stop();
        EXPECT_TRUE((co_await reader.outcome()).stopped());
        co_await writer;
    });
}

TEST_P(Tcp, vectored_transfers_keep_order_and_count_when_they_are_partial_b63) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        near.options().send_buffer(4096).value();
        auto sent = pattern(300'000);
        auto writes = [](rt::tcp_stream& out, std::span<const std::byte> all) -> rt::task<> {
            while (!all.empty()) {
                std::array<std::span<const std::byte>, 20> parts;  // more than one call takes
                std::size_t at = 0;
                for (std::size_t i = 0; i < parts.size(); ++i) {
                    auto n = std::min(all.size() - at, i * 997);  // the first is empty
                    parts[i] = all.subspan(at, n);
                    at += n;
                }
                auto n = (co_await out.write_vectored(parts)).value();
                EXPECT_GT(n, 0u);
                EXPECT_LE(n, at);
                all = all.subspan(n);
            }
            out.shutdown(rt::shutdown_side::write).value();
        };
        auto reads = [](rt::tcp_stream& in) -> rt::task<std::string> {
            std::string got;
            std::vector<std::byte> a(7), b(0), c(1000), d(3);
            for (;;) {
                std::array<std::span<std::byte>, 4> parts{a, b, c, d};
                auto n = (co_await in.read_vectored(parts)).value();
                if (n == 0) co_return got;
                for (auto part : parts) {
                    auto m = std::min(n, part.size());
                    got += text_of(part.first(m));
                    n -= m;
                }
            }
        };
        auto [done, got] = co_await rt::join(writes(near, sent), reads(far));
        EXPECT_TRUE(got == text_of(sent));
    });
}

TEST_P(Tcp, a_peek_leaves_the_bytes) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        (co_await near.write_all(bytes_of("peek"))).value();
        std::byte buffer[8];
        for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await far.peek(buffer)).value(), 4u);
        auto first = co_await rt::select(far.peek(buffer), rt::sleep(24h));
        EXPECT_EQ(std::get<0>(first).value(), 4u);
        EXPECT_EQ(co_await read_text(far, 4), "peek");
        near.shutdown(rt::shutdown_side::write).value();
        EXPECT_EQ((co_await far.peek(buffer)).value(), 0u);
        EXPECT_EQ((co_await far.read(buffer)).value(), 0u);
    });
}

TEST_P(Tcp, a_dropped_write_half_tells_the_end_and_the_read_half_goes_on_b73) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto [in, out] = std::move(near).split();
        EXPECT_TRUE(in.handle() == out.handle());
        {
            auto last = std::move(out);
            (co_await last.write_all(bytes_of("question"))).value();
        }
        EXPECT_EQ(co_await read_to_end(far), "question");
        (co_await far.write_all(bytes_of("answer"))).value();
        std::vector<std::byte> answer(6);
        (co_await rt::read_exact(in, answer)).value();
        EXPECT_EQ(text_of(answer), "answer");
    });
}

TEST_P(Tcp, halves_that_are_joined_again_are_one_stream_and_nothing_has_ended_b73) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto [in, out] = std::move(near).split();
        auto whole = rt::tcp_stream::unsplit(std::move(in), std::move(out));
        (co_await whole.write_all(bytes_of("still"))).value();
        EXPECT_EQ(co_await read_text(far, 5), "still");
        whole = rt::tcp_stream();
        EXPECT_EQ(co_await read_to_end(far), "");
    });
}

TEST_P(Tcp, shutdown_twice_and_after_a_reset_is_no_surprise_b73) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        EXPECT_TRUE(near.shutdown(rt::shutdown_side::write));
        EXPECT_TRUE(near.shutdown(rt::shutdown_side::write));
        EXPECT_TRUE(near.shutdown(rt::shutdown_side::both));
        EXPECT_EQ((co_await near.write(bytes_of("x"))).error(), std::errc::broken_pipe);
        reset(std::move(far));
        auto [one, two] = co_await make_tcp_pair();
        reset(std::move(two));
        std::byte buffer[1];
        EXPECT_EQ((co_await one.read(buffer)).error(), std::errc::connection_reset);
        EXPECT_TRUE(one.shutdown(rt::shutdown_side::write));
        EXPECT_TRUE(one.shutdown(rt::shutdown_side::both));
        EXPECT_EQ((co_await one.read(buffer)).value(), 0u);
    });
}

TEST_P(Tcp, options_are_set_and_told) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto o = near.options();
        for (bool on : {true, false}) {
            o.nodelay(on).value();
            EXPECT_EQ(o.nodelay().value(), on);
            o.keepalive(on).value();
            EXPECT_EQ(o.keepalive().value(), on);
            o.linger({.on = on, .time = 3s}).value();
            EXPECT_EQ(o.linger().value().on, on);
        }
        o.send_buffer(10'000).value();
        EXPECT_EQ(o.send_buffer().value(), 20'000u);
        o.receive_buffer(10'000).value();
        EXPECT_EQ(o.receive_buffer().value(), 20'000u);
        EXPECT_TRUE(near.peer().value() == far.local().value());
        EXPECT_TRUE(near.local().value() == far.peer().value());
    });
}

TEST_P(Tcp, a_refused_connection_is_an_error) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        auto nobody = listener.local().value();
        listener = rt::tcp_listener();
        auto refused = co_await rt::tcp_stream::connect(nobody);
        EXPECT_EQ(refused.error(), std::errc::connection_refused);
        auto nonsense = co_await rt::tcp_stream::connect("nonsense");
        EXPECT_EQ(nonsense.error(), rt::errc::invalid_address);
    });
}

}  // namespace
