// The unbounded channel, senders that do not keep a channel open, and the ends for plain threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/run.hpp"
import rt;

namespace {

class Unbounded : public EveryRuntime {};
EVERY_RUNTIME(Unbounded);

TEST(UnboundedAlone, takes_any_number_without_waiting_and_gives_them_in_order_b46) {
    auto [tx, rx] = rt::unbounded_channel<int>();
    int next = 0;
    for (int i = 0; i < 10'000; ++i) {
        tx.send(i).value();
        if (i % 3 == 0) EXPECT_EQ(rx.try_recv().value(), next++);
    }
    while (auto value = rx.try_recv()) EXPECT_EQ(*value, next++);
    EXPECT_EQ(next, 10'000);
    EXPECT_EQ(rx.try_recv().error(), std::errc::operation_would_block);
    {
        auto last = std::move(tx);
    }
    EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
}

TEST(UnboundedAlone, a_refused_value_stays_with_the_caller_and_queued_ones_can_be_received_b46) {
    auto [tx, rx] = rt::unbounded_channel<std::unique_ptr<int>>();
    tx.send(std::make_unique<int>(1)).value();
    rx.close();
    auto kept = std::make_unique<int>(2);
    EXPECT_EQ(tx.send(std::move(kept)).error(), rt::errc::closed);
    EXPECT_EQ(*kept, 2);
    EXPECT_EQ(**rx.try_recv(), 1);
    EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
    EXPECT_TRUE(tx.is_closed());
}

TEST(UnboundedAlone, what_nobody_has_received_is_destroyed_once_b49) {
    auto alive = std::make_shared<int>();
    {
        auto [tx, rx] = rt::unbounded_channel<std::shared_ptr<int>>();
        for (int i = 0; i < 1000; ++i) tx.send(alive).value();
        for (int i = 0; i < 333; ++i) (void)rx.try_recv();
        EXPECT_EQ(alive.use_count(), 668);
        {
            auto gone = std::move(rx);
        }
        EXPECT_EQ(alive.use_count(), 1);
        EXPECT_EQ(tx.send(alive).error(), rt::errc::closed);
    }
    EXPECT_EQ(alive.use_count(), 1);
}

TEST_P(Unbounded, a_receive_waits_for_what_other_tasks_and_threads_send_b46) {
    run([]() -> rt::task<> {
        constexpr int senders = 4, each = 20'000;
        auto [tx, rx] = rt::unbounded_channel<std::pair<int, int>>();
        std::vector<std::thread> threads;
        std::vector<rt::join_handle<>> tasks;
        auto sends = [](rt::unbounded_sender<std::pair<int, int>> to, int who) {
            for (int i = 0; i < each; ++i) to.send({who, i}).value();
        };
        for (int i = 0; i < senders; ++i) {
            if (i % 2) {
                threads.emplace_back(sends, tx, i);
            } else {
                tasks.push_back(rt::spawn(
                    [sends](rt::unbounded_sender<std::pair<int, int>> to, int i) -> rt::task<> {
                        sends(std::move(to), i);
                        co_return;
                    },
                    tx, i));
            }
        }
        {
            auto last = std::move(tx);
        }
        int next[senders] = {};
        std::vector<std::pair<int, int>> some;
        while (co_await rx.recv_many(some, 100) != 0) {
            for (auto [who, i] : some) EXPECT_EQ(i, next[who]++);
            some.clear();
        }
        for (int n : next) EXPECT_EQ(n, each);
        for (auto& t : threads) t.join();
        for (auto& t : tasks) co_await t;
    });
}

template <class Channel>
void weak_senders_do_not_keep_it_open(Channel ends) {
    auto [tx, rx] = std::move(ends);
    auto weak = tx.downgrade();
    auto copy = weak;
    {
        auto strong = weak.upgrade();
        EXPECT_TRUE(strong);
        {
            auto first = std::move(tx);
        }
        EXPECT_EQ(rx.try_recv().error(), std::errc::operation_would_block);  // open by *strong
        EXPECT_TRUE(copy.upgrade());
    }
    EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
    EXPECT_FALSE(weak.upgrade());
    {
        auto gone = std::move(rx);
    }
    copy = weak;
    EXPECT_FALSE(copy.upgrade());
}

TEST(UnboundedAlone, weak_senders_do_not_keep_a_channel_open_b50) {
    weak_senders_do_not_keep_it_open(rt::channel<int>(1));
    weak_senders_do_not_keep_it_open(rt::unbounded_channel<int>());
}

TEST_P(Unbounded, a_weak_sender_that_upgrades_in_a_race_sends_or_sees_the_end_b50) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 300; ++i) {
            auto [tx, rx] = rt::unbounded_channel<int>();
            std::atomic<bool> sent{false};
            std::thread other([weak = tx.downgrade(), &sent] {
                if (auto strong = weak.upgrade()) sent = strong->send(1).has_value();
            });
            {
                auto last = std::move(tx);
            }
            auto value = co_await rx.recv();
            other.join();
            EXPECT_EQ(value.has_value(), sent.load());
        }
    });
}

TEST_P(Unbounded, plain_threads_wait_at_either_end) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(2);
        auto [back, answers] = rt::channel<int>(2);
        std::thread other([rx = std::move(rx), back = std::move(back)]() mutable {
            while (auto value = rx.blocking_recv()) (void)back.blocking_send(*value * 2);
        });
        auto asks = [](rt::sender<int> to) -> rt::task<> {
            for (int i = 0; i < 100; ++i) (co_await to.send(i)).value();
        };
        auto asking = rt::spawn(asks, std::move(tx));
        for (int i = 0; i < 100; ++i) EXPECT_EQ(co_await answers.recv(), 2 * i);
        EXPECT_FALSE(co_await answers.recv());
        co_await asking;
        other.join();
    });
}

TEST(SyncWait, runs_a_task_on_a_plain_thread) {
    auto [tx, rx] = rt::channel<int>(1);
    auto sums = [](rt::receiver<int>& rx) -> rt::task<int> {
        int sum = 0;
        while (auto value = co_await rx.recv()) sum += *value;
        co_return sum;
    };
    std::thread other([tx = std::move(tx)]() mutable {
        for (int i = 0; i < 100; ++i) tx.blocking_send(i).value();
    });
    EXPECT_EQ(rt::sync_wait(sums(rx)), 4950);
    other.join();
    auto throws = []() -> rt::task<> {
        throw 7;
        co_return;
    };
    EXPECT_THROW(rt::sync_wait(throws()), int);
}

TEST(SyncWait, in_a_task_it_is_misuse) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto waits = []() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        (void)rx.blocking_recv();
        co_return;
    };
    auto go = [&] { rt::runtime::builder().current_thread().build().block_on(waits()); };
    EXPECT_DEATH(go(), "misuse: sync_wait, or what blocks by it, inside a task");
}

}  // namespace
