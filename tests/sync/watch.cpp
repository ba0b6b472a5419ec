// rt::watch: the newest value, seen or not.
#include <gtest/gtest.h>

#include <chrono>
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

using namespace std::chrono_literals;

class Watch : public EveryRuntime {};
EVERY_RUNTIME(Watch);

TEST(WatchAlone, a_value_is_read_in_place_changed_in_place_and_marked_seen) {
    auto [tx, rx] = rt::watch<std::string>("first");
    EXPECT_FALSE(rx.has_changed());
    EXPECT_EQ(rx.get(), "first");
    tx.send("second").value();
    EXPECT_TRUE(rx.has_changed());
    EXPECT_EQ(rx.get(), "second");
    EXPECT_TRUE(rx.has_changed());
    auto copy = rx;
    EXPECT_EQ(rx.get_and_see(), "second");
    EXPECT_FALSE(rx.has_changed());
    EXPECT_TRUE(copy.has_changed());
    tx.modify([](std::string& s) { s += "!"; });
    EXPECT_EQ(rx.with([](const std::string& s) { return s.size(); }), 7u);
    rx.mark_seen();
    EXPECT_FALSE(tx.modify_if([](std::string&) { return false; }));
    EXPECT_FALSE(rx.has_changed());
    auto late = tx.subscribe();
    EXPECT_FALSE(late.has_changed());
    EXPECT_EQ(tx.get(), "second!");
}

TEST(WatchAlone, its_ends_are_assigned) {
    auto [tx, rx] = rt::watch(1);
    auto [other_tx, other_rx] = rt::watch(2);
    tx.send(3).value();
    other_rx = rx;
    EXPECT_TRUE(other_rx.has_changed());
    rx = std::move(other_rx);
    EXPECT_EQ(rx.get_and_see(), 3);
    EXPECT_EQ(other_tx.send(4).error(), rt::errc::closed) << "its receiver has gone";
    other_tx = tx;
    tx = std::move(other_tx);
    tx.send(5).value();
    EXPECT_EQ(rx.get(), 5);
}

TEST(WatchAlone, a_modifier_that_throws_notifies_nobody_and_leaves_the_channel_usable_b53) {
    auto [tx, rx] = rt::watch(1);
    auto throws = [](int& n) {
        n = 2;
        throw std::runtime_error("modifier");
    };
    EXPECT_THROW(tx.modify(throws), std::runtime_error);
    EXPECT_FALSE(rx.has_changed());
    EXPECT_EQ(rx.get(), 2);
    tx.send(3).value();
    EXPECT_EQ(rx.get_and_see(), 3);
}

TEST_P(Watch, an_unseen_last_value_comes_before_the_end_b53) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::watch(1);
        auto lagging = rx;
        tx.send(2).value();
        EXPECT_TRUE(co_await rx.changed());
        {
            auto last = std::move(tx);
        }
        EXPECT_EQ((co_await rx.changed()).error(), rt::errc::closed);
        EXPECT_EQ(co_await lagging.next(), 2);
        EXPECT_EQ(co_await lagging.next(), std::nullopt);
        EXPECT_EQ(lagging.get(), 2);
    });
}

TEST_P(Watch, wait_for_sees_what_holds_at_once_also_after_the_end_b53) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::watch(5);
        auto five = [](int n) { return n == 5; };
        auto seven = [](int n) { return n == 7; };
        EXPECT_EQ((co_await rx.wait_for(five)).value(), 5);
        auto later = rt::spawn(rx.wait_for(seven));
        for (int n : {1, 6, 7}) {
            co_await rt::yield_now();
            tx.send(n).value();
        }
        EXPECT_EQ((co_await later).value(), 7);
        auto never = rt::spawn(rx.wait_for([](int n) { return n == 100; }));
        co_await rt::yield_now();
        auto other = rx;
        {
            auto last = std::move(tx);
        }
        EXPECT_EQ((co_await never).error(), rt::errc::closed);
        EXPECT_EQ((co_await other.wait_for(seven)).value(), 7);
        EXPECT_EQ((co_await other.wait_for(five)).error(), rt::errc::closed);
    });
}

TEST_P(Watch, the_sender_learns_that_nobody_receives) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::watch(1);
        auto waits = [](rt::watch_sender<int>& tx) -> rt::task<> { co_await tx.closed(); };
        auto closed = rt::spawn(waits, std::ref(tx));
        auto copy = rx;
        {
            auto gone = std::move(rx);
        }
        co_await rt::yield_now();
        EXPECT_FALSE(tx.is_closed());
        EXPECT_FALSE(closed.done());
        {
            auto gone = std::move(copy);
        }
        co_await closed;
        EXPECT_TRUE(tx.is_closed());
        EXPECT_EQ(tx.send(2).error(), rt::errc::closed);
        EXPECT_EQ(tx.subscribe().get(), 2);
    });
}

// However late they look, all receivers end with the last value, and never go back.
TEST_P(Watch, everybody_sees_the_last_value_under_selects_and_stops_b31_b54) {
    run([]() -> rt::task<> {
        static constexpr int last = 3'000;
        auto [tx, rx] = rt::watch(0);
        auto follows = [](rt::watch_receiver<int> rx, unsigned seed) -> rt::task<int> {
            std::minstd_rand random(seed);
            int seen = 0;
            for (;;) {
                auto first = co_await rt::select(
                    rx.changed(), rt::sleep(std::chrono::microseconds(random() % 2 * 1000)));
                if (first.index() == 1) continue;
                if (!std::get<0>(first)) co_return seen;
                auto now = rx.get();
                EXPECT_LE(seen, now);
                seen = now;
            }
        };
        std::vector<rt::join_handle<int>> all, stopped;
        for (unsigned i = 0; i < 4; ++i) {
            all.push_back(spawn_across(i, follows(rx, i + 1)));
            stopped.push_back(spawn_across(i, follows(rx, i + 9)));
        }
        std::thread sender([tx = std::move(tx)]() mutable {
            for (int i = 1; i <= last; ++i) {
                (void)tx.send(i);
                if (i % 8 == 0) std::this_thread::yield();
            }
        });
        co_await stop_all(stopped);
        for (auto& h : all) EXPECT_EQ(co_await h, last);
        sender.join();
    });
}

}  // namespace
