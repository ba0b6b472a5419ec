// Many timers at once.
#include "support/run.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

class Timers : public EveryRuntime {};
EVERY_RUNTIME(Timers);

constexpr int many = sanitized ? 20'000 : 100'000;

struct firing {
    std::thread::id where;
    std::int64_t tick;
};

rt::task<> one(rt::steady_time deadline, rt::steady_time origin, firing& fired, int& times) {
    co_await rt::sleep_until(deadline);
    EXPECT_GE(std::chrono::steady_clock::now(), deadline) << "early";
    fired = {std::this_thread::get_id(), (deadline - origin).count() >> 16};
    ++times;
}

TEST_P(Timers, a_hundred_thousand_fire_once_and_none_early_b59) {
    run([]() -> rt::task<> {
        std::vector<firing> fired(many);
        std::vector<int> times(many);
        std::mt19937_64 random(59);
        auto origin = co_await rt::this_task::now();
        auto done = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < many; ++i) {
                auto deadline =
                    origin + nanoseconds(static_cast<std::int64_t>(random() % 300'000'000));
                group.spawn(one(deadline, origin, fired[i], times[i]));
            }
            co_return;
        });
        EXPECT_TRUE(done.has_value());
        EXPECT_TRUE(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }));
    });
}

// On one worker they come in the order of their deadlines, to the grain of the wheel.
TEST_P(Timers, one_worker_s_timers_fire_in_the_order_of_their_deadlines_b59) {
    if (GetParam().flavor == rt::runtime_flavor::work_stealing)
        GTEST_SKIP() << "stealing: who resumes first depends on who steals";
    run([]() -> rt::task<> {
        std::mt19937_64 random(60);
        auto origin = co_await rt::this_task::now() + 100ms;  // all are in the wheel by then
        std::vector<std::int64_t> order;
        auto done = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < 5000; ++i) {
                auto after = nanoseconds(static_cast<std::int64_t>(random() % 100'000'000));
                group.spawn([](rt::steady_time deadline, rt::steady_time origin,
                               std::vector<std::int64_t>& order) -> rt::task<> {
                    bool asleep = co_await rt::this_task::now() < origin;
                    co_await rt::sleep_until(deadline);
                    if (asleep) order.push_back((deadline - origin).count());
                }(origin + after, origin, order));
            }
            co_return;
        });
        EXPECT_TRUE(done.has_value());
        // Two deadlines within one grain may be either way round.
        std::int64_t latest = 0;
        for (auto t : order) {
            EXPECT_GE(t, latest - (2 << 16));
            latest = std::max(latest, t);
        }
    });
}

// Sleeps on every worker, each cut short by a stop from another: the wheels' locks and the claims.
TEST_P(Timers, sleeps_that_are_cancelled_from_everywhere_leave_nothing_behind_b54_b59) {
    run([&]() -> rt::task<> {
        std::atomic<int> fired{0}, lost{0};
        auto done = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < 64; ++i) {
                group.spawn([](int i, std::atomic<int>& fired,
                               std::atomic<int>& lost) -> rt::task<> {
                    std::mt19937_64 random(static_cast<std::uint64_t>(i));
                    for (int n = 0; n < 100; ++n) {
                        auto a = std::chrono::microseconds(random() % 400);
                        auto b = std::chrono::microseconds(random() % 400);
                        auto first = co_await rt::select(rt::sleep(a), rt::sleep(b), rt::sleep(1h));
                        ++(first.index() == 2 ? lost : fired);
                    }
                }(i, fired, lost));
            }
            co_return;
        });
        EXPECT_TRUE(done.has_value());
        EXPECT_EQ(fired, 6400);
        EXPECT_EQ(lost, 0);
    });
}

}  // namespace
