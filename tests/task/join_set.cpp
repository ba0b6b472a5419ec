// join_set, join_queue and join_map: every result comes once, and nobody is left behind.
#include "support/living.hpp"
#include "task/helpers.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <random>

namespace {

class JoinSet : public EveryRuntime {};
EVERY_RUNTIME(JoinSet);

static_assert(rt::stream_of_values<rt::join_set<int>>);
static_assert(rt::lossless_operation<rt::join_set<int>::next_op>);
static_assert(rt::lossless_operation<rt::join_map<int, int>::next_op>);

rt::task<int> after(rt::notify& bell, int value) {
    co_await bell.wait();
    co_return value;
}
rt::task<int> at_once(int value) { co_return value; }
rt::task<std::unique_ptr<int>> boxed(int n) {
    co_await yields(n % 5);
    co_return std::make_unique<int>(n);
}

TEST_P(JoinSet, results_come_in_the_order_of_their_ends_b37) {
    run([&]() -> rt::task<> {
        rt::join_set<int> set;
        std::array<rt::notify, 3> bells;
        for (int i = 0; i < 3; ++i) set.spawn(after(bells[i], i));
        EXPECT_EQ(set.size(), 3u);
        for (int i : {2, 0, 1}) {
            EXPECT_EQ(set.try_next(), std::nullopt);
            bells[i].notify_one();
            EXPECT_EQ(co_await set.next(), i);
        }
        EXPECT_TRUE(set.empty());
        EXPECT_EQ(co_await set.next(), std::nullopt);
        // It can be used again; and what has ended unseen comes in order, too.
        for (int i = 0; i < 3; ++i) set.spawn(after(bells[i], i));
        for (int i : {1, 2, 0}) {
            bells[i].notify_one();
            co_await settle_down();
        }
        std::vector<int> order;
        while (auto n = co_await set.next()) order.push_back(*n);
        if (GetParam().flavor == rt::runtime_flavor::current_thread)
            EXPECT_EQ(order, (std::vector<int>{1, 2, 0}));
        EXPECT_EQ(order.size(), 3u);
    });
}

TEST_P(JoinSet, a_queue_gives_results_in_the_order_of_their_spawns_b37) {
    run([&]() -> rt::task<> {
        rt::join_queue<int> queue;
        std::array<rt::notify, 4> bells;
        for (int i = 0; i < 4; ++i) queue.spawn(after(bells[i], i));
        bells[3].notify_one();
        bells[1].notify_one();
        co_await settle_down();
        EXPECT_EQ(queue.try_next(), std::nullopt);
        bells[0].notify_one();
        EXPECT_EQ(co_await queue.next(), 0);
        EXPECT_EQ(co_await queue.next(), 1);
        bells[2].notify_one();
        EXPECT_EQ(co_await queue.next(), 2);
        EXPECT_EQ(co_await queue.next(), 3);
        EXPECT_EQ(co_await queue.next(), std::nullopt);
    });
}

TEST_P(JoinSet, a_map_gives_keys_with_outcomes_b37) {
    run([&]() -> rt::task<> {
        rt::join_map<std::string, std::unique_ptr<int>> map;
        EXPECT_TRUE(map.spawn("one", boxed(1)));
        EXPECT_TRUE(map.spawn("throws", []() -> rt::task<std::unique_ptr<int>> {
            co_await rt::yield_now();
            throw boom{};
        }));
        EXPECT_TRUE(map.spawn("two", boxed(2)));
        EXPECT_TRUE(map.contains("throws"));
        std::map<std::string, int> seen;
        while (auto one = co_await map.next()) {
            auto& [key, outcome] = *one;
            EXPECT_FALSE(map.contains(key));
            EXPECT_FALSE(outcome.stopped());
            seen[key] = outcome.has_value() ? *outcome.value() : -1;
        }
        EXPECT_EQ(seen, (std::map<std::string, int>{{"one", 1}, {"throws", -1}, {"two", 2}}));
    });
}

TEST_P(JoinSet, a_key_is_stopped_or_replaced_alone_b37) {
    journal log;
    run([&]() -> rt::task<> {
        rt::join_map<int, int> map;
        rt::notify bell;
        std::atomic<int> waits = 0;
        auto idle = [&](std::string name) -> rt::task<int> {
            mark m(log, name);
            ++waits;
            co_await forever();
            co_return 0;
        };
        map.spawn(1, idle("stopped"));
        map.spawn(2, idle("replaced"));
        map.spawn(3, after(bell, 3));
        co_await until_at_least(waits, 2);
        EXPECT_TRUE(map.stop(1));
        EXPECT_FALSE(map.stop(1));
        EXPECT_FALSE(map.contains(1));
        EXPECT_FALSE(map.spawn(2, after(bell, 2)));
        bell.notify_all();
        bell.notify_one();
        std::map<int, int> seen;
        while (auto one = co_await map.next()) {
            seen[one->first] = one->second.value();
            bell.notify_one();
        }
        EXPECT_EQ(seen, (std::map<int, int>{{2, 2}, {3, 3}}));
        auto lines = log.lines();
        std::ranges::sort(lines);
        EXPECT_EQ(lines, (std::vector<std::string>{"replaced", "stopped"}));
        // What had its outcome when it was stopped is dropped too.
        map.spawn(4, at_once(4));
        co_await settle_down();
        map.stop(4);
        EXPECT_EQ(co_await map.next(), std::nullopt);
        for (int i = 0; i < 3; ++i) map.spawn(i, idle("all"));
        map.stop_all();
        EXPECT_FALSE(map.contains(0));
        EXPECT_EQ(co_await map.next(), std::nullopt);
        EXPECT_TRUE(map.empty());
    });
}

TEST_P(JoinSet, dropping_it_stops_all_b37) {
    run([&]() -> rt::task<> {
        std::atomic<int> alive = 0;
        auto idle = [&]() -> rt::task<int> {
            living one(alive);
            co_await forever();
            co_return 1;
        };
        {
            rt::join_set<int> set;
            for (int i = 0; i < 10; ++i) set.spawn(idle());
            set.spawn(at_once(1));
            co_await until_at_least(alive, 10);
            rt::join_set<int> moved = std::move(set);
            EXPECT_EQ(alive, 10);
        }
        while (alive != 0) co_await rt::yield_now();
    });
}

TEST_P(JoinSet, stop_all_and_next_until_the_end_have_ended_all_b37) {
    run([&]() -> rt::task<> {
        for (bool in_order : {false, true}) {
            std::atomic<int> alive = 0;
            auto idle = [&]() -> rt::task<int> {
                living one(alive);
                co_await forever();
                co_return 1;
            };
            auto end = [&](auto set) -> rt::task<> {
                for (int i = 0; i < 10; ++i) set.spawn(idle());
                set.spawn(at_once(2));
                co_await until_at_least(alive, 10);
                co_await settle_down();
                set.stop_all();
                int sum = 0;
                while (auto n = co_await set.next()) sum += *n;
                EXPECT_EQ(sum, 2);  // a result that was there stays
                EXPECT_EQ(alive, 0);
            };
            if (in_order) {
                co_await end(rt::join_queue<int>());
            } else {
                co_await end(rt::join_set<int>());
            }
        }
    });
}

TEST_P(JoinSet, a_stop_of_the_awaiting_task_stops_all_b37_b34) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<int> waits = 0;
        auto h = rt::spawn([](journal& log, std::atomic<int>& waits) -> rt::task<> {
            auto idle = [&]() -> rt::task<> {
                mark m(log, "child");
                ++waits;
                co_await forever();
            };
            rt::join_set<> set;
            for (int i = 0; i < 3; ++i) set.spawn(idle());
            while (co_await set.next()) log.add("not here");
            log.add("not here");
        }(log, waits));
        co_await until_at_least(waits, 3);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        while (log.lines().size() < 3) co_await rt::yield_now();
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"child", "child", "child"}));
}

