// rt::delay_queue on a paused clock: instants are exact, up to the wheel's grain.
#include "support/run.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Runs body on one thread whose time moves only when nothing else does.
template <class F>
void on_paused_clock(F body) {
    rt::paused_clock clock;
    auto runtime = rt::runtime::builder().current_thread().clock(clock).build();
    runtime.block_on(body());
}

TEST(DelayQueue, values_come_in_the_order_of_their_deadlines_and_never_early_b61) {
    on_paused_clock([]() -> rt::task<> {
        rt::delay_queue<std::string> queue;
        auto start = co_await rt::this_task::now();
        queue.insert("c", 30ms);
        queue.insert("a", 10ms);
        queue.insert("b", 20ms);
        queue.insert("a2", 10ms);
        queue.insert("now", 0ms);
        const std::vector<std::pair<std::string, std::chrono::milliseconds>> wanted = {
            {"now", 0ms}, {"a", 10ms}, {"a2", 10ms}, {"b", 20ms}, {"c", 30ms}};
        for (auto& [value, due] : wanted) {
            EXPECT_EQ(co_await queue.next(), value);
            auto late = co_await rt::this_task::now() - start - due;
            EXPECT_GE(late, 0ms);
            EXPECT_LE(late, 1ms);
        }
        EXPECT_TRUE(queue.empty());
    });
}

TEST(DelayQueue, reset_moves_a_deadline_and_remove_takes_a_value_back_b61) {
    on_paused_clock([]() -> rt::task<> {
        rt::delay_queue<std::unique_ptr<int>> queue;
        auto a = queue.insert(std::make_unique<int>(1), 10ms);
        auto b = queue.insert(std::make_unique<int>(2), 20ms);
        auto c = queue.insert(std::make_unique<int>(3), 30ms);
        EXPECT_FALSE(a == b);
        EXPECT_TRUE(queue.reset(c, 5ms));
        EXPECT_TRUE(queue.reset(a, 40ms));
        EXPECT_EQ(**queue.remove(b), 2);
        EXPECT_FALSE(queue.remove(b));
        EXPECT_FALSE(queue.reset(b, 1ms));
        EXPECT_FALSE(queue.deadline(b));
        EXPECT_EQ(queue.size(), 2u);
        EXPECT_EQ(**co_await queue.next(), 3);
        EXPECT_FALSE(queue.remove(c));
        EXPECT_EQ(**co_await queue.next(), 1);
        auto d = queue.insert(std::make_unique<int>(4), 1ms);  // in a place that was used
        EXPECT_FALSE(queue.deadline(a));
        EXPECT_FALSE(queue.remove(b));
        EXPECT_TRUE(queue.deadline(d));
    });
}

TEST(DelayQueue, changes_while_it_is_waited_for_take_effect_b61) {
    on_paused_clock([]() -> rt::task<> {
        rt::delay_queue<int> queue;
        std::vector<int> got;
        auto start = co_await rt::this_task::now();
        auto waits = [&]() -> rt::task<> {
            for (int i = 0; i < 3; ++i) got.push_back(*co_await queue.next());
        };
        auto changes = [&]() -> rt::task<> {      // it runs while the other waits
            auto first = queue.insert(1, 100ms);  // into an empty queue
            queue.insert(2, 50ms);                // before the first
            queue.reset(first, 10ms);
            auto third = queue.insert(3, 5ms);
            queue.remove(third);  // the one that is waited for
            co_await rt::sleep(20ms);
            EXPECT_EQ(got, (std::vector{1}));
            queue.insert(4, 1ms);
        };
        co_await rt::join(waits(), changes());
        EXPECT_EQ(got, (std::vector{1, 4, 2}));
        EXPECT_GE(co_await rt::this_task::now() - start, 50ms);
    });
}

