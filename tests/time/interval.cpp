// Intervals: ticks at fixed instants, and what happens to those that were missed.
#include "time/helpers.hpp"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <vector>

namespace {

// Whole grains of the wheel, so that the paused clock stands at the very instants.
constexpr auto period = grain * 1000;

rt::runtime paused_runtime(rt::paused_clock& clock) {
    return rt::runtime::builder().current_thread().clock(clock).build();
}

/// When each tick came and what it was due at, in periods after the start; work[i] follows tick i.
struct row {
    rt::missed_ticks missed;
    std::vector<double> work;
    std::vector<double> came;
    std::vector<double> due;
};

rt::task<> check(row wanted) {
    rt::interval every(period, wanted.missed);
    auto start = co_await rt::this_task::now();
    for (std::size_t i = 0; i < wanted.came.size(); ++i) {
        auto due = co_await every.tick();
        auto now = co_await rt::this_task::now();
        EXPECT_EQ((now - start) / 1.0 / period, wanted.came[i]) << "tick " << i;
        EXPECT_EQ((due - start) / 1.0 / period, wanted.due[i]) << "tick " << i;
        if (i < wanted.work.size() && wanted.work[i] > 0)
            co_await rt::sleep(nanoseconds(static_cast<long>(wanted.work[i] * period.count())));
    }
}

TEST(Interval, ticks_come_at_the_instants_of_the_table_b58) {
    using enum rt::missed_ticks;
    const std::vector<row> table = {
        // Nothing missed: all three are alike, whatever the work took.
        {burst, {0, 0.5, 0.25}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
        {delay, {0, 0.5, 0.25}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
        {skip, {0, 0.5, 0.25}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}},
        // Three and a half periods of work after tick 1.
        {burst, {0, 3.5}, {0, 1, 4.5, 4.5, 4.5, 5, 6}, {0, 1, 2, 3, 4, 5, 6}},
        {delay, {0, 3.5}, {0, 1, 4.5, 5.5, 6.5}, {0, 1, 2, 5.5, 6.5}},
        {skip, {0, 3.5}, {0, 1, 4.5, 5, 6}, {0, 1, 2, 5, 6}},
        // Exactly on a later tick.
        {burst, {3}, {0, 3, 3, 3, 4}, {0, 1, 2, 3, 4}},
        {delay, {3}, {0, 3, 4, 5}, {0, 1, 4, 5}},
        {skip, {3}, {0, 3, 4, 5}, {0, 1, 4, 5}},
    };
    for (auto& wanted : table) {
        SCOPED_TRACE(static_cast<int>(wanted.missed));
        rt::paused_clock clock;
        auto runtime = paused_runtime(clock);
        runtime.block_on(check(wanted));
    }
}

TEST(Interval, a_period_of_0_or_less_is_refused_b58) {
    EXPECT_THROW(rt::interval(0ms), std::invalid_argument);
    EXPECT_THROW(rt::interval(-1ms), std::invalid_argument);
    EXPECT_THROW(rt::interval{std::chrono::hours::min()}, std::invalid_argument);
}

TEST(Interval, reset_puts_the_next_tick_a_period_from_now_b58_b56) {
    rt::paused_clock clock;
    auto runtime = paused_runtime(clock);
    runtime.block_on([]() -> rt::task<> {
        rt::interval every(period);
        auto start = co_await every.tick();
        co_await rt::sleep(period / 4);
        every.reset();
        EXPECT_EQ(co_await every.tick(), start + period / 4 + period);
        EXPECT_EQ(co_await rt::this_task::now(), start + period / 4 + period);
        EXPECT_EQ(co_await every.tick(), start + period / 4 + 2 * period);
    }());
}

TEST(Interval, a_tick_that_lost_a_select_is_still_due_b58_b31) {
    rt::paused_clock clock;
    auto runtime = paused_runtime(clock);
    runtime.block_on([]() -> rt::task<> {
        rt::interval every(period);
        auto start = co_await every.tick();
        for (int i = 0; i < 3; ++i) {
            auto first = co_await rt::select(rt::sleep(period / 8), every.tick());
            EXPECT_EQ(first.index(), 0u);
        }
        EXPECT_EQ(co_await every.tick(), start + period);
        // Both due at the same instant: whichever wins, the tick is not lost.
        auto first = co_await rt::select(rt::biased, rt::sleep(period), every.tick());
        if (first.index() == 0) {
            EXPECT_EQ(co_await every.tick(), start + 2 * period);
        }
        EXPECT_EQ(co_await every.tick(), start + 3 * period);
    }());
}

TEST(Interval, a_period_without_end_ticks_once_b57_b58) {
    rt::paused_clock clock;
    auto runtime = paused_runtime(clock);
    runtime.block_on([]() -> rt::task<> {
        rt::interval every(std::chrono::hours::max());
        (void)co_await every.tick();
        auto first = co_await rt::select(every.tick(), rt::sleep(1000h));
        EXPECT_EQ(first.index(), 1u);
    }());
}

TEST(Interval, it_is_a_stream_that_never_ends) {
    rt::paused_clock clock;
    auto runtime = paused_runtime(clock);
    runtime.block_on([]() -> rt::task<> {
        rt::interval every(period);
        auto a = co_await every.next();
        auto b = co_await every.next();
        EXPECT_TRUE(a && b);
        EXPECT_EQ(*b - *a, period);
    }());
}

}  // namespace
