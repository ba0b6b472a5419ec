// this_task::stop_token: the running scope's stop, for those who cannot co_await.
#include "task/helpers.hpp"

#include <atomic>
#include <cstdint>
#include <thread>

namespace {

class StopToken : public EveryRuntime {};
EVERY_RUNTIME(StopToken);

TEST_P(StopToken, it_tells_of_the_stop_of_its_task_b38) {
    run([]() -> rt::task<> {
        std::atomic<bool> waits = false, told = false;
        std::atomic<int> calls = 0;
        auto h = rt::spawn([](auto& waits, auto& told, auto& calls) -> rt::task<> {
            auto token = rt::this_task::stop_token();
            EXPECT_TRUE(token.stop_possible());
            EXPECT_FALSE(token.stop_requested());
            EXPECT_EQ(token, rt::this_task::stop_token());
            rt::stop_callback counts(token, [&] { ++calls; });
            // A job that runs cannot be withdrawn, and asks the token.
            co_await rt::shield([](auto token, auto& waits, auto& told) -> rt::task<> {
                co_await rt::spawn_blocking([&, token] {
                    waits = true;
                    while (!token.stop_requested()) std::this_thread::yield();
                    told = true;
                });
            }(token, waits, told));
        }(waits, told, calls));
        co_await until(waits);
        h.stop();
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_TRUE(told);
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(StopToken, taken_after_the_stop_it_has_been_requested_b38) {
    run([]() -> rt::task<> {
        std::atomic<bool> began = false;
        std::atomic<int> calls = 0;
        auto h = rt::spawn([](auto& began, auto& calls) -> rt::task<> {
            began = true;
            (void)co_await rt::as_optional(forever());
            auto token = rt::this_task::stop_token();
            EXPECT_TRUE(token.stop_requested());
            rt::stop_callback counts(token, [&] { ++calls; });
            EXPECT_EQ(calls, 1);
        }(began, calls));
        co_await until(began);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(StopToken, each_scope_has_its_own) {
    run([]() -> rt::task<> {
        auto outer = rt::this_task::stop_token();
        co_await rt::shield([](auto outer) -> rt::task<> {
            EXPECT_NE(outer, rt::this_task::stop_token());
            co_return;
        }(outer));
        std::atomic<bool> cut = false;
        auto first = co_await rt::select(rt::allow_loss([](auto& cut) -> rt::task<> {
                                             rt::stop_callback tells(rt::this_task::stop_token(),
                                                                     [&] { cut = true; });
                                             co_await forever();
                                         }(cut)),
                                         rt::sleep(2ms));
        EXPECT_EQ(first.index(), 1u);
        EXPECT_TRUE(cut) << "the arm that loses is stopped";
        EXPECT_FALSE(outer.stop_requested()) << "and nobody else";
        EXPECT_EQ(outer, rt::this_task::stop_token());
    });
}

TEST_P(StopToken, a_source_may_be_its_child_b39) {
    run([]() -> rt::task<> {
        std::atomic<bool> waits = false, ended = false;
        auto h = rt::spawn([](auto& waits, auto& ended) -> rt::task<> {
            rt::stop_source source(rt::this_task::stop_token());
            std::thread other([&] {
                waits = true;
                while (!source.stop_requested()) std::this_thread::yield();
                ended = true;
            });
            (void)co_await rt::as_optional(forever());
            other.join();
        }(waits, ended));
        co_await until(waits);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_TRUE(ended);
    });
}

TEST_P(StopToken, a_job_has_its_own_b19) {
    run([]() -> rt::task<> {
        std::atomic<bool> runs = false, asked = false;
        auto job = rt::spawn_blocking([&] {
            auto token = rt::this_task::stop_token();
            EXPECT_TRUE(token.stop_possible());
            runs = true;
            while (!token.stop_requested()) std::this_thread::yield();
            // What listens is told first.
            while (!rt::this_task::stop_requested()) std::this_thread::yield();
            asked = true;
        });
        co_await until(runs);
        // The timeout drops the handle, and the job hears of it.
        auto late = co_await rt::timeout(1ms, std::move(job));
        EXPECT_EQ(late.error(), rt::errc::timed_out);
        co_await until(asked);
    });
}

TEST_P(StopToken, it_may_outlive_its_task_b38) {
    run([]() -> rt::task<> {
        std::atomic<bool> runs = false, told = false;
        auto h = rt::spawn([](auto& runs, auto& told) -> rt::task<> {
            co_await rt::spawn_blocking([&, token = rt::this_task::stop_token()] {
                runs = true;
                while (!token.stop_requested()) std::this_thread::yield();
                told = true;
            });
        }(runs, told));
        co_await until(runs);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        co_await until(told);
        rt::stop_token ended;
        co_await rt::spawn([](auto& ended) -> rt::task<> {
            ended = rt::this_task::stop_token();
            co_return;
        }(ended));
        auto copy = ended;
        EXPECT_FALSE(copy.stop_requested());
        rt::stop_callback never(copy,
                                [] { ADD_FAILURE() << "nobody can ask it to stop any more"; });
    });
}

/// A task that waits, and has that called when it is stopped.
template <class F>
rt::task<> calls_when_stopped(F f, std::atomic<int>& waiting) {
    rt::stop_callback callback(rt::this_task::stop_token(), f);
    ++waiting;
    co_await forever();
}

TEST_P(StopToken, a_callback_may_come_back_to_who_stops_b38) {
    run([this]() -> rt::task<> {
        std::atomic<int> waiting = 0, calls = 0;
        (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < 100; ++i)
                group.spawn(calls_when_stopped(
                    [&] {
                        group.stop();
                        group.spawn([]() -> rt::task<> { co_return; });
                        ++calls;
                    },
                    waiting));
            co_await until_at_least(waiting, 100);
            group.stop();
        });
        EXPECT_EQ(calls, 100);

        waiting = calls = 0;
        rt::join_set<void> set;
        for (int i = 0; i < 100; ++i)
            set.spawn(calls_when_stopped([&] { calls += set.size() <= 100; }, waiting));
        co_await until_at_least(waiting, 100);
        set.stop_all();
        while (co_await set.next()) {
        }
        EXPECT_EQ(calls, 100);

        waiting = calls = 0;
        auto h = rt::spawn(calls_when_stopped(
            [&] {
                (void)runtime().counters();
                rt::spawn([](auto& calls) -> rt::task<> {
                    ++calls;
                    co_return;
                }(calls))
                    .detach();
            },
            waiting));
        co_await until_at_least(waiting, 1);
        h.stop();
        (void)co_await h.outcome();
        co_await until_at_least(calls, 1);
    });
}

TEST(StopTokenAtTheEnd, a_callback_may_come_back_to_the_runtime) {
    std::atomic<int> waiting = 0, calls = 0;
    {
        auto runtime = rt::runtime::builder().workers(2).build();
        auto handle = runtime.handle();
        for (int i = 0; i < 10; ++i)
            runtime
                .spawn(calls_when_stopped(
                    [&, handle] {
                        (void)handle.counters();
                        handle.spawn([]() -> rt::task<> { co_return; }()).detach();
                        ++calls;
                    },
                    waiting))
                .detach();
        while (waiting != 10) std::this_thread::yield();
    }
    EXPECT_EQ(calls, 10);
}

bool waits(const rt::runtime_dump& dump, std::uint64_t id) {
    for (auto& t : dump.tasks) {
        if (t.id == id) return !t.awaits.empty();
    }
    return false;
}

TEST_P(StopToken, who_looks_calls_nothing) {
    run([this]() -> rt::task<> {
        std::atomic<bool> over = false;
        std::thread looks([&] {
            while (!over) (void)runtime().dump();
        });
        for (int i = 0; i < 300; ++i) {
            std::thread::id stops, calls;
            std::atomic<int> waiting = 0;
            auto h = rt::spawn([](auto& calls, auto& waiting) -> rt::task<> {
                (void)co_await rt::as_optional(
                    calls_when_stopped([&] { calls = std::this_thread::get_id(); }, waiting));
            }(calls, waiting));
            // It waits: a stop of code that runs is handed down when that next waits, by its own
            // thread.
            while (!waits(runtime().dump(), h.id())) co_await rt::yield_now();
            stops = std::this_thread::get_id();
            h.stop();
            EXPECT_EQ(calls, stops);
            (void)co_await h.outcome();
        }
        over = true;
        looks.join();
    });
}

TEST(StopTokenOutside, a_token_of_nothing) {
    EXPECT_FALSE(rt::this_task::stop_token().stop_possible());
    EXPECT_FALSE(rt::this_task::stop_token().stop_requested());
}

TEST_P(StopToken, requests_race_the_first_token_and_its_callbacks_b24_b38) {
    constexpr int rounds = 500;
    run([]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            std::atomic<int> calls = 0;
            std::atomic<bool> began = false;
            auto h = rt::spawn([](auto& calls, auto& began, int i) -> rt::task<> {
                began = true;
                for (int n = 0; n < i % 50; ++n)
                    std::atomic_signal_fence(std::memory_order_seq_cst);
                rt::stop_callback counts(rt::this_task::stop_token(), [&] { ++calls; });
                co_await forever();
            }(calls, began, i));
            std::thread other([&] {
                while (!began) std::this_thread::yield();
                h.stop();
            });
            EXPECT_TRUE((co_await h.outcome()).stopped());
            other.join();
            EXPECT_EQ(calls, 1);
        }
    });
}

}  // namespace