TEST_P(JoinSet, failures_come_out_of_next_and_the_others_go_on_b37) {
    run([&]() -> rt::task<> {
        rt::join_set<int> set;
        auto throws = []() -> rt::task<int> {
            co_await rt::yield_now();
            throw boom{};
        };
        for (int i = 0; i < 5; ++i) {
            set.spawn(throws());
            set.spawn(at_once(1));
        }
        int values = 0, exceptions = 0;
        for (;;) {
            try {
                auto n = co_await set.next();
                if (!n) break;
                ++values;
            } catch (const boom&) {
                ++exceptions;
            }
        }
        EXPECT_EQ(values, 5);
        EXPECT_EQ(exceptions, 5);
        rt::join_set<rt::result<>> results;
        results.spawn([]() -> rt::io_task<> { co_return rt::errc::closed; });
        EXPECT_EQ((co_await results.next())->error(), rt::errc::closed);
        EXPECT_EQ(runtime().counters().unhandled, 0u);
    });
}

TEST_P(JoinSet, a_failure_that_nobody_took_is_reported_b37_b27) {
    run([&]() -> rt::task<> {
        auto throws = []() -> rt::task<> {
            throw boom{};
            co_return;
        };
        auto reported = [&] { return runtime().counters().unhandled; };
        {
            rt::join_set<> set;
            set.spawn(throws());
            set.spawn(throws());
            co_await settle_down();
        }
        while (reported() < 2) co_await rt::yield_now();
        rt::join_map<int> map;
        map.spawn(1, throws());
        co_await settle_down();
        map.stop(1);
        while (reported() < 3) co_await rt::yield_now();
        EXPECT_TRUE(map.empty());
    });
}

