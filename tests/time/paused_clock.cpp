// The paused clock: time that moves only when nothing else can, and then straight to the next
// timer.
#include "time/helpers.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

class PausedClock : public testing::TestWithParam<rt::reactor_kind> {
protected:
    rt::runtime make() {
        return rt::runtime::builder()
            .current_thread()
            .reactor(GetParam())
            .clock(clock)
            .seed(7)
            .build();
    }
    rt::paused_clock clock;
};
INSTANTIATE_TEST_SUITE_P(Each, PausedClock,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](const auto& info) { return std::string(rt::to_string(info.param)); });

TEST_P(PausedClock, a_century_of_sleep_takes_no_time_b60_b57) {
    auto runtime = make();
    auto start = clock.now();
    runtime.block_on([]() -> rt::task<> {
        co_await rt::sleep(1h);
        co_await rt::sleep(8h * 365 * 24);
        co_await rt::sleep(100h * 365 * 24);
    }());
    auto wanted = 1h + 8h * 365 * 24 + 100h * 365 * 24;
    EXPECT_GE(clock.now() - start, wanted);
    EXPECT_LE(clock.now() - start, wanted + 3 * grain);
}

TEST_P(PausedClock, time_stands_still_while_a_task_can_run_b60) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        bool slept = false;
        auto sleeper = rt::spawn([](bool& slept) -> rt::task<> {
            co_await rt::sleep(1ms);
            slept = true;
        }(slept));
        auto start = co_await rt::this_task::now();
        for (int i = 0; i < 1000; ++i) co_await rt::yield_now();
        EXPECT_EQ(co_await rt::this_task::now(), start);
        EXPECT_FALSE(slept);
        co_await std::move(sleeper);
        EXPECT_EQ(co_await rt::this_task::now(), start + grain * 16);
    }());
}

TEST_P(PausedClock, it_moves_to_the_first_timer_of_several_b60) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        auto start = co_await rt::this_task::now();
        std::vector<int> order;
        auto after = [&](int n) -> rt::task<> {
            co_await rt::sleep(grain * 1000 * n);
            order.push_back(n);
            EXPECT_EQ(co_await rt::this_task::now() - start, grain * 1000 * n);
        };
        co_await rt::join(after(3), after(1), after(4), after(2));
        EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
    }());
}

// The job's end wakes its task before the job stops counting as running; whoever looked in between
// must neither move the clock nor wait for ever.
TEST_P(PausedClock, time_stands_still_while_a_blocking_job_runs_b60) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        for (int i = 0; i < 2000; ++i) {
            auto start = co_await rt::this_task::now();
            std::atomic<bool> over = false;
            auto job = rt::spawn_blocking([&] { over = true; });
            auto first = co_await rt::select(rt::biased, std::move(job), rt::sleep(grain * 10));
            EXPECT_EQ(first.index(), 0u);
            EXPECT_EQ(co_await rt::this_task::now(), start);
            co_await rt::sleep(grain);
            EXPECT_EQ(co_await rt::this_task::now(), start + grain);
        }
    }());
}

TEST_P(PausedClock, a_sleeper_goes_on_after_the_job_of_another_task_b60) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        for (int i = 0; i < 500; ++i) {
            std::atomic<bool> release = false;
            auto sleeper = rt::spawn([](std::atomic<bool>& release) -> rt::task<> {
                co_await rt::sleep(1h);
                EXPECT_TRUE(release);  // not while the job ran
            }(release));
            auto job = rt::spawn_blocking([&release] { release = true; });
            job.detach();
            co_await std::move(sleeper);
        }
    }());
}

/// When each of 10 000 sleepers woke, in the order in which they did.
std::vector<std::pair<int, std::int64_t>> ten_thousand(rt::reactor_kind reactor) {
    rt::paused_clock clock;
    auto runtime =
        rt::runtime::builder().current_thread().reactor(reactor).clock(clock).seed(60).build();
    std::vector<std::pair<int, std::int64_t>> woke;
    runtime.block_on([](auto& woke) -> rt::task<> {
        std::mt19937_64 random(60);
        auto start = co_await rt::this_task::now();
        auto all = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < 10'000; ++i) {
                auto delay =
                    nanoseconds(static_cast<std::int64_t>(random() >> (20 + random() % 20)));
                group.spawn([](auto& woke, int i, nanoseconds delay,
                               rt::steady_time start) -> rt::task<> {
                    co_await rt::sleep(delay);
                    auto now = co_await rt::this_task::now();
                    EXPECT_GE(now - start, delay);
                    EXPECT_LE(now - start, delay + grain);
                    woke.emplace_back(i, (now - start).count());
                    // Whom a select picks is the seed's too.
                    auto first = co_await rt::select(rt::consume_budget(), rt::consume_budget());
                    woke.emplace_back(i, static_cast<std::int64_t>(first.index()));
                }(woke, i, delay, start));
            }
            co_return;
        });
        EXPECT_TRUE(all.has_value());
    }(woke));
    return woke;
}

TEST_P(PausedClock, ten_thousand_seeded_sleeps_are_identical_in_two_runs_b60) {
    auto once = ten_thousand(GetParam());
    EXPECT_EQ(once.size(), 20'000u);
    EXPECT_EQ(once, ten_thousand(GetParam()));
}

TEST_P(PausedClock, a_test_may_move_it_by_hand_b60) {
    auto runtime = make();
    auto start = clock.now();
    clock.advance(5s);
    EXPECT_EQ(clock.now() - start, 5s);
    clock.advance_to(start);  // never back
    EXPECT_EQ(clock.now() - start, 5s);
    runtime.block_on([](rt::paused_clock& clock, rt::steady_time start) -> rt::task<> {
        auto sleeper = rt::spawn([]() -> rt::task<> { co_await rt::sleep(1s); }());
        co_await rt::yield_now();
        clock.advance(2s);
        co_await std::move(sleeper);
        EXPECT_EQ(co_await rt::this_task::now(), start + 7s);
    }(clock, start));
}

TEST(PausedClockBuilder, it_needs_current_thread_b20_b60) {
    rt::paused_clock clock;
    std::string why;
    EXPECT_FALSE(rt::runtime::builder().work_stealing().clock(clock).try_build(&why));
    EXPECT_NE(why.find(".current_thread()"), std::string::npos) << why;
    EXPECT_FALSE(rt::runtime::builder().thread_per_core().clock(clock).try_build(&why));
}

}  // namespace
