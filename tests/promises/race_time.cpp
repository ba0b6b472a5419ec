// Timers. Time itself gives the unit; it is never early, and a tick that nobody took is still due.
#include <chrono>

#include "promises/race.hpp"

using namespace std::chrono_literals;

namespace {

std::chrono::nanoseconds a_moment(int& turn) { return 1us * (turn = (turn * 5 + 3) % 128); }

struct timer_row : race::row {
    static constexpr int cost = 16;  // a tick of the wheel is 66 µs
    static constexpr bool early = true;
    int turn = 1;
};

struct sleep_until_row : timer_row {
    rt::steady_time due;
    auto op() { return rt::sleep_until(due); }
    void take() { EXPECT_GE(std::chrono::steady_clock::now(), due); }
    void give() { due = std::chrono::steady_clock::now() + a_moment(turn); }
};
KERNEL_RACE(a_deadline_b31_b55, "time/sleep:sleep_op", sleep_until_row)

struct sleep_row : sleep_until_row {
    std::chrono::nanoseconds delay{};
    auto op() { return rt::sleep(delay); }
    void give() {
        delay = a_moment(turn);
        due = std::chrono::steady_clock::now() + delay;
    }
};
KERNEL_RACE(a_sleep_b31_b55, "time/sleep:sleep_op", sleep_row)

/// Ticks come in their order, and none is left out.
template <class Waits>
struct tick_row : timer_row {
    static constexpr auto period = 150us;
    rt::interval ticks{period};
    rt::steady_time last{};

    /// Up to the next that is not due yet.
    rt::task<> reset() {
        for (;;) {
            auto first = co_await rt::select(rt::biased, Waits()(ticks), rt::consume_budget());
            if (first.index() != 0) break;
            take(std::get<0>(first));
        }
    }
    auto op() { return Waits()(ticks); }
    void take(std::optional<rt::steady_time> tick) {
        if (last != rt::steady_time())
            EXPECT_EQ((*tick - last).count(), std::chrono::nanoseconds(period).count());
        EXPECT_LE(*tick, std::chrono::steady_clock::now());
        last = *tick;
    }
    void give() {}
};
KERNEL_RACE(a_tick_of_an_interval_b31_b58, "time/interval:tick_op",
            tick_row<decltype([](auto& ticks) { return ticks.tick(); })>)
KERNEL_RACE(a_next_tick_of_an_interval_b31_b58_b82, "time/interval:next_op",
            tick_row<decltype([](auto& ticks) { return ticks.next(); })>)

struct delay_queue_row : timer_row {
    rt::delay_queue<int> queue;
    int inserted = 0;
    auto op() { return queue.next(); }
    void take(std::optional<int> value) { EXPECT_EQ(value, inserted); }
    void give() { queue.insert(++inserted, a_moment(turn)); }
};
KERNEL_RACE(a_value_that_comes_due_b31_b61, "time/delay_queue:next_op", delay_queue_row)

struct timeout_row : race::row {
    std::pair<rt::sender<int>, rt::receiver<int>> ends = rt::channel<int>(1);
    int sent = 0, asked = 0;
    rt::task<> act() {
        auto value = ++asked % 2
                         ? co_await rt::timeout(1h, ends.second.recv())
                         : co_await rt::timeout_at(rt::steady_time::max(), ends.second.recv());
        EXPECT_EQ(*value.value(), sent);
    }
    void give() { EXPECT_TRUE(ends.first.try_send(++sent)); }
};
KERNEL_RACE(a_value_within_a_timeout_b31_b32, "time/timeout:timeout_at", timeout_row)

}  // namespace
