// Spawned tasks and their handles: where they may be spawned, what a joiner learns, and that no
// failure vanishes.
#include "task/helpers.hpp"

#include <array>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <thread>

namespace {

class Spawn : public EveryRuntime {};
EVERY_RUNTIME(Spawn);

rt::task<int> answer(int n) { co_return n; }
rt::task<int> late_answer(int n, int turns) {
    co_await yields(turns);
    co_return n;
}
rt::task<int> throws_boom(int n) {
    throw boom{n};
    co_return 0;
}

/// A runtime whose unhandled failures are kept.
struct with_hook {
    explicit with_hook(const runtime_case& c)
        : runtime(builder_for(c)
                      .on_unhandled([this](const rt::unhandled_failure& f) {
                          std::lock_guard guard(mutex);
                          failures.push_back({f.task_id, std::string(f.task_name), f.spawned_at,
                                              f.exception != nullptr, f.error});
                      })
                      .build()) {}
    struct seen {
        std::uint64_t id;
        std::string name;
        std::source_location where;
        bool threw;
        std::error_code error;
    };
    std::size_t count() {
        std::lock_guard guard(mutex);
        return failures.size();
    }
    std::mutex mutex;
    std::vector<seen> failures;
    rt::runtime runtime;
};

TEST_P(Spawn, from_the_root_a_task_a_blocking_thread_and_a_foreign_thread_b5) {
    run([&]() -> rt::task<> {
        auto from_root = rt::spawn(answer(1));
        auto from_task =
            rt::spawn([]() -> rt::task<int> { co_return co_await rt::spawn(answer(2)); });
        auto from_blocking = rt::spawn_blocking([] { return rt::spawn(answer(3)); });
        std::optional<rt::join_handle<int>> foreign;
        std::thread([&, handle = runtime().handle()] { foreign = handle.spawn(answer(4)); }).join();
        EXPECT_EQ(co_await from_root, 1);
        EXPECT_EQ(co_await from_task, 2);
        auto inner = co_await from_blocking;
        EXPECT_EQ(co_await inner, 3);
        EXPECT_EQ(co_await *foreign, 4);
    });
}

TEST_P(Spawn, from_outside_while_the_runtime_is_idle_and_while_it_is_loaded_b5) {
    const int n = sanitized ? 500 : 2000;
    run([&]() -> rt::task<> {
        for (bool loaded : {false, true}) {
            std::atomic<int> ran = 0;
            std::atomic<bool> over = false;
            std::vector<rt::join_handle<>> load;
            for (int i = 0; loaded && i < 8; ++i) load.push_back(rt::spawn(until(over)));
            std::vector<std::thread> threads;
            for (int t = 0; t < 2; ++t) {
                threads.emplace_back([&, handle = runtime().handle()] {
                    for (int i = 0; i < n; ++i)
                        handle
                            .spawn([](std::atomic<int>& ran) -> rt::task<> {
                                ++ran;
                                co_return;
                            }(ran))
                            .detach();
                });
            }
            while (ran < 2 * n) co_await rt::sleep(1ms);
            over = true;
            for (auto& h : load) co_await h;
            for (auto& t : threads) t.join();
        }
    });
}

TEST_P(Spawn, frame_and_parameters_are_gone_before_the_joiner_sees_the_outcome_b25) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 200; ++i) {
            journal log;
            auto h = rt::spawn([](mark, journal& log, int turns) -> rt::task<int> {
                mark local(log, "local");
                co_await yields(turns);
                co_return 1;
            }(mark(log, "parameter"), log, i % 3));
            EXPECT_EQ(co_await h, 1);
            EXPECT_EQ(log.lines(), (std::vector<std::string>{"local", "parameter"}));
        }
    });
}

TEST_P(Spawn, a_task_that_nobody_joins_gives_its_frame_back_when_it_ends_b25) {
    run([&]() -> rt::task<> {
        journal log;
        auto h = rt::spawn([](mark) -> rt::task<> { co_return; }(mark(log, "parameter")));
        while (!h.done()) co_await rt::yield_now();
        EXPECT_EQ(log.lines().size(), 1u);
    });
}

