// rt::notify: one notification is kept, all are not, and none is lost with a task that leaves.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sync/helpers.hpp"
import rt;

namespace {

class Notify : public EveryRuntime {};
EVERY_RUNTIME(Notify);

/// Whether the bell has a notification stored; takes it.
bool take_stored(rt::notify& bell) { return bell.wait().try_now(); }

TEST(NotifyAlone, many_notifications_that_nobody_waits_for_are_one_b43) {
    rt::notify bell;
    EXPECT_FALSE(take_stored(bell));
    bell.notify_one();
    bell.notify_one();
    auto first = bell.wait();
    EXPECT_TRUE(first.try_now());
    first.await_resume();
    EXPECT_FALSE(take_stored(bell));
}

TEST(NotifyAlone, a_notification_that_is_never_taken_goes_to_the_next_b43) {
    rt::notify bell;
    bell.notify_one();
    {
        EXPECT_TRUE(bell.wait().try_now());
    }
    auto next = bell.wait();
    EXPECT_TRUE(next.try_now());
    next.await_resume();
}

TEST_P(Notify, notify_one_before_a_wait_completes_the_next_wait_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        bell.notify_one();
        co_await bell.wait();
        EXPECT_FALSE(take_stored(bell));
    });
}

TEST_P(Notify, notify_one_wakes_the_one_that_waits_longest_and_stores_nothing_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        std::string order;
        auto waits = [&](char mark) -> rt::task<> {
            co_await bell.wait();
            order += mark;
        };
        auto rings = [&]() -> rt::task<> {
            bell.notify_one();
            co_await rt::yield_now();
            EXPECT_EQ(order, "a");
            bell.notify_one();
        };
        co_await rt::join(waits('a'), waits('b'), rings());
        EXPECT_EQ(order, "ab");
        EXPECT_FALSE(take_stored(bell));
    });
}

TEST_P(Notify, notify_all_wakes_exactly_those_that_wait_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        int woken = 0;
        bool late = false;
        auto waits = [&]() -> rt::task<> {
            co_await bell.wait();
            ++woken;
        };
        auto rings = [&]() -> rt::task<> {
            bell.notify_all();
            co_return;
        };
        auto comes_late = [&]() -> rt::task<> {
            co_await bell.wait();
            late = true;
        };
        auto ends = [&]() -> rt::task<> {
            while (woken < 3) co_await rt::yield_now();
            EXPECT_FALSE(late);
            bell.notify_one();
        };
        co_await rt::join(waits(), waits(), waits(), rings(), comes_late(), ends());
        EXPECT_TRUE(late);
    });
}

TEST_P(Notify, who_has_called_wait_is_woken_by_notify_all_before_the_await_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        auto early = bell.wait();
        bell.notify_all();
        auto late = bell.wait();
        co_await std::move(early);
        EXPECT_FALSE(late.try_now());
    });
}

TEST_P(Notify, one_that_notify_all_has_woken_leaves_the_stored_notification_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        auto early = bell.wait();
        bell.notify_all();
        bell.notify_one();
        co_await std::move(early);
        co_await bell.wait();
        EXPECT_FALSE(take_stored(bell));
    });
}

TEST_P(Notify, a_waiter_that_loses_a_select_leaves_the_notification_to_the_next_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell, other;
        bool got = false;
        auto loser = [&]() -> rt::task<> {
            auto first = co_await rt::select(bell.wait(), other.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto next = [&]() -> rt::task<> {
            co_await bell.wait();
            got = true;
        };
        auto rings = [&]() -> rt::task<> {
            other.notify_one();
            bell.notify_one();  // the loser is still in the list, and cannot be claimed any more
            co_return;
        };
        co_await rt::join(loser(), next(), rings());
        EXPECT_TRUE(got);
    });
}

TEST_P(Notify, a_notification_for_a_loser_alone_is_stored_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell, other;
        auto loser = [&]() -> rt::task<> { (void)co_await rt::select(bell.wait(), other.wait()); };
        auto rings = [&]() -> rt::task<> {
            other.notify_one();
            bell.notify_one();
            co_return;
        };
        co_await rt::join(loser(), rings());
        EXPECT_TRUE(take_stored(bell));
    });
}

TEST(NotifyAlone, destroying_one_that_is_waited_for_stops_the_program) {
    auto destroy = [] {
        auto bell = std::make_unique<rt::notify>();
        auto waits = bell->wait();
        (void)waits.enlist();
        bell.reset();
    };
    EXPECT_DEATH(destroy(), "misuse: a notify is destroyed while a task waits for it");
}

// Each of the notify_one calls is made after the one before was consumed. So their number is what
// the tasks have received, whatever stops and lost selects there are on the way.
TEST_P(Notify, no_notification_is_lost_under_random_stops_b43_b54) {
    run([&]() -> rt::task<> {
        rt::notify bell, other;
        std::atomic<int> received{0};
        auto waiter = [&](unsigned seed) -> rt::task<> {
            std::mt19937 random(seed);
            for (;;) {
                if (random() % 2) {
                    co_await bell.wait();
                    received.fetch_add(1);
                } else if ((co_await rt::select(bell.wait(), other.wait())).index() == 0) {
                    received.fetch_add(1);
                }
            }
        };
        std::mt19937 random(43);
        std::vector<rt::join_handle<>> tasks;
        for (std::size_t i = 0; i < 6; ++i) tasks.push_back(spawn_across(i, waiter(random())));
        for (int sent = 1; sent <= 1500; ++sent) {
            bell.notify_one();
            while (received.load() < sent) {
                auto& task = tasks[random() % tasks.size()];
                if (random() % 4 == 0) {
                    task.stop();
                    (void)co_await task.outcome();
                    task = spawn_across(random() % 4, waiter(random()));
                }
                if (random() % 4 == 0) other.notify_all();
                co_await rt::yield_now();
            }
        }
        for (auto& task : tasks) task.stop();
        for (auto& task : tasks) (void)co_await task.outcome();
        EXPECT_EQ(received.load(), 1500);
    });
}

}  // namespace
