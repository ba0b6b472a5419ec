// Counters move by exactly the driven amount.
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Counters : public EveryRuntime {
protected:
    rt::runtime make() {
        return builder_for(GetParam()).on_unhandled([](auto&) {}).build();
    }
};
EVERY_RUNTIME(Counters);

TEST_P(Counters, spawned_and_alive_follow_the_tasks_b21) {
    auto runtime = make();
    rt::notify bell;
    EXPECT_EQ(runtime.counters().spawned, 0u);
    runtime.block_on([](rt::runtime& runtime, rt::notify& bell) -> rt::task<> {
        EXPECT_EQ(runtime.counters().spawned, 1u);  // the root
        EXPECT_EQ(runtime.counters().alive, 1u);
        std::vector<rt::join_handle<>> all;
        for (int i = 0; i < 10; ++i)
            all.push_back(rt::spawn([](rt::notify& b) -> rt::task<> { co_await b.wait(); }(bell)));
        EXPECT_EQ(runtime.counters().spawned, 11u);
        EXPECT_EQ(runtime.counters().alive, 11u);
        for (int i = 0; i < 4; ++i) all[static_cast<std::size_t>(i)].stop();
        for (int i = 0; i < 4; ++i)
            EXPECT_TRUE((co_await all[static_cast<std::size_t>(i)].outcome()).stopped());
        EXPECT_EQ(runtime.counters().spawned, 11u);
        EXPECT_EQ(runtime.counters().alive, 7u);
        for (int i = 4; i < 10; ++i) {
            while (!all[static_cast<std::size_t>(i)].done()) {
                bell.notify_all();
                co_await rt::yield_now();
            }
        }
        EXPECT_EQ(runtime.counters().alive, 1u);
    }(runtime, bell));
    EXPECT_EQ(runtime.counters().alive, 0u);
    EXPECT_EQ(runtime.counters().spawned, 11u);
}

TEST_P(Counters, polls_count_the_turns_of_tasks_and_wakes_who_caused_them_b21) {
    auto runtime = make();
    auto at_root = [](rt::runtime& runtime) -> rt::task<> {
        auto before = runtime.counters().total;
        // Two turns: the child's, and the root's when it is woken by the child's end.
        co_await rt::spawn([]() -> rt::task<> { co_return; }());
        auto after = runtime.counters().total;
        EXPECT_EQ(after.polls - before.polls, 2u);
        EXPECT_EQ(after.local_wakes - before.local_wakes, 2u);
        EXPECT_EQ(after.remote_wakes - before.remote_wakes, 0u);
        EXPECT_EQ(after.forced_yields - before.forced_yields, 0u);
        before = after;
        // Each yield is one turn, and no wake.
        for (int i = 0; i < 5; ++i) co_await rt::yield_now();
        after = runtime.counters().total;
        EXPECT_EQ(after.polls - before.polls, 5u);
        EXPECT_EQ(after.local_wakes - before.local_wakes, 0u);
        EXPECT_EQ(after.remote_wakes - before.remote_wakes, 0u);
    };
    if (GetParam().flavor == rt::runtime_flavor::work_stealing) {
        // Wherever a wake-up comes from another worker it is local to that one: count one worker
        // only.
        auto single =
            rt::runtime::builder().work_stealing().reactor(GetParam().reactor).workers(1).build();
        single.block_on(at_root(single));
        return;
    }
    EXPECT_EQ(runtime.counters().total.polls, 0u);
    runtime.block_on(at_root(runtime));
    // The root's first turn, and 7; its post came from outside.
    EXPECT_EQ(runtime.counters().total.polls, 8u);
    EXPECT_EQ(runtime.counters().total.remote_wakes, 1u);
    EXPECT_EQ(runtime.counters().total.steals, 0u);
}

TEST_P(Counters, a_wake_from_another_thread_is_remote_b21) {
    auto runtime = make();
    rt::notify bell;
    runtime.block_on([](rt::runtime& runtime, rt::notify& bell) -> rt::task<> {
        auto before = runtime.counters().total.remote_wakes;
        for (int i = 0; i < 5; ++i) {
            auto wait = bell.wait();
            std::thread([&] { bell.notify_one(); }).detach();
            co_await std::move(wait);
        }
        // A bell that rang before the wait began woke nobody.
        EXPECT_LE(runtime.counters().total.remote_wakes - before, 5u);
        co_await rt::spawn_blocking([&] {
            for (int i = 0; i < 5; ++i) {
                auto sent = runtime.counters().total.remote_wakes;
                runtime.spawn([]() -> rt::task<> { co_return; }()).detach();
                EXPECT_EQ(runtime.counters().total.remote_wakes - sent, 1u);
            }
        });
    }(runtime, bell));
}

TEST_P(Counters, forced_yields_count_the_ends_of_budgets_b21_b14) {
    auto runtime = make();
    runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
        co_await rt::yield_now();  // a fresh budget
        auto before = runtime.counters().total.forced_yields;
        for (int i = 0; i < rt::operations_per_turn; ++i) co_await rt::consume_budget();
        EXPECT_EQ(runtime.counters().total.forced_yields - before, 0u);
        co_await rt::consume_budget();  // the first of a new turn
        EXPECT_EQ(runtime.counters().total.forced_yields - before, 1u);
        for (int i = 1; i < 10 * rt::operations_per_turn; ++i) co_await rt::consume_budget();
        EXPECT_EQ(runtime.counters().total.forced_yields - before, 10u);
    }(runtime));
}