TEST_P(JoinSet, next_does_not_starve_others_under_its_budget_b37_b14) {
    run([&]() -> rt::task<> {
        const int count = 4 * rt::operations_per_turn;
        rt::join_set<int> set;
        std::atomic<int> ended = 0;
        for (int i = 0; i < count; ++i) {
            set.spawn([](std::atomic<int>& ended, int i) -> rt::task<int> {
                for (int k = 0; k < 8; ++k) co_await rt::consume_budget();
                ++ended;
                co_return i;
            }(ended, i));
        }
        co_await until_at_least(ended, count);
        co_await settle_down();
        auto yields = [&] { return runtime().counters().total.forced_yields; };
        auto before = yields();
        long sum = 0;
        while (auto n = co_await set.next()) sum += *n;
        EXPECT_EQ(sum, long{count} * (count - 1) / 2);
        EXPECT_GE(yields() - before, 3u);
    });
}

TEST_P(JoinSet, a_lost_select_leaves_the_result_in_the_set_b31_b37) {
    const int rounds = sanitized ? 2000 : 10000;
    run([&]() -> rt::task<> {
        std::mt19937 random(3);
        rt::join_set<std::unique_ptr<int>> set;
        rt::join_queue<std::unique_ptr<int>> queue;
        long sum = 0, expected = 0;
        for (int i = 0; i < rounds; ++i) {
            set.spawn(boxed(static_cast<int>(random() % 100)));
            queue.spawn(boxed(i));
            auto first = co_await rt::select(set.next(), queue.next(), rt::sleep(0s));
            if (first.index() == 0) {
                auto& got = std::get<0>(first);
                EXPECT_TRUE(got);
                if (got) ++sum;
            } else if (first.index() == 1) {
                auto& got = std::get<1>(first);
                EXPECT_TRUE(got);
                if (got) EXPECT_EQ(**got, expected++);
            }
        }
        while (co_await set.next()) ++sum;
        while (auto got = co_await queue.next()) EXPECT_EQ(**got, expected++);
        EXPECT_EQ(sum, rounds);
        EXPECT_EQ(expected, rounds);
    });
}

TEST_P(JoinSet, stop_racing_next_loses_no_result_b37_b24) {
    const int rounds = sanitized ? 1000 : 3000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            rt::join_set<int> set;
            for (int k = 0; k < 3; ++k) {
                set.spawn([](int n) -> rt::task<int> {
                    co_await yields(n);
                    co_return 1;
                }((i + k) % 4));
            }
            int taken = 0;
            auto h = rt::spawn([](auto& set, int& taken) -> rt::task<> {
                while (co_await set.next()) ++taken;
            }(set, taken));
            co_await yields(i / 4 % 6);
            h.stop();
            (void)co_await h.outcome();
            while (co_await set.next()) ++taken;
            EXPECT_EQ(taken, 3);
        }
    });
}

TEST_P(JoinSet, dropping_it_races_the_ends_of_its_tasks_b37) {
    const int rounds = sanitized ? 1000 : 3000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            rt::join_map<int, std::unique_ptr<int>> map;
            rt::join_queue<std::unique_ptr<int>> queue;
            for (int k = 0; k < 4; ++k) {
                map.spawn(k, boxed(i + k));
                queue.spawn(boxed(i + k));
            }
            co_await yields(i % 5);
            map.stop(i % 4);
            queue.stop_all();
            (void)co_await map.next();
            (void)co_await queue.next();
        }
    });
}

TEST(JoinSetEnd, it_may_outlive_its_runtime_b12_b37) {
    rt::join_set<int> set;
    {
        auto runtime = rt::runtime::builder().workers(2).build();
        runtime.block_on([](rt::join_set<int>& set) -> rt::task<> {
            set.spawn([]() -> rt::task<int> {
                co_await forever();
                co_return 1;
            });
            std::atomic<bool> ended = false;
            set.spawn([](std::atomic<bool>& ended) -> rt::task<int> {
                ended = true;
                co_return 2;
            }(ended));
            co_await until(ended);
        }(set));
    }
    EXPECT_EQ(set.try_next(), 2);
    EXPECT_EQ(set.try_next(), std::nullopt);
    EXPECT_TRUE(set.empty());
}

TEST_P(JoinSet, an_adaptor_takes_it_for_a_stream_b37) {
    run([&]() -> rt::task<> {
        rt::join_queue<int> queue;
        for (int i = 0; i < 4; ++i) queue.spawn(at_once(i));
        int sum = 0;
        auto twice = rt::map(std::move(queue), [](int n) { return 2 * n; });
        while (auto n = co_await twice.next()) sum += *n;
        EXPECT_EQ(sum, 12);
    });
}

}  // namespace