TEST_P(Spawn, a_producer_that_is_joined_after_its_channel_was_drained_ends_b25) {
    run([&]() -> rt::task<> {
        // The example of the design: with a frame that outlived its end this hangs.
        auto [tx, rx] = rt::channel<int>(4);
        auto h = rt::spawn(
            [](rt::sender<int> tx) -> rt::task<> {
                for (int i = 0; i < 10; ++i) (void)co_await tx.send(i);
            },
            std::move(tx));
        int sum = 0;
        while (auto i = co_await rx.recv()) sum += *i;
        co_await h;
        EXPECT_EQ(sum, 45);
    });
}

TEST_P(Spawn, the_joiner_learns_value_exception_and_stop_b25) {
    run([&]() -> rt::task<> {
        auto v = rt::spawn(answer(7)), e = rt::spawn(throws_boom(8));
        auto s = rt::spawn(forever());
        s.stop();
        auto value = co_await v.outcome();
        EXPECT_TRUE(value.has_value());
        EXPECT_EQ(value.value(), 7);
        auto thrown = co_await e.outcome();
        EXPECT_FALSE(thrown.has_value());
        try {
            std::rethrow_exception(thrown.exception());
        } catch (const boom& b) {
            EXPECT_EQ(b.value, 8);
        }
        auto stopped = co_await s.outcome();
        EXPECT_TRUE(stopped.stopped());
        EXPECT_EQ(stopped.exception(), nullptr);
    });
}

TEST_P(Spawn, values_may_be_move_only_references_and_results_b25) {
    run([&]() -> rt::task<> {
        int here = 5;
        auto unique = rt::spawn(
            []() -> rt::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); });
        auto reference = rt::spawn([](int& i) -> rt::task<int&> { co_return i; }(here));
        auto result = rt::spawn([]() -> rt::io_task<int> { co_return rt::errc::too_long; });
        EXPECT_EQ(*co_await unique, 3);
        EXPECT_EQ(&co_await reference, &here);
        EXPECT_EQ((co_await result).error(), rt::errc::too_long);
    });
}

TEST_P(Spawn, dropping_a_handle_stops_the_task_and_detaching_does_not_b27) {
    run([&]() -> rt::task<> {
        std::atomic<bool> go = false, gone = false, finished = false;
        struct tells {
            std::atomic<bool>& gone;
            ~tells() { gone = true; }
        };
        {
            std::atomic<bool> started = false;
            auto dropped = rt::spawn([](auto& gone, auto& started) -> rt::task<> {
                tells t{gone};
                started = true;
                co_await forever();
            }(gone, started));
            co_await until(started);
        }
        co_await until(gone);
        rt::spawn([](auto& go, auto& finished) -> rt::task<> {
            co_await until(go);
            finished = true;
        }(go, finished))
            .detach();
        go = true;
        co_await until(finished);
    });
}

TEST_P(Spawn, assigning_over_a_handle_stops_the_task_it_had_b27) {
    run([&]() -> rt::task<> {
        std::atomic<bool> gone = false, started = false;
        struct tells {
            std::atomic<bool>& gone;
            ~tells() { gone = true; }
        };
        auto h = rt::spawn([](auto& gone, auto& started) -> rt::task<> {
            tells t{gone};
            started = true;
            co_await forever();
        }(gone, started));
        co_await until(started);
        h = rt::spawn([]() -> rt::task<> { co_return; });
        co_await until(gone);
        co_await h;
    });
}

