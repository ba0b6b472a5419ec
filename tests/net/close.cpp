// Closing and stopping with operations in flight: they end, and disturb nobody who comes after.
#include "net/helpers.hpp"

#include <unistd.h>

#include <random>
#include <thread>

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
rt::task<> forever() { co_await rt::sleep(24h); }
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

/// The ends of a local pair, one of them as it is.
struct half_pair {
    rt::tcp_stream stream;
    int other;
};
half_pair make_half_pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {rt::tcp_stream(rt::io_handle(ends[0], rt::descriptor_kind::socket)), ends[1]};
}

// A select that gave way for its budget named an object that was gone.
TEST_P(Close, the_last_handle_may_go_while_a_select_or_a_read_gives_way_b75) {
    run([]() -> rt::task<> {
        for (bool in_select : {false, true}) {
            auto [near, far] = co_await make_tcp_pair();
            std::atomic<bool> made{false};
            auto tired = [](rt::tcp_stream& s, bool in_select,
                            std::atomic<bool>& made) -> rt::task<> {
                std::byte buffer[4];
                auto read = s.read(buffer);
                for (int i = 0; i < rt::operations_per_turn; ++i) co_await rt::consume_budget();
                made = true;
                if (in_select) {
                    (void)co_await rt::select(std::move(read), rt::sleep(24h));
                } else {
                    (void)co_await std::move(read);
                }
            };
            auto waits = rt::spawn(tired(far, in_select, made));
            co_await until([&] { return made.load(); });
            auto drops = rt::spawn(
                [](rt::tcp_stream& s) -> rt::task<> {
                    auto last = std::move(s);
                    co_return;
                },
                std::ref(far));
            co_await drops;
            near = rt::tcp_stream();
            (void)co_await waits;
        }
    });
}

TEST_P(Close, a_task_arm_may_drop_what_another_arm_waits_for_b75) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 10; ++i) {
            auto [near, far] = co_await make_tcp_pair();
            auto drops = [](rt::tcp_stream& s) -> rt::task<> {
                {
                    auto last = std::move(s);
                }
                co_await forever();
            };
            std::byte buffer[4];
            auto read = far.read(buffer);
            auto first =
                co_await rt::select(rt::biased, rt::allow_loss(drops(far)), std::move(read));
            EXPECT_EQ(std::get<1>(first).error(), rt::errc::closed);
        }
    });
}

