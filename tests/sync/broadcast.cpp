// rt::broadcast: every value to every receiver, and what a slow one is told.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "sync/helpers.hpp"
import rt;

namespace {

class Broadcast : public EveryRuntime {};
EVERY_RUNTIME(Broadcast);

TEST(BroadcastAlone, each_receiver_gets_each_value_from_its_subscription_on) {
    auto [tx, one] = rt::broadcast<std::string>(8);
    EXPECT_EQ(tx.send("a").value(), 1u);
    auto two = tx.subscribe();
    auto three = one.resubscribe();
    EXPECT_EQ(tx.receivers(), 3u);
    EXPECT_EQ(tx.send("b").value(), 3u);
    EXPECT_EQ(one.try_recv().value(), "a");
    EXPECT_EQ(one.try_recv().value(), "b");
    EXPECT_EQ(one.try_recv().error(), std::errc::operation_would_block);
    EXPECT_EQ(two.try_recv().value(), "b");
    EXPECT_EQ(three.try_recv().value(), "b");
}

TEST(BroadcastAlone, a_slow_receiver_is_told_once_how_many_it_missed_b52) {
    for (std::size_t capacity : {1u, 3u, 4u}) {
        auto [tx, rx] = rt::broadcast<int>(capacity);
        int sent = 0;
        for (int round = 0; round < 5; ++round) {
            auto first = sent;
            for (int i = 0; i < 10; ++i) tx.send(sent++).value();
            EXPECT_EQ(rx.try_recv().error(), rt::errc::lagged);
            EXPECT_EQ(rx.missed(), 10 - capacity);
            for (auto i = first + 10 - static_cast<int>(capacity); i < sent; ++i)
                EXPECT_EQ(rx.try_recv().value(), i);
            EXPECT_EQ(rx.try_recv().error(), std::errc::operation_would_block);
        }
        tx.send(1).value();
        tx.send(2).value();
        {
            auto last = std::move(tx);
        }
        if (capacity == 1) {
            EXPECT_EQ(rx.try_recv().error(), rt::errc::lagged);
            EXPECT_EQ(rx.missed(), 1u);
        } else {
            EXPECT_EQ(rx.try_recv().value(), 1);
        }
        EXPECT_EQ(rx.try_recv().value(), 2);
        EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
        EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
    }
}

TEST(BroadcastAlone, without_receivers_the_value_stays_with_the_caller) {
    auto [tx, rx] = rt::broadcast<std::string>(2);
    {
        auto gone = std::move(rx);
    }
    std::string value = "kept";
    EXPECT_EQ(tx.send(std::move(value)).error(), rt::errc::closed);
    EXPECT_EQ(value, "kept");
    auto later = tx.subscribe();
    EXPECT_TRUE(tx.send(std::move(value)));
    EXPECT_EQ(later.try_recv().value(), "kept");
}

struct picky {
    explicit picky(int n) : n(n) {}
    picky(picky&&) noexcept = default;
    picky(const picky& other) : n(other.n) {
        if (n == 13) throw std::runtime_error("13");
    }
    int n;
};

TEST(BroadcastAlone, a_copy_that_throws_loses_that_one_value_b52) {
    auto [tx, rx] = rt::broadcast<picky>(4);
    for (int n : {12, 13, 14}) tx.send(picky(n)).value();
    EXPECT_EQ(rx.try_recv().value().n, 12);
    EXPECT_THROW((void)rx.try_recv(), std::runtime_error);
    EXPECT_EQ(rx.try_recv().value().n, 14);
}

TEST(BroadcastAlone, its_ends_are_assigned) {
    auto [tx, rx] = rt::broadcast<int>(4);
    auto [other_tx, other_rx] = rt::broadcast<int>(4);
    tx.send(1).value();
    other_rx = std::move(rx);
    EXPECT_EQ(other_rx.try_recv().value(), 1);
    EXPECT_EQ(other_tx.send(2).error(), rt::errc::closed) << "its receiver has gone";
    other_tx = tx;
    tx = std::move(other_tx);
    tx.send(3).value();
    EXPECT_EQ(other_rx.try_recv().value(), 3);
}

TEST(BroadcastAlone, capacity_0_is_misuse) {
    EXPECT_DEATH((void)rt::broadcast<int>(0), "misuse: a broadcast with capacity 0");
}

TEST_P(Broadcast, receivers_wait_and_see_the_end) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::broadcast<int>(16);
        auto sums = [](rt::broadcast_receiver<int> rx) -> rt::task<int> {
            int sum = 0;
            while (auto value = co_await rx.recv()) sum += *value;
            co_return sum;
        };
        std::vector<rt::join_handle<int>> all;
        for (int i = 0; i < 5; ++i) all.push_back(rt::spawn(sums(tx.subscribe())));
        all.push_back(rt::spawn(sums(std::move(rx))));
        for (int i = 1; i <= 10; ++i) {
            tx.send(i).value();
            co_await rt::yield_now();
        }
        {
            auto last = std::move(tx);
        }
        for (auto& h : all) EXPECT_EQ(co_await h, 55);
    });
}

// Each receiver gets every value or is told of it, whatever it loses to other arms.
TEST_P(Broadcast, values_and_misses_add_up_under_selects_and_stops_b31_b54) {
    run([]() -> rt::task<> {
        static constexpr std::uint64_t values = 5'000;
        auto [tx, first] = rt::broadcast<std::uint64_t>(7);
        auto receives = [](rt::broadcast_receiver<std::uint64_t> rx, unsigned seed) -> rt::task<> {
            std::minstd_rand random(seed);
            std::uint64_t next = 0;
            for (;;) {
                auto item = co_await rt::select(
                    rx.recv(), rt::sleep(std::chrono::microseconds(random() % 2 * 1000)));
                if (item.index() == 1) continue;
                auto& value = std::get<0>(item);
                if (value) {
                    EXPECT_EQ(*value, next++);
                } else if (value.error() == rt::errc::lagged) {
                    next += rx.missed();
                } else {
                    break;
                }
                if (random() % 16 == 0) co_await rt::yield_now();
            }
            EXPECT_EQ(next, values);
        };
        std::vector<rt::join_handle<>> all;
        for (unsigned i = 0; i < 4; ++i)
            all.push_back(spawn_across(i, receives(tx.subscribe(), i + 1)));
        std::vector<rt::join_handle<>> stopped;
        for (unsigned i = 0; i < 4; ++i)
            stopped.push_back(spawn_across(i, receives(tx.subscribe(), i + 9)));
        std::thread sender([tx = std::move(tx)]() mutable {
            for (std::uint64_t i = 0; i < values; ++i) {
                (void)tx.send(i);
                if (i % 8 == 0) std::this_thread::yield();
            }
        });
        co_await stop_all(stopped);
        for (auto& h : all) co_await h;
        sender.join();
    });
}

}  // namespace