TEST_P(Spawn, a_detached_exception_reaches_the_hook_with_name_and_site_b27) {
    with_hook r(GetParam());
    std::uint64_t id = 0;
    unsigned line = 0;
    r.runtime.block_on([](with_hook& r, std::uint64_t& id, unsigned& line) -> rt::task<> {
        std::atomic<bool> go = false;
        line = std::source_location::current().line() + 1;
        auto h = rt::spawn(rt::task_options{.name = "thrower"}, [](auto& go) -> rt::task<> {
            co_await until(go);
            throw boom{1};
        }(go));
        id = h.id();
        h.detach();
        go = true;
        while (r.count() == 0) co_await rt::yield_now();
    }(r, id, line));
    ASSERT_EQ(r.count(), 1u);
    EXPECT_EQ(r.failures[0].id, id);
    EXPECT_EQ(r.failures[0].name, "thrower");
    EXPECT_EQ(r.failures[0].where.line(), line);
    EXPECT_TRUE(std::string(r.failures[0].where.file_name()).ends_with("spawn.cpp"));
    EXPECT_TRUE(r.failures[0].threw);
    EXPECT_EQ(r.runtime.counters().unhandled, 1u);
}

TEST_P(Spawn, a_detached_error_value_is_counted_and_reaches_the_hook_b25_b27) {
    with_hook r(GetParam());
    r.runtime.block_on([](with_hook& r) -> rt::task<> {
        rt::spawn([]() -> rt::io_task<> { co_return rt::errc::closed; }).detach();
        while (r.count() == 0) co_await rt::yield_now();
    }(r));
    EXPECT_FALSE(r.failures[0].threw);
    EXPECT_EQ(r.failures[0].error, rt::errc::closed);
    EXPECT_EQ(r.runtime.counters().unhandled, 1u);
}

/// Detaching at the moment at which the task ends: the failure went to neither side once.
TEST_P(Spawn, no_failure_vanishes_when_a_handle_goes_while_its_task_ends_b25_b27) {
    const int rounds = sanitized ? 3000 : 20000;
    with_hook r(GetParam());
    r.runtime.block_on([](int rounds, bool apart) -> rt::task<> {
        auto failing = [](std::atomic<bool>& go, int spins) -> rt::io_task<> {
            co_await rt::yield_now();
            go = true;
            for (std::atomic<int> k = spins; k > 0; --k) {
            }
            co_return rt::errc::closed;
        };
        for (int i = 0; i < rounds; ++i) {
            std::atomic<bool> go = false;
            if (apart) {  // on its own worker, so that this one can wait for it without a yield
                auto h = rt::spawn_on(1, failing(go, i % 60));
                while (!go.load()) std::this_thread::yield();
                for (std::atomic<int> k = i / 60 % 60; k > 0; --k) {
                }
                h.detach();
            } else {
                auto h = rt::spawn(failing(go, i % 60));
                while (!go.load()) co_await rt::yield_now();
                h.detach();
            }
        }
    }(rounds, GetParam().flavor == rt::runtime_flavor::thread_per_core));
    auto counted = [&] { return r.runtime.counters(); };
    r.runtime.block_on([](auto& counted) -> rt::task<> {
        while (counted().alive > 1) co_await rt::yield_now();
    }(counted));
    r.runtime.shutdown();
    EXPECT_EQ(r.count(), static_cast<std::size_t>(rounds));
}

TEST_P(Spawn, a_dropped_handle_of_a_failed_task_reports_it_once_b27) {
    with_hook r(GetParam());
    r.runtime.block_on([]() -> rt::task<> {
        auto h = rt::spawn(throws_boom(1));
        while (!h.done()) co_await rt::yield_now();
    }());
    EXPECT_EQ(r.count(), 1u);
}

TEST_P(Spawn, a_failure_that_was_taken_is_not_reported_b27) {
    with_hook r(GetParam());
    r.runtime.block_on([]() -> rt::task<> {
        auto a = rt::spawn(throws_boom(1));
        EXPECT_THROW(co_await a, boom);
        auto b = rt::spawn(throws_boom(2));
        EXPECT_THROW(co_await std::move(b), boom);
        auto c = rt::spawn(throws_boom(3));
        (void)co_await c.outcome();
        auto failing = []() -> rt::io_task<int> { co_return rt::errc::closed; };
        auto d = rt::spawn(failing());
        EXPECT_FALSE(co_await d);
        auto lvalue = [&]() -> rt::io_task<int> {
            auto e = rt::spawn(failing());
            co_return co_await e.or_return();
        };
        EXPECT_EQ((co_await lvalue()).error(), rt::errc::closed);
        auto rvalue = [&]() -> rt::io_task<int> {
            co_return co_await rt::spawn(failing()).or_return();
        };
        EXPECT_EQ((co_await rvalue()).error(), rt::errc::closed);
    }());
    r.runtime.shutdown();
    EXPECT_EQ(r.count(), 0u);
}