// After a part was written the operation held nothing while it waited for its turn.
TEST_P(Close, a_stream_may_go_between_a_partial_write_and_the_next_b75) {
    run([]() -> rt::task<> {
        auto pair = make_half_pair();
        auto writes = rt::spawn(fills(pair.stream));
        co_await until_in_flight(1);
        auto drops = rt::spawn(
            [](rt::tcp_stream& s) -> rt::task<> {
                co_await rt::sleep(10ms);
                auto last = std::move(s);
            },
            std::ref(pair.stream));
        co_await settle_down();
        std::vector<char> buffer(1 << 20);
        while (::recv(pair.other, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
        }
        std::this_thread::sleep_for(20ms);  // timer and write are due in one turn
        co_await drops;
        (void)co_await writes.outcome();
        ::close(pair.other);
    });
}

// io_uring: a completion that a cancel had been queued for was delivered by a worker that then
// slept, with the task in its queue.
TEST_P(Close, a_read_that_is_stopped_by_another_thread_as_data_comes_always_ends_b24) {
    run([]() -> rt::task<> {
        constexpr int rounds = sanitized ? 300 : 3'000;
        std::atomic<int> round{0}, stopped{0};
        std::atomic<rt::join_handle<std::error_code>*> victim{nullptr};
        std::atomic<int> other{-1};
        std::thread stopper([&] {
            std::minstd_rand random(1);
            for (int i = 1; i <= rounds; ++i) {
                while (round.load() != i) std::this_thread::yield();
                (void)!::write(other, "x", 1);
                for (auto n = random() % 3000; n > 0; --n) (void)round.load();
                victim.load()->stop();
                stopped = i;
            }
        });
        for (int i = 1; i <= rounds; ++i) {
            auto pair = make_half_pair();
            auto h = rt::spawn(reads(pair.stream));
            co_await until_in_flight(1);
            victim = &h;
            other = pair.other;
            round = i;
            (void)co_await h.outcome();
            while (stopped.load() != i) co_await rt::yield_now();
            ::close(pair.other);
        }
        stopper.join();
    });
}

// io_uring: a stop that came when a poll had fired for nothing waited for a cancel that nobody had
// queued.
TEST_P(Close, an_accept_that_is_stopped_as_its_connection_is_taken_by_another_always_ends_b24) {
    run([]() -> rt::task<> {
        constexpr int rounds = sanitized ? 200 : 1'000;
        auto listener = co_await listen();
        auto to = listener.local().value();
        std::atomic<int> round{0}, stopped{0};
        std::atomic<rt::join_handle<std::error_code>*> victim{nullptr};
        std::thread stopper([&] {
            std::minstd_rand random(2);
            auto take = static_cast<int>(listener.handle().native());
            for (int i = 1; i <= rounds; ++i) {
                while (round.load() != i) std::this_thread::yield();
                for (auto n = random() % 20'000; n > 0; --n) (void)round.load();
                int fd = ::accept4(take, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0) ::close(fd);
                for (auto n = random() % 20'000; n > 0; --n) (void)round.load();
                victim.load()->stop();
                stopped = i;
            }
        });
        for (int i = 1; i <= rounds; ++i) {
            auto h = rt::spawn(accepts(listener));
            // One that was left over ends it at once.
            co_await until([&] { return h.done() || rt::audit().operations_in_flight != 0; });
            victim = &h;
            round = i;
            auto client = co_await rt::tcp_stream::connect(to);
            (void)co_await h.outcome();
            while (stopped.load() != i) co_await rt::yield_now();
        }
        stopper.join();
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

// A half-close has the kernel retry a send that waits, in the end in a thread of its own: there a
// cancel shows as an interrupted call, which was begun again.
TEST_P(Close, a_write_to_a_peer_that_has_half_closed_can_be_stopped_and_timed_out_b24) {
    run([]() -> rt::task<> {
        for (bool time : {false, true}) {
            auto [near, far] = co_await make_tcp_pair();
            std::vector<std::byte> much(16 << 20);
            auto writer = rt::spawn([](rt::tcp_stream to, std::span<const std::byte> bytes,
                                       bool time) -> rt::io_task<> {
                if (!time) co_return co_await to.write_all(bytes);
                co_return co_await rt::timeout(300ms, to.write_all(bytes));
            }(std::move(near), much, time));
            std::array<std::byte, 1> first;
            (void)co_await far.read(first);  // it has begun
            far.shutdown(rt::shutdown_side::write).value();
            co_await rt::sleep(20ms);  // the kernel's retries end somewhere: nothing tells when
            if (!time) writer.stop();
            auto ended = co_await writer.outcome();
            if (time) {
                EXPECT_EQ(ended.value().error(), rt::errc::timed_out);
            } else {
                EXPECT_TRUE(ended.stopped());
            }
        }
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

TEST(NetMisuse, a_stream_of_a_runtime_on_another_reactor_stops_the_program) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto go = [](rt::reactor_kind first, rt::reactor_kind second) {
        auto one = rt::runtime::builder().current_thread().reactor(first).build();
        auto two = rt::runtime::builder().current_thread().reactor(second).build();
        auto pair = make_half_pair();
        (void)one.block_on(rt::timeout(1ms, reads(pair.stream)));
        (void)two.block_on(reads(pair.stream));
    };
    using enum rt::reactor_kind;
    EXPECT_DEATH(go(epoll, io_uring), "misuse: a stream or listener of a runtime on epoll is used");
    EXPECT_DEATH(go(io_uring, epoll), "misuse: a stream or listener of a runtime on io_uring");
}

TEST(NetMisuse, an_empty_stream_is_named_with_the_caller_s_line) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto go = [] {
        rt::tcp_stream none;
        rt::runtime::builder().current_thread().build().block_on(reads(none));
    };
    EXPECT_DEATH(go(), "misuse: an operation on an empty stream.*close.cpp");
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
