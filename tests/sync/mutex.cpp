// rt::mutex: turns, their order, and what happens to a turn that nobody wants any more.
//
// The children of a join run one at a time, each to its first suspension before the next one
// starts. So a child that waits is known to wait when the next child runs, on every runtime, and no
// test needs a sleep.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sync/helpers.hpp"
import rt;

namespace {

class Mutex : public EveryRuntime {};
EVERY_RUNTIME(Mutex);

rt::task<> append_in_turn(rt::mutex& mutex, std::string& order, char mark) {
    auto guard = co_await mutex.lock();
    order += mark;
    co_await rt::yield_now();
    order += mark;
}

TEST_P(Mutex, turns_are_taken_in_the_order_of_arrival_and_do_not_overlap) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        std::string order;
        co_await rt::join(append_in_turn(mutex, order, 'a'), append_in_turn(mutex, order, 'b'),
                          append_in_turn(mutex, order, 'c'));
        EXPECT_EQ(order, "aabbcc");
    });
}

TEST_P(Mutex, who_unlocks_and_locks_again_goes_behind_those_that_wait) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        std::string order;
        auto twice = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            order += '1';
            co_await rt::yield_now();
            guard.unlock();
            EXPECT_FALSE(mutex.try_lock());  // the turn is the waiter's already
            guard = co_await mutex.lock();
            order += '3';
        };
        auto once = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            order += '2';
        };
        co_await rt::join(twice(), once());
        EXPECT_EQ(order, "123");
    });
}

TEST(MutexAlone, try_lock_needs_no_runtime_and_a_guard_moves) {
    rt::mutex mutex;
    auto first = mutex.try_lock();
    EXPECT_TRUE(first);
    EXPECT_FALSE(mutex.try_lock());
    rt::mutex_guard moved = std::move(*first);
    first.reset();
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(moved.owns_lock());
    moved.unlock();
    EXPECT_FALSE(moved.owns_lock());
    moved.unlock();
    EXPECT_TRUE(mutex.try_lock());
}

TEST(MutexAlone, destroying_a_locked_mutex_stops_the_program) {
    auto destroy_locked = [] {
        auto mutex = std::make_unique<rt::mutex>();
        auto guard = mutex->try_lock();
        mutex.reset();
    };
    EXPECT_DEATH(destroy_locked(), "misuse: a mutex is destroyed while it is locked");
}

TEST_P(Mutex, a_lock_request_that_loses_a_select_passes_the_turn_on_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        rt::notify give_up;
        bool got = false;
        auto held = co_await mutex.lock();
        auto loser = [&]() -> rt::task<> {
            auto first = co_await rt::select(mutex.lock(), give_up.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto next = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            got = true;
        };
        auto holder = [&]() -> rt::task<> {
            give_up.notify_one();
            held.unlock();
            co_return;
        };
        co_await rt::join(loser(), next(), holder());
        EXPECT_TRUE(got);
        EXPECT_TRUE(mutex.try_lock());
    });
}

TEST_P(Mutex, a_lock_request_that_is_stopped_passes_the_turn_on_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        rt::notify stop;
        bool got = false, went_on = false;
        auto held = co_await mutex.lock();
        auto waits = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            went_on = true;
        };
        auto stopped = [&]() -> rt::task<> {
            co_await rt::select(rt::biased, rt::allow_loss(waits()), stop.wait());
        };
        auto next = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            got = true;
        };
        auto holder = [&]() -> rt::task<> {
            stop.notify_one();
            co_await rt::yield_now();
            held.unlock();
        };
        co_await rt::join(stopped(), next(), holder());
        EXPECT_TRUE(got);
        EXPECT_FALSE(went_on);
        EXPECT_TRUE(mutex.try_lock());
    });
}

// The result that was there wins: the task goes on with its guard, stops at its next suspension,
// and the guard's destructor passes the turn on.
TEST_P(Mutex, a_lock_that_was_granted_before_the_stop_passes_the_turn_on_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        rt::notify stop;
        bool got = false, went_on = false, went_further = false;
        auto held = co_await mutex.lock();
        auto waits = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            went_on = true;
            co_await rt::yield_now();
            went_further = true;
        };
        auto stopped = [&]() -> rt::task<> {
            co_await rt::select(rt::biased, rt::allow_loss(waits()), stop.wait());
        };
        auto next = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            got = true;
        };
        auto holder = [&]() -> rt::task<> {
            held.unlock();
            stop.notify_one();
            co_return;
        };
        co_await rt::join(stopped(), next(), holder());
        EXPECT_TRUE(got);
        EXPECT_TRUE(went_on);
        EXPECT_FALSE(went_further);
        EXPECT_TRUE(mutex.try_lock());
    });
}

TEST_P(Mutex, an_operation_that_holds_a_turn_and_is_never_resumed_passes_it_on_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        {
            auto granted = mutex.lock();
            EXPECT_TRUE(granted.try_now());
            EXPECT_FALSE(mutex.try_lock());
        }
        EXPECT_TRUE(mutex.try_lock());
        co_return;
    });
}

TEST_P(Mutex, a_stop_that_meets_the_grant_leaves_one_of_them_b40_b54) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        auto waits = [&]() -> rt::task<> { auto guard = co_await mutex.lock(); };
        for (std::size_t i = 0; i < 5000; ++i) {
            auto held = co_await mutex.lock();
            auto first = spawn_across(1, waits()), second = spawn_across(i, waits());
            co_await rt::yield_now();
            auto stop = [&]() -> rt::task<> {
                first.stop();
                co_return;
            };
            auto stops = spawn_across(1, stop());
            held.unlock();
            co_await stops;
            co_await second;
            (void)co_await first.outcome();
        }
        EXPECT_TRUE(mutex.try_lock());
    });
}

TEST_P(Mutex, counts_under_a_lock_add_up_with_random_stops_b40_b54) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        rt::notify never;
        long counted = 0;  // guarded by the mutex
        std::vector<long> done(8);
        auto worker = [&](unsigned seed, long& mine) -> rt::task<> {
            std::mt19937 random(seed);
            for (int i = 0; i < 10000; ++i) {
                if (random() % 4 == 0) {
                    auto first = co_await rt::select(mutex.lock(), never.wait());
                    if (auto* guard = std::get_if<0>(&first); guard != nullptr) {
                        ++counted;
                        ++mine;
                        if (random() % 8 == 0) co_await rt::yield_now();
                    }
                } else {
                    auto guard = co_await mutex.lock();
                    ++counted;
                    ++mine;
                    if (random() % 8 == 0) co_await rt::yield_now();
                }
            }
        };
        std::mt19937 random(40);
        for (int round = 0; round < 6; ++round) {
            std::vector<rt::join_handle<>> tasks;
            for (auto& mine : done)
                tasks.push_back(spawn_across(tasks.size(), worker(random(), mine)));
            for (int i = 0; i < 1000; ++i) {
                if (random() % 64 == 0) tasks[random() % tasks.size()].stop();
                if (random() % 4 == 0) never.notify_all();
                co_await rt::yield_now();
            }
            for (auto& task : tasks) (void)co_await task.outcome();
        }
        long sum = 0;
        for (auto mine : done) sum += mine;
        EXPECT_EQ(sum, counted);
        EXPECT_TRUE(mutex.try_lock());
    });
}

}  // namespace