TEST_P(Spawn, a_stopped_task_is_no_failure_b27) {
    with_hook r(GetParam());
    r.runtime.block_on([]() -> rt::task<> {
        {
            auto h = rt::spawn(forever());
        }
        co_await settle_down();
    }());
    r.runtime.shutdown();
    EXPECT_EQ(r.count(), 0u);
}

/// A result whose destructor throws, as long as it is armed.
struct touchy {
    explicit touchy(int n) : n(n) {}
    touchy(touchy&& other) noexcept : n(std::exchange(other.n, 0)) {}
    ~touchy() noexcept(false) {
        if (n) throw boom{n};
    }
    int n;
};

TEST_P(Spawn, a_throwing_destructor_of_an_unread_result_is_contained_and_reported_b26) {
    with_hook r(GetParam());
    r.runtime.block_on([](with_hook& r) -> rt::task<> {
        auto make = []() -> rt::task<touchy> { co_return touchy(1); };
        rt::spawn(make()).detach();
        while (r.count() < 1) co_await rt::yield_now();
        {
            auto h = rt::spawn(make());
            while (!h.done()) co_await rt::yield_now();
        }
        while (r.count() < 2) co_await rt::yield_now();
        EXPECT_EQ(co_await rt::spawn(answer(4)), 4);  // others go on
    }(r));
    ASSERT_EQ(r.count(), 2u);
    EXPECT_TRUE(r.failures[0].threw);
}

TEST_P(Spawn, a_handle_may_be_joined_again_after_a_join_that_was_withdrawn_b31) {
    run([&]() -> rt::task<> {
        std::atomic<bool> go = false;
        auto h = rt::spawn([](auto& go) -> rt::task<int> {
            co_await until(go);
            co_return 9;
        }(go));
        auto waiter = rt::spawn([](auto& h) -> rt::task<> { co_await h; }(h));
        co_await settle_down();
        waiter.stop();
        EXPECT_TRUE((co_await waiter.outcome()).stopped());
        EXPECT_FALSE(h.done());
        go = true;
        EXPECT_EQ(co_await h, 9);
    });
}

TEST_P(Spawn, many_tasks_spawned_and_joined_from_all_workers_b5) {
    const int n = sanitized ? 200 : 1000;
    run([&]() -> rt::task<> {
        std::vector<rt::join_handle<int>> outer;
        for (int t = 0; t < 8; ++t) {
            outer.push_back(rt::spawn([](int n) -> rt::task<int> {
                int sum = 0;
                for (int i = 0; i < n; ++i) {
                    auto a = rt::spawn(late_answer(1, i % 3)), b = rt::spawn(answer(1));
                    sum += co_await b;
                    sum += co_await a;
                }
                co_return sum;
            }(n)));
        }
        int sum = 0;
        for (auto& h : outer) sum += co_await h;
        EXPECT_EQ(sum, 8 * 2 * n);
    });
}

TEST_P(Spawn, one_wake_is_one_resumption_b2) {
    const int rounds = sanitized ? 5000 : 20000;
    run([&]() -> rt::task<> {
        // Two tasks hand a turn back and forth: a lost wake hangs, a doubled one miscounts.
        rt::notify ping, pong;
        std::atomic<int> turns = 0;
        auto other = rt::spawn([](auto& ping, auto& pong, auto& turns, int n) -> rt::task<> {
            for (int i = 0; i < n; ++i) {
                co_await ping.wait();
                ++turns;
                pong.notify_one();
            }
        }(ping, pong, turns, rounds));
        for (int i = 0; i < rounds; ++i) {
            ping.notify_one();
            co_await pong.wait();
            EXPECT_EQ(turns, i + 1);
        }
        co_await other;
    });
}

}  // namespace
