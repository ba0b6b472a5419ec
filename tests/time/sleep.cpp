// Sleeping: never early, far futures, withdrawal, and what happens without a runtime.
#include "support/foreign.hpp"
#include "support/run.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <time.h>

using namespace std::chrono_literals;

namespace {

class Sleep : public EveryRuntime {};
EVERY_RUNTIME(Sleep);

TEST_P(Sleep, a_sleep_never_fires_early_b55) {
    run([]() -> rt::task<> {
        for (auto delay : {1ns, 1'000ns, 65'535ns, 65'536ns, 65'537ns, 300'000ns, 3'000'000ns}) {
            auto start = std::chrono::steady_clock::now();
            co_await rt::sleep(delay);
            EXPECT_GE(std::chrono::steady_clock::now() - start, delay);
            auto until = std::chrono::steady_clock::now() + delay;
            co_await rt::sleep_until(until);
            EXPECT_GE(std::chrono::steady_clock::now(), until);
        }
    });
}

TEST_P(Sleep, deadlines_of_0_and_in_the_past_are_ready_at_once_b55) {
    run([]() -> rt::task<> {
        auto first = co_await rt::select(rt::biased, rt::sleep(0s), rt::consume_budget());
        EXPECT_EQ(first.index(), 0u);
        first = co_await rt::select(rt::biased, rt::sleep(-1h), rt::consume_budget());
        EXPECT_EQ(first.index(), 0u);
        first = co_await rt::select(rt::biased, rt::sleep(std::chrono::hours::min()),
                                    rt::consume_budget());
        EXPECT_EQ(first.index(), 0u);
        auto past = co_await rt::this_task::now() - 1h;
        for (auto instant : {past, rt::steady_time{}, rt::steady_time::min()}) {
            first = co_await rt::select(rt::biased, rt::sleep_until(instant), rt::consume_budget());
            EXPECT_EQ(first.index(), 0u);
        }
    });
}

TEST_P(Sleep, the_far_future_does_not_come_b57) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 3; ++i) {
            auto first = co_await rt::select(rt::sleep(std::chrono::hours::max()),
                                             rt::sleep(std::chrono::nanoseconds::max()),
                                             rt::sleep_until(rt::steady_time::max()),
                                             rt::sleep(24h * 365 * 100), rt::sleep(1ms));
            EXPECT_EQ(first.index(), 4u);
        }
    });
}

// The wait for a far deadline must be a wait: an overflow on the way to the kernel makes it a loop.
TEST_P(Sleep, waiting_for_the_far_future_costs_no_turns_b57) {
    run([&]() -> rt::task<> {
        auto far =
            rt::spawn([]() -> rt::task<> { co_await rt::sleep_until(rt::steady_time::max()); }());
        auto later = rt::spawn([]() -> rt::task<> { co_await rt::sleep(24h * 365 * 250); }());
        co_await rt::yield_now();
        auto parks = [&] { return runtime().counters().total.parks; };
        auto before = parks();
        co_await rt::sleep(20ms);
        EXPECT_LT(parks() - before, 50u);
        far.stop();
        later.stop();
    });
}

TEST_P(Sleep, a_stop_withdraws_a_sleep_b57) {
    run([&]() -> rt::task<> {
        auto sleeper = rt::spawn([]() -> rt::task<> { co_await rt::sleep(1h); }());
        co_await rt::yield_now();
        sleeper.stop();
        auto ended = co_await sleeper.outcome();
        EXPECT_TRUE(ended.stopped());
    });
}

// A hundred thousand sleeps are stopped by another thread's hand while others fire.
TEST_P(Sleep, stops_that_race_with_the_deadline_end_every_sleep_b24_b55) {
    run([&]() -> rt::task<> {
        for (int round = 0; round < 20; ++round) {
            std::vector<rt::join_handle<>> sleepers;
            for (int i = 0; i < 200; ++i) {
                sleepers.push_back(runtime().spawn([](int i) -> rt::task<> {
                    co_await rt::sleep(std::chrono::microseconds(i * 5));
                }(i)));
            }
            co_await rt::sleep(500us);
            auto job = rt::spawn_blocking([&] {
                for (auto& s : sleepers) s.stop();
            });
            co_await std::move(job);
            for (auto& s : sleepers) {
                auto ended = co_await s.outcome();
                EXPECT_TRUE(ended.stopped() || ended.has_value());
            }
        }
    });
}

TEST_P(Sleep, a_timeout_of_0_lets_a_ready_inner_win_b32) {
    run([]() -> rt::task<> {
        auto inner = co_await rt::timeout(0s, rt::consume_budget());
        EXPECT_TRUE(inner.has_value());
        auto late = co_await rt::timeout(1ms, rt::sleep(1h));
        EXPECT_EQ(late.error(), rt::errc::timed_out);
        auto at = co_await rt::timeout_at(co_await rt::this_task::now() - 1s, rt::sleep(1h));
        EXPECT_EQ(at.error(), rt::errc::timed_out);
    });
}

foreign sleeps_outside() { co_await rt::sleep(1ms); }
foreign ticks_outside() {
    rt::interval every(1ms);
    co_await every.tick();
}

TEST(SleepDeathTest, a_timer_without_a_runtime_names_what_is_missing_and_the_line_b4) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(sleeps_outside(),
                 "rt: misuse: rt::sleep is awaited without a runtime: .*block_on, "
                 "at .*tests/time/sleep.cpp:[0-9]+");
    EXPECT_DEATH(ticks_outside(),
                 "rt: misuse: rt::interval is awaited without a runtime: "
                 ".*at .*tests/time/sleep.cpp:[0-9]+");
}

TEST(SleepDeathTest, spawning_without_a_runtime_names_what_is_missing_and_the_line_b4) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto spawns = [] { rt::spawn([]() -> rt::task<> { co_return; }()).detach(); };
    EXPECT_DEATH(spawns(),
                 "rt: misuse: rt::spawn is called outside a runtime.*at "
                 ".*tests/time/sleep.cpp:[0-9]+");
}

}  // namespace
