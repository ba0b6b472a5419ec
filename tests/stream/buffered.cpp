// Streams of tasks: how many run at once, in which order their results come, and when they end.
#include "stream/helpers.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <utility>
#include <variant>
#include <vector>

namespace {

class BufferedStream : public EveryRuntime {};
EVERY_RUNTIME(BufferedStream);

using ints = std::vector<int>;

/// How many run, and how many did at most.
struct gauge {
    std::atomic<int> now{0}, most{0};
    struct entry {
        gauge& of;
        explicit entry(gauge& g) : of(g) {
            int n = ++of.now;
            for (int seen = of.most; seen < n && !of.most.compare_exchange_weak(seen, n);) {
            }
        }
        ~entry() { --of.now; }
    };
};

/// The number, after as many turns as the number says.
rt::task<int> slowly(std::shared_ptr<gauge> g, int i, int turns) {
    gauge::entry in(*g);
    co_await yields(turns);
    co_return i;
}
auto tasks(std::shared_ptr<gauge> g, int n) {
    return rt::map(rt::from_range(std::views::iota(0, n)),
                   [g](int i) { return slowly(g, i, (i * 7) % 11); });
}
ints iota(int n) {
    ints all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

TEST_P(BufferedStream, results_keep_the_order_of_their_tasks_b83) {
    run([]() -> rt::task<> {
        for (std::size_t n : {1, 3, 8, 1000}) {
            auto g = std::make_shared<gauge>();
            EXPECT_EQ(co_await rt::collect(rt::buffered(tasks(g, 200), n)), iota(200));
            EXPECT_LE(g->most, static_cast<int>(n));
            if (n == 8) EXPECT_GE(g->most, 2);
        }
    });
}

TEST_P(BufferedStream, unordered_runs_n_at_most_and_loses_none_b83) {
    run([]() -> rt::task<> {
        for (std::size_t n : {1, 3, 8, 1000}) {
            auto g = std::make_shared<gauge>();
            auto all = co_await rt::collect(rt::buffer_unordered(tasks(g, 200), n));
            std::ranges::sort(all);
            EXPECT_EQ(all, iota(200));
            EXPECT_LE(g->most, static_cast<int>(n));
            if (n == 8) EXPECT_GE(g->most, 2);
        }
    });
}

template <class S>
rt::task<> check_race(S results) {
    long sum = 0, lost = 0;
    for (;;) {
        auto first = co_await rt::select(results.next(), rt::sleep(0ms));
        if (first.index() == 1) {
            if (++lost % 4 == 0) co_await rt::yield_now();
            continue;
        }
        auto value = std::get<0>(first);
        if (!value) break;
        sum += *value;
    }
    EXPECT_EQ(sum, sum_to(1999));
    EXPECT_GT(lost, 0);
}

TEST_P(BufferedStream, results_are_not_lost_in_a_select_b82_b83) {
    run([]() -> rt::task<> {
        auto g = std::make_shared<gauge>();
        co_await check_race(rt::buffered(tasks(g, 2000), 5));
        co_await check_race(rt::buffer_unordered(tasks(g, 2000), 5));
    });
}

TEST_P(BufferedStream, tasks_may_give_nothing_and_come_from_a_generator_b83) {
    run([]() -> rt::task<> {
        std::atomic<int> ran{0};
        auto jobs = [](std::atomic<int>& ran) -> rt::stream<rt::task<>> {
            for (int i = 0; i < 20; ++i) {
                co_yield [](std::atomic<int>& ran) -> rt::task<> {
                    co_await rt::yield_now();
                    ++ran;
                }(ran);
            }
        };
        EXPECT_EQ((co_await rt::collect(rt::buffered(jobs(ran), 4))).size(), 20u);
        EXPECT_EQ((co_await rt::collect(rt::buffer_unordered(jobs(ran), 4))).size(), 20u);
        EXPECT_EQ(ran, 40);
    });
}

rt::task<int> fails_at_3(std::shared_ptr<gauge> g, int i) {
    gauge::entry in(*g);
    co_await rt::yield_now();
    if (i == 3) throw std::runtime_error("task");
    if (i > 3) co_await forever();
    co_return i;
}

/// How many results come before the failure.
template <class S>
rt::task<int> results_before_failure(S results, std::shared_ptr<gauge> g) {
    int count = 0;
    std::string what;
    try {
        while (co_await results.next()) ++count;
    } catch (const std::runtime_error& e) {
        what = e.what();
    }
    EXPECT_EQ(what, "task");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await results.next(), std::nullopt);
    while (g->now != 0) co_await rt::yield_now();  // it has stopped those that ran
    co_return count;
}

TEST_P(BufferedStream, what_a_task_throws_comes_once_and_ends_the_others_b84) {
    run([]() -> rt::task<> {
        auto make = [](std::shared_ptr<gauge> g) {
            return rt::map(rt::from_range(std::views::iota(0, 9)),
                           [g](int i) { return fails_at_3(g, i); });
        };
        auto g = std::make_shared<gauge>();
        EXPECT_EQ(co_await results_before_failure(rt::buffered(make(g), 3), g), 3);
        g = std::make_shared<gauge>();
        EXPECT_LE(co_await results_before_failure(rt::buffer_unordered(make(g), 3), g), 3);
    });
}

TEST_P(BufferedStream, a_dropped_stream_stops_its_tasks_b83) {
    run([]() -> rt::task<> {
        auto waits = [](std::shared_ptr<gauge> g, int i) -> rt::task<int> {
            gauge::entry in(*g);
            if (i != 0) co_await forever();
            co_return i;
        };
        auto make = [&](std::shared_ptr<gauge> g) {
            return rt::map(rt::from_range(std::views::iota(0)),
                           [g, waits](int i) { return waits(g, i); });
        };
        auto g = std::make_shared<gauge>();
        {
            auto ordered = rt::buffered(make(g), 4);
            auto unordered = rt::buffer_unordered(make(g), 4);
            EXPECT_EQ(co_await ordered.next(), 0);
            EXPECT_EQ(co_await unordered.next(), 0);
            co_await until_at_least(g->most, 2);
        }
        while (g->now != 0) co_await rt::yield_now();
    });
}

TEST_P(BufferedStream, a_stop_of_the_consumer_ends_all_b34_b83) {
    run([]() -> rt::task<> {
        auto g = std::make_shared<gauge>();
        auto consumer = rt::spawn(
            [](std::shared_ptr<gauge> g) -> rt::task<> {
                auto all =
                    rt::buffer_unordered(rt::map(rt::from_range(std::views::iota(0)),
                                                 [g](int i) { return fails_at_3(g, i + 4); }),
                                         4);
                (void)co_await all.next();
            },
            g);
        co_await until_at_least(g->most, 4);
        consumer.stop();
        EXPECT_TRUE((co_await consumer.outcome()).stopped());
        while (g->now != 0) co_await rt::yield_now();
    });
}

}  // namespace
