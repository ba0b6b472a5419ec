// The timer wheel against a model: a sorted map that does the same thing slowly.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>
import rt;

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

constexpr std::int64_t tick = 1 << 16;  // the grain that deadlines round up to

struct timer : rt::timer_node {
    rt::steady_time deadline;
    std::vector<timer*>* log = nullptr;
    int fires = 0;

    timer() {
        fired = [](rt::timer_node& node) noexcept {
            auto& self = static_cast<timer&>(node);
            ++self.fires;
            if (self.log) self.log->push_back(&self);
        };
    }
};

/// A clock that stands wherever a test puts it, before its epoch too.
struct any_clock final : rt::clock_source {
    rt::steady_time at{};
    rt::steady_time now() noexcept override { return at; }
    bool paused() const noexcept override { return true; }
    void advance_to(rt::steady_time to) noexcept override { at = std::max(at, to); }
};

std::uint64_t ticks_since(rt::steady_time origin, rt::steady_time t) {
    return static_cast<std::uint64_t>((t - origin).count()) / tick;
}
std::uint64_t ticks_up(rt::steady_time origin, rt::steady_time t) {
    if (t <= origin) return 0;
    return (static_cast<std::uint64_t>((t - origin).count()) + tick - 1) / tick;
}

TEST(Wheel, an_empty_wheel_has_no_deadline) {
    rt::paused_clock clock;
    rt::timer_wheel wheel(clock);
    EXPECT_FALSE(wheel.next_deadline());
    EXPECT_EQ(wheel.advance(clock.now() + 1h), 0u);
    EXPECT_FALSE(wheel.next_deadline());
}

TEST(Wheel, a_timer_fires_at_its_deadline_rounded_up_and_not_before_b55) {
    rt::paused_clock clock;
    rt::timer_wheel wheel(clock);
    auto start = clock.now();
    for (auto delay : {1ns, nanoseconds(tick - 1), nanoseconds(tick), nanoseconds(tick + 1),
                       nanoseconds(64 * tick), nanoseconds(1s), nanoseconds(90 * 24h)}) {
        rt::timer_wheel fresh(clock);
        timer t;
        fresh.insert(t, start + delay);
        auto rounded = nanoseconds((delay.count() + tick - 1) / tick * tick);
        EXPECT_EQ(fresh.advance(start + rounded - 1ns), 0u) << delay.count();
        EXPECT_EQ(fresh.advance(start + rounded), 1u) << delay.count();
        EXPECT_EQ(t.fires, 1);
        EXPECT_FALSE(fresh.remove(t));
    }
}

TEST(Wheel, a_deadline_in_the_past_fires_at_the_next_tick_b55) {
    rt::paused_clock clock;
    rt::timer_wheel wheel(clock);
    auto start = clock.now();
    wheel.advance(start + 10s);
    timer past, before_the_wheel, first_of_all;
    wheel.insert(past, start + 5s);
    wheel.insert(before_the_wheel, start - 5s);
    wheel.insert(first_of_all, rt::steady_time::min());
    EXPECT_EQ(wheel.advance(start + 10s + nanoseconds(tick)), 3u);
}

TEST(Wheel, a_removed_timer_never_fires_and_a_fired_one_cannot_be_removed) {
    rt::paused_clock clock;
    rt::timer_wheel wheel(clock);
    auto start = clock.now();
    timer a, b, c;
    for (auto* t : {&a, &b, &c}) wheel.insert(*t, start + 1ms);  // one slot
    EXPECT_TRUE(wheel.remove(b));
    EXPECT_FALSE(wheel.remove(b));
    EXPECT_EQ(wheel.advance(start + 2ms), 2u);
    EXPECT_EQ(b.fires, 0);
    EXPECT_FALSE(wheel.remove(a));
    EXPECT_FALSE(wheel.next_deadline());
    wheel.insert(b, start + 3ms);  // a node may be used again
    EXPECT_EQ(wheel.advance(start + 4ms), 1u);
    EXPECT_EQ(b.fires, 1);
}

TEST(Wheel, the_far_future_neither_overflows_nor_fires_b57) {
    any_clock clock;
    // Before the epoch, at it, after it: the distance to max() does not fit nanoseconds at the
    // first.
    for (auto origin :
         {rt::steady_time(-200 * 365 * 24h), rt::steady_time{}, rt::steady_time(200 * 365 * 24h)}) {
        clock.at = origin;
        rt::timer_wheel wheel(clock);
        timer year, century, never;
        wheel.insert(year, origin + 365 * 24h);
        wheel.insert(century, origin + 90 * 365 * 24h);
        wheel.insert(never, rt::steady_time::max());
        EXPECT_EQ(wheel.advance(origin + 364 * 24h), 0u);
        EXPECT_EQ(wheel.advance(origin + 365 * 24h + 1ms), 1u);
        EXPECT_EQ(year.fires, 1);
        EXPECT_EQ(wheel.advance(origin + 89 * 365 * 24h), 0u);
        EXPECT_EQ(wheel.advance(origin + 90 * 365 * 24h + 1ms), 1u);
        EXPECT_EQ(century.fires, 1);
        EXPECT_FALSE(wheel.next_deadline());
        EXPECT_EQ(wheel.advance(rt::steady_time::max()), 0u);
        EXPECT_EQ(never.fires, 0);
        EXPECT_TRUE(wheel.remove(never));
    }
}