TEST_P(Counters, parks_count_the_waits_in_the_reactor_b21) {
    auto single = rt::runtime::builder()
                      .flavor(GetParam().flavor)
                      .reactor(GetParam().reactor)
                      .workers(1)
                      .build();
    single.block_on([](rt::runtime& runtime) -> rt::task<> {
        auto parks = [&] { return runtime.counters().total.parks; };
        auto before = parks();
        for (int i = 0; i < 10; ++i) co_await rt::yield_now();
        EXPECT_EQ(parks() - before, 0u);  // there was always something to do
        co_await rt::sleep(1ms);
        EXPECT_GE(parks() - before, 1u);
    }(single));
}

TEST_P(Counters, operations_in_flight_follow_the_kernel_b21) {
    auto runtime = make();
    test_pipe pipe;
    runtime.block_on([](rt::runtime& runtime, test_pipe& pipe) -> rt::task<> {
        EXPECT_EQ(runtime.counters().operations_in_flight, 0u);
        auto reader = rt::spawn(
            [](test_pipe& pipe) -> rt::task<bool> { co_return co_await pipe.get(); }(pipe));
        while (runtime.counters().operations_in_flight == 0) co_await rt::yield_now();
        EXPECT_EQ(runtime.counters().operations_in_flight, 1u);
        pipe.put();
        EXPECT_TRUE(co_await std::move(reader));
        EXPECT_EQ(runtime.counters().operations_in_flight, 0u);
        // Withdrawn: the same.
        auto stopped = rt::spawn(
            [](test_pipe& pipe) -> rt::task<bool> { co_return co_await pipe.get(); }(pipe));
        while (runtime.counters().operations_in_flight == 0) co_await rt::yield_now();
        stopped.stop();
        EXPECT_TRUE((co_await stopped.outcome()).stopped());
        EXPECT_EQ(runtime.counters().operations_in_flight, 0u);
    }(runtime, pipe));
}

TEST_P(Counters, blocking_depths_follow_the_jobs_b21) {
    auto runtime = builder_for(GetParam()).blocking_threads(2).build();
    runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
        std::promise<void> go;
        auto gate = go.get_future().share();
        std::vector<rt::join_handle<>> jobs;
        for (int i = 0; i < 5; ++i) jobs.push_back(rt::spawn_blocking([gate] { gate.wait(); }));
        while (runtime.counters().blocking_queued != 3 || runtime.counters().blocking_running != 2)
            co_await rt::yield_now();
        go.set_value();
        for (auto& j : jobs) co_await j;
        while (runtime.counters().blocking_running != 0) co_await rt::yield_now();
        EXPECT_EQ(runtime.counters().blocking_queued, 0u);
    }(runtime));
}

TEST_P(Counters, unhandled_counts_each_failure_that_nobody_awaited_b21_b25) {
    auto runtime = make();
    runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
        for (int i = 0; i < 3; ++i) {
            rt::spawn([]() -> rt::task<> {
                throw std::runtime_error("nobody looks");
                co_return;
            }())
                .detach();
            rt::spawn([]() -> rt::io_task<> { co_return rt::errc::timed_out; }()).detach();
            rt::spawn([]() -> rt::io_task<> { co_return {}; }()).detach();
        }
        while (runtime.counters().alive > 1) co_await rt::yield_now();
        EXPECT_EQ(runtime.counters().unhandled, 6u);
    }(runtime));
}

// A task keeps its worker busy until another, queued behind it, has run: that one must be stolen.
TEST(CountersStealing, a_steal_is_counted_by_the_thief_b21) {
    for (auto reactor : {rt::reactor_kind::io_uring, rt::reactor_kind::epoll}) {
        auto runtime = rt::runtime::builder().work_stealing().reactor(reactor).workers(2).build();
        runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
            std::atomic<int> ran{0};
            auto before = runtime.counters().total.steals;
            auto one = [](std::atomic<int>& ran) -> rt::task<> {
                ++ran;
                co_return;
            };
            auto a = rt::spawn(one(ran));
            auto b = rt::spawn(one(ran));  // takes the slot of what runs next, a goes to the queue
            while (ran == 0) std::this_thread::yield();
            auto stolen = runtime.counters().total.steals - before;
            EXPECT_GE(stolen, 1u);
            EXPECT_LE(stolen, 2u);
            co_await a;
            co_await b;
        }(runtime));
    }
}

TEST_P(Counters, the_total_is_the_sum_of_the_workers_b21) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        for (int i = 0; i < 50; ++i) co_await rt::spawn([]() -> rt::task<> { co_return; }());
    }());
    runtime.shutdown();
    auto c = runtime.counters();
    EXPECT_EQ(c.workers.size(), runtime.worker_count());
    std::uint64_t polls = 0, wakes = 0;
    for (auto& w : c.workers) {
        polls += w.polls;
        wakes += w.local_wakes;
    }
    EXPECT_EQ(polls, c.total.polls);
    EXPECT_EQ(wakes, c.total.local_wakes);
}

}  // namespace
