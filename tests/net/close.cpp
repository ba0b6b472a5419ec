// Closing and stopping with operations in flight: they end, and disturb nobody who comes after.
#include "net/helpers.hpp"

#include <unistd.h>

namespace {

class Close : public EveryRuntime {};
EVERY_RUNTIME(Close);

rt::task<std::error_code> reads(rt::tcp_stream& s) {
    std::byte buffer[16];
    co_return (co_await s.read(buffer)).error();
}
rt::task<std::error_code> reads_in_select(rt::tcp_stream& s) {
    std::byte buffer[16];
    auto first = co_await rt::select(s.read(buffer), rt::sleep(24h));
    co_return std::get<0>(first).error();
}
rt::task<std::error_code> fills(rt::tcp_stream& s) {
    static const auto data = pattern(16 << 20);  // more than the kernel takes
    co_return (co_await s.write_all(data)).error();
}
rt::task<std::error_code> accepts(rt::tcp_listener& l) { co_return (co_await l.accept()).error(); }

TEST_P(Close, operations_in_flight_end_with_one_known_error_b75) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 20; ++i) {
            auto listener = co_await listen();
            auto [near, far] = co_await make_pair_of(listener);
            auto [one, two] = co_await make_pair_of(listener);
            auto r = rt::spawn(reads(near));
            auto w = rt::spawn(fills(near));
            auto s = rt::spawn(reads_in_select(one));
            auto a = rt::spawn(accepts(listener));
            if (i % 2) co_await until_in_flight(3);
            if (i % 4 > 1) co_await settle_down();
            near.close();
            one.close();
            listener.close();
            EXPECT_EQ(co_await r, rt::errc::closed);
            EXPECT_EQ(co_await w, rt::errc::closed);
            EXPECT_EQ(co_await s, rt::errc::closed);
            EXPECT_EQ(co_await a, rt::errc::closed);
            EXPECT_EQ(co_await reads(near), rt::errc::closed);
        }
    });
}

TEST_P(Close, a_reused_descriptor_gets_only_its_own_bytes_b75) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        for (int i = 0; i < 30; ++i) {
            auto old = co_await make_pair_of(listener);
            auto r = rt::spawn(reads(old.far));
            co_await until_in_flight(1);
            old.far.close();
            auto gone = rt::spawn(
                [](rt::tcp_stream& peer) -> rt::task<> {
                    (void)co_await peer.write_all(bytes_of("for the old one"));
                },
                std::ref(old.near));
            EXPECT_EQ(co_await r, rt::errc::closed);
            co_await gone;
            old = tcp_pair();
            auto fresh = co_await make_pair_of(listener);
            (co_await fresh.near.write_all(bytes_of("new"))).value();
            EXPECT_EQ(co_await read_text(fresh.far, 3), "new");
        }
    });
}

// The arm of a select named an object that its closing had freed.
TEST_P(Close, the_last_handle_may_go_while_an_arm_waits_b75) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 20; ++i) {
            auto [near, far] = co_await make_tcp_pair();
            auto waits = rt::spawn(reads_in_select(far));
            co_await settle_down();
            {
                auto last = std::move(far);
            }
            EXPECT_EQ(co_await waits, rt::errc::closed);
        }
    });
}

TEST_P(Close, a_stop_of_a_connect_gives_the_descriptor_back) {
    run([]() -> rt::task<> {
        // A full queue of connections drops what comes, so that a connect waits.
        auto listener = co_await listen({.backlog = 0});
        auto first = co_await connect_to(listener);
        auto before = open_descriptors();
        auto connects = [](rt::endpoint to) -> rt::task<> {
            (void)co_await rt::tcp_stream::connect(to);
        };
        for (int i = 0; i < 5; ++i) {
            auto waits = rt::spawn(connects(listener.local().value()));
            co_await until([&] { return open_descriptors() > before; });
            co_await settle_down();
            EXPECT_FALSE(waits.done());
            waits.stop();
            EXPECT_TRUE((co_await waits.outcome()).stopped());
            co_await until([&] { return open_descriptors() == before; });
        }
        auto late = co_await rt::timeout(1ms, rt::tcp_stream::connect(listener.local().value()));
        EXPECT_EQ(late.error(), rt::errc::timed_out);
    });
}

// epoll kept the registration while a copy of the descriptor was open elsewhere, and named an
// object that was gone.
TEST_P(Close, a_copy_in_another_process_does_not_disturb_the_successor_b75) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        for (int i = 0; i < 10; ++i) {
            auto old = co_await make_pair_of(listener);
            auto r = rt::spawn(reads(old.far));
            co_await until_in_flight(1);
            int copy = ::dup(static_cast<int>(old.far.handle().native()));  // as a fork would
            old.far.close();
            EXPECT_EQ(co_await r, rt::errc::closed);
            old.far = rt::tcp_stream();
            auto fresh = co_await make_pair_of(listener);
            auto waits = rt::spawn(read_text(fresh.far, 3));
            (co_await old.near.write_all(bytes_of("stale"))).value();
            old.near = rt::tcp_stream();
            co_await settle_down();
            (co_await fresh.near.write_all(bytes_of("new"))).value();
            EXPECT_EQ(co_await waits, "new");
            ::close(copy);
        }
    });
}

TEST_P(Close, a_stopped_read_took_nothing_b75) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        for (int i = 0; i < 50; ++i) {
            auto r = rt::spawn(reads(far));
            if (i % 2) co_await until_in_flight(1);
            r.stop();
            EXPECT_TRUE((co_await r.outcome()).stopped());
        }
        (co_await near.write_all(bytes_of("kept"))).value();
        EXPECT_EQ(co_await read_text(far, 4), "kept");
    });
}

TEST_P(Close, a_stopped_accept_leaves_the_connection_to_the_next_b74) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        for (int i = 0; i < 20; ++i) {
            auto a = rt::spawn(accepts(listener));
            if (i % 2) co_await until_in_flight(1);
            a.stop();
            EXPECT_TRUE((co_await a.outcome()).stopped());
        }
        auto [near, far] = co_await make_pair_of(listener);
        (co_await near.write_all(bytes_of("hi"))).value();
        EXPECT_EQ(co_await read_text(far, 2), "hi");
    });
}

TEST_P(Close, a_stopped_write_lets_the_buffer_go) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto w = rt::spawn(fills(near));
        co_await until_in_flight(1);
        w.stop();
        EXPECT_TRUE((co_await w.outcome()).stopped());
        near.shutdown(rt::shutdown_side::write).value();
        auto got = co_await read_to_end(far);
        auto sent = pattern(16 << 20);
        EXPECT_TRUE(got == text_of(std::span(sent).first(got.size())));
    });
}

TEST(NetMisuse, two_readers_at_once_on_one_stream_stop_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    for (auto kind : {rt::reactor_kind::io_uring, rt::reactor_kind::epoll}) {
        auto body = []() -> rt::task<> {
            auto [near, far] = co_await make_tcp_pair();
            co_await rt::join(reads(far), reads(far));
        };
        auto go = [&] {
            rt::runtime::builder().current_thread().reactor(kind).build().block_on(body());
        };
        EXPECT_DEATH(go(), "rt: misuse: two tasks read from one stream");
    }
}

}  // namespace