TEST(Wheel, a_century_takes_few_steps_b57) {
    rt::paused_clock clock;
    rt::timer_wheel wheel(clock);
    timer t;
    wheel.insert(t, clock.now() + 100 * 365 * 24h);
    int steps = 0;
    for (; t.fires == 0 && steps < 1000; ++steps) {
        auto next = wheel.next_deadline();
        ASSERT_TRUE(next);
        clock.advance_to(*next);
        wheel.advance(clock.now());
    }
    EXPECT_LT(steps, 100);
}

/// Random inserts, removes and steps of time, against a map from tick to timers. The wheel is
/// advanced where it says that it is due, and only now and then elsewhere.
void compare_with_model(std::uint64_t seed, rt::steady_time origin, int steps) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    any_clock clock;
    clock.at = origin;
    rt::timer_wheel wheel(clock);
    std::multimap<std::uint64_t, timer*> model;
    std::vector<timer*> log, idle, never;
    std::vector<std::unique_ptr<timer>> all;
    auto now_tick = std::uint64_t{0};

    auto up_to = [&](int bits) {
        return static_cast<std::int64_t>(random() >>
                                         (64 - 1 - random() % static_cast<unsigned>(bits)));
    };
    for (int step = 0; step < steps; ++step) {
        switch (random() % 8) {
            case 0:
            case 1:
            case 2:
            case 3: {  // insert: near, far, past, never
                if (idle.empty()) {
                    all.push_back(std::make_unique<timer>());
                    all.back()->log = &log;
                    idle.push_back(all.back().get());
                }
                auto* t = idle.back();
                idle.pop_back();
                auto kind = random() % 16;
                auto distance = nanoseconds(up_to(kind < 8 ? 28 : kind < 14 ? 45 : 62));
                t->deadline = kind == 15   ? rt::steady_time::max()
                              : kind == 14 ? clock.at - std::min(distance, nanoseconds(1h))
                              : distance > rt::steady_time::max() - std::max(clock.at, {})
                                  ? rt::steady_time::max()
                                  : clock.at + distance;
                wheel.insert(*t, t->deadline);
                if (t->deadline == rt::steady_time::max()) {
                    never.push_back(t);
                    break;
                }
                auto up = ticks_up(origin, t->deadline);
                model.emplace(std::max(up, now_tick + 1), t);
                break;
            }
            case 4: {  // remove
                if (!never.empty() && random() % 4 == 0) {
                    EXPECT_TRUE(wheel.remove(*never.back()));
                    idle.push_back(never.back());
                    never.pop_back();
                }
                if (model.empty()) break;
                auto at = model.begin();
                std::advance(at, static_cast<std::ptrdiff_t>(
                                     random() % std::min<std::size_t>(model.size(), 64)));
                EXPECT_TRUE(wheel.remove(*at->second));
                idle.push_back(at->second);
                model.erase(at);
                break;
            }
            case 5: {  // straight to the next deadline, as a paused clock does
                auto next = wheel.next_deadline();
                ASSERT_EQ(next.has_value(), !model.empty());
                if (!next) break;
                auto first = model.begin()->first;
                ASSERT_LE(ticks_since(origin, *next), first);
                if (*next >= rt::steady_time::max() - 400 * 24h) break;
                clock.advance_to(*next);
                ASSERT_TRUE(wheel.due(clock.at)) << "nobody would advance it";
                break;
            }
            default: {
                auto distance = nanoseconds(up_to(random() % 16 == 0 ? 50 : 30));
                if (distance < rt::steady_time::max() - std::max(clock.at, {}) - 400 * 24h)
                    clock.advance_to(clock.at + distance);
            }
        }
        ASSERT_TRUE(model.empty() || !wheel.empty());
        log.clear();
        if (random() % 4 == 0 || (!wheel.empty() && wheel.due(clock.at))) {
            auto fired = wheel.advance(clock.at);
            now_tick = ticks_since(origin, clock.at);
            ASSERT_EQ(fired, log.size());
        }
        for (auto* t : log) {
            ASSERT_GE(clock.at, t->deadline) << "early";
            auto [from, to] = model.equal_range(model.begin()->first);
            auto at = std::find_if(from, to, [&](auto& entry) { return entry.second == t; });
            ASSERT_NE(at, to) << "not in the order of deadlines, or fired twice";
            model.erase(at);
            idle.push_back(t);
        }
        ASSERT_TRUE(model.empty() || model.begin()->first > ticks_since(origin, clock.at))
            << "a timer was forgotten";
    }
    for (auto& [due, t] : model) ASSERT_TRUE(wheel.remove(*t));
    for (auto* t : never) ASSERT_TRUE(wheel.remove(*t));
    EXPECT_FALSE(wheel.next_deadline());
}

TEST(Wheel, it_does_what_a_sorted_map_does_b55_b57_b59) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        compare_with_model(seed, rt::steady_time(1h), 4000);
        compare_with_model(seed + 1000, rt::steady_time{}, 500);
        compare_with_model(seed + 2000, rt::steady_time(-100 * 365 * 24h), 500);
        if (testing::Test::HasFatalFailure()) return;
    }
}

}  // namespace