TEST(DelayQueue, a_wait_that_loses_a_select_or_is_stopped_leaves_the_value_b82) {
    on_paused_clock([]() -> rt::task<> {
        rt::delay_queue<int> queue;
        queue.insert(1, 10ms);
        for (int i = 0; i < 5; ++i) {
            auto first = co_await rt::select(queue.next(), rt::sleep(1ms));
            EXPECT_EQ(first.index(), 1u);
        }
        auto waits = [&]() -> rt::task<> { (void)co_await queue.next(); };
        auto stopped = co_await rt::timeout(1ms, waits());
        EXPECT_EQ(stopped.error(), rt::errc::timed_out);
        EXPECT_EQ(queue.size(), 1u);
        EXPECT_EQ(co_await queue.next(), 1);
    });
}

TEST(DelayQueue, without_a_runtime_it_is_misuse) {
    rt::delay_queue<int> queue;
    EXPECT_DEATH(queue.insert(1, 1ms), "misuse: a delay_queue is used where there is no runtime");
}

// Against a map from deadline and order to value.
TEST(DelayQueue, any_order_of_operations_agrees_with_a_model_b61) {
    on_paused_clock([]() -> rt::task<> {
        std::minstd_rand random(1);
        rt::delay_queue<int> queue;
        std::map<std::pair<rt::steady_time, int>, int> model;
        std::map<int, std::pair<rt::delay_key, std::pair<rt::steady_time, int>>> alive;
        int order = 0, inserted = 0;
        auto pick = [&] {
            auto at = alive.begin();
            std::advance(at, static_cast<long>(random() % alive.size()));
            return at;
        };
        for (int i = 0; i < 20'000; ++i) {
            auto now = co_await rt::this_task::now();
            auto deadline = now + std::chrono::milliseconds(random() % 1000);
            auto what = random() % 10;
            if (what < 4 || alive.empty()) {
                auto key = queue.insert_at(inserted, deadline);
                std::pair place(deadline, order++);
                model[place] = inserted;
                alive[inserted++] = {key, place};
            } else if (what < 6) {
                auto& [key, place] = pick()->second;
                auto value = model.at(place);
                model.erase(place);
                place = {deadline, order++};
                model[place] = value;
                EXPECT_TRUE(queue.reset_at(key, deadline));
            } else if (what < 8) {
                auto at = pick();
                auto& [key, place] = at->second;
                EXPECT_EQ(queue.deadline(key), place.first);
                EXPECT_EQ(queue.remove(key), at->first);
                model.erase(place);
                alive.erase(at);
            } else {
                EXPECT_EQ(co_await queue.next(), model.begin()->second);
                EXPECT_GE(co_await rt::this_task::now(), model.begin()->first.first);
                alive.erase(model.begin()->second);
                model.erase(model.begin());
            }
            if (i % 500 == 0) queue.compact();
            EXPECT_EQ(queue.size(), model.size());
        }
    });
}

class DelayQueues : public EveryRuntime {};
EVERY_RUNTIME(DelayQueues);

TEST_P(DelayQueues, real_timers_race_with_resets_and_nothing_is_lost_b61) {
    run([]() -> rt::task<> {
        constexpr int values = 300;
        rt::delay_queue<int> queue;
        std::vector<int> count(values);
        std::vector<rt::delay_key> keys;
        for (int i = 0; i < values; ++i)
            keys.push_back(queue.insert(i, std::chrono::microseconds(i * 37 % 20'000)));
        auto takes = [&]() -> rt::task<> {
            for (int i = 0; i < values; ++i)
                ++count[static_cast<std::size_t>(*co_await queue.next())];
        };
        auto moves = [&]() -> rt::task<> {
            std::minstd_rand random(3);
            while (!queue.empty()) {
                auto& key = keys[random() % keys.size()];
                if (random() % 4 == 0) {
                    if (auto value = queue.remove(key)) key = queue.insert(*value, 0ms);
                } else {
                    queue.reset(key, std::chrono::microseconds(random() % 3000));
                }
                if (random() % 8 == 0) co_await rt::sleep(100us);
                co_await rt::yield_now();
                if (random() % 16 == 0)
                    for (auto& k : keys) queue.reset(k, 0ms);
            }
        };
        co_await rt::join(takes(), moves());
        for (int n : count) EXPECT_EQ(n, 1);
    });
}

}  // namespace
