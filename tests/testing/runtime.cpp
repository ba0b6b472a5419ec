// rt::test_runtime: the order of things follows from the seed, and from nothing else.
#include "task/helpers.hpp"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
import rt.testing;

namespace {

/// Tasks of all sorts; returns who did what in which order.
rt::task<std::string> bustle() {
    std::string told;
    auto [tx, rx] = rt::channel<int>(2);
    rt::notify bell;
    rt::mutex lock;
    std::vector<rt::join_handle<>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(rt::spawn([](auto tx, int i, auto& told) -> rt::task<> {
            for (int n = 0; n < 5; ++n) {
                co_await rt::sleep(1ms * (n % 3));
                (void)co_await tx.send(10 * i + n);
                told += 's';
            }
        }(tx, i, told)));
    tasks.push_back(rt::spawn([](auto& lock, auto& bell, auto& told) -> rt::task<> {
        for (int n = 0; n < 5; ++n) {
            auto held = co_await lock.lock();
            co_await rt::yield_now();
            told += co_await rt::spawn_blocking([] { return 'b'; });
            bell.notify_one();
        }
    }(lock, bell, told)));
    {
        auto last = std::move(tx);
    }
    for (;;) {
        auto won = co_await rt::select(rx.recv(), bell.wait(), rt::sleep(50ms));
        if (won.index() == 2) break;
        if (won.index() == 1) {
            told += 'n';
        } else if (auto& value = std::get<0>(won)) {
            told += std::to_string(*value) + ' ';
        } else {
            co_await rt::sleep(1ms);
            if (tasks.back().done()) break;
        }
    }
    for (auto& t : tasks) co_await t;
    co_return told;
}

TEST(TestRuntime, the_same_seed_gives_the_same_trace_byte_for_byte) {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        std::string told[2], traces[2];
        for (int i : {0, 1}) {
            rt::test_runtime runtime(seed);
            told[i] = runtime.block_on(bustle());
            traces[i] = runtime.trace();
        }
        EXPECT_EQ(told[0], told[1]);
        EXPECT_TRUE(traces[0] == traces[1]) << "seed " << seed;
        EXPECT_NE(traces[0].find("rt::select, at "), std::string::npos) << traces[0];
        orders.insert(told[0]);
    }
    EXPECT_GT(orders.size(), 30u);  // other seeds try other orders
}

TEST(TestRuntime, ready_tasks_run_in_every_order) {
    std::map<std::string, int> seen;
    for (std::uint64_t seed = 1; seed <= 600; ++seed) {
        std::string order;
        rt::test_runtime runtime(seed);
        runtime.block_on([](std::string& order) -> rt::task<> {
            std::vector<rt::join_handle<>> all;
            for (char c : {'a', 'b', 'c'})
                all.push_back(rt::spawn([](char c, auto& order) -> rt::task<> {
                    order += c;
                    co_return;
                }(c, order)));
            for (auto& t : all) co_await t;
        }(order));
        ++seen[order];
    }
    EXPECT_EQ(seen.size(), 6u);
    for (auto& [order, times] : seen) EXPECT_GT(times, 30) << order;
}

/// Two deposits, each read, then written: wrong if the other one comes between.
rt::task<int> lost_update() {
    int balance = 0;
    auto deposit = [](int& balance) -> rt::task<> {
        int seen = balance;
        co_await rt::yield_now();
        balance = seen + 1;
    };
    auto one = rt::spawn(deposit(balance)), two = rt::spawn(deposit(balance));
    co_await one;
    co_await two;
    co_return balance;
}

TEST(TestRuntime, a_race_that_needs_an_order_is_found_by_its_seed_again) {
    std::uint64_t culprit = 0;
    try {
        rt::for_each_seed(100, [&](std::uint64_t seed) {
            culprit = seed;
            if (rt::test_runtime(seed).block_on(lost_update()) != 2)
                throw std::runtime_error("lost");
        });
        FAIL() << "no seed has found it";
    } catch (const std::runtime_error&) {
    }
    EXPECT_EQ(rt::test_runtime(culprit).block_on(lost_update()), 1);
}

TEST(TestRuntime, a_failing_seed_is_told_and_no_more_are_tried) {
    testing::internal::CaptureStderr();
    std::vector<std::uint64_t> tried;
    rt::for_each_seed(
        10, [&](std::uint64_t seed) { tried.push_back(seed); }, [&] { return tried.size() == 3; });
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "rt: seed 3 failed; RT_SEED=3 runs it alone\n");
    EXPECT_EQ(tried, (std::vector<std::uint64_t>{1, 2, 3}));

    ::setenv("RT_SEED", "77", 1);
    tried.clear();
    rt::for_each_seed(10, [&](std::uint64_t seed) { tried.push_back(seed); });
    EXPECT_EQ(tried, (std::vector<std::uint64_t>{77}));
    ::setenv("RT_SEED", "7x", 1);
    EXPECT_THROW(rt::for_each_seed(10, [](std::uint64_t) {}), std::invalid_argument);
    ::unsetenv("RT_SEED");
}

TEST(TestRuntime, a_deadlock_is_told_with_seed_and_dump) {
    std::atomic<int> alive = 0;
    rt::test_runtime runtime(5);
    testing::internal::CaptureStderr();
    try {
        runtime.block_on([](std::atomic<int>& alive) -> rt::task<> {
            ++alive;
            struct leaves {
                std::atomic<int>& n;
                ~leaves() { --n; }
            } guard{alive};
            rt::mutex lock;
            auto held = co_await lock.lock();
            auto never = co_await lock.lock();
        }(alive));
        FAIL() << "it has ended";
    } catch (const rt::deadlock_error& e) {
        std::string what = e.what();
        EXPECT_NE(what.find("rt::test_runtime(5)"), std::string::npos) << what;
        EXPECT_NE(what.find("rt::mutex"), std::string::npos) << what;
        EXPECT_NE(what.find("testing/runtime.cpp:"), std::string::npos) << what;
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "rt: this was rt::test_runtime(5)\n");
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(runtime.block_on([]() -> rt::task<int> { co_return 3; }()), 3);  // goes on
}

TEST(TestRuntime, an_exception_comes_out_with_the_seed_on_stderr) {
    rt::test_runtime runtime(9);
    testing::internal::CaptureStderr();
    EXPECT_THROW(runtime.block_on([]() -> rt::task<> {
        co_await rt::sleep(1s);
        throw std::runtime_error("wrong");
    }()),
                 std::runtime_error);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "rt: this was rt::test_runtime(9)\n");
}

TEST(TestRuntime, an_hour_takes_no_time_and_the_clock_is_the_tests) {
    rt::test_runtime runtime(1);
    auto before = runtime.clock().now();
    runtime.block_on([]() -> rt::task<> { co_await rt::sleep(1h); }());
    auto slept = runtime.clock().now() - before;
    EXPECT_GE(slept, 1h);
    EXPECT_LT(slept, 1h + 1ms);
    auto waits = runtime.spawn([]() -> rt::task<> { co_await rt::sleep(1h); }());
    runtime.block_on([]() -> rt::task<> { co_await rt::yield_now(); }());
    EXPECT_FALSE(waits.done());
    runtime.clock().advance(2h);
    runtime.block_on([](auto handle) -> rt::task<> { co_await handle; }(std::move(waits)));
}

TEST(TestRuntime, a_job_that_runs_is_not_withdrawn) {
    rt::test_runtime(1).block_on([]() -> rt::task<> {
        rt::join_handle<int> job;
        job = rt::spawn_blocking([&] {
            job.stop();
            return 7;
        });
        EXPECT_EQ(co_await job, 7);
    }());
}

TEST(TestRuntime, its_end_stops_what_is_alive) {
    journal log;
    {
        rt::test_runtime runtime(1);
        runtime.block_on([](journal& log) -> rt::task<> {
            rt::spawn([](mark) -> rt::task<> { co_await forever(); }(mark(log, "gone"))).detach();
            co_await settle_down();
        }(log));
        EXPECT_TRUE(log.lines().empty());
    }
    EXPECT_EQ(log.lines(), std::vector<std::string>{"gone"});
}

class TestRuntimeMisuse : public testing::Test {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(TestRuntimeMisuse, sockets_and_other_threads_are_refused_by_name) {
    EXPECT_DEATH(rt::test_runtime(1).block_on([]() -> rt::task<> {
        (void)co_await rt::tcp_stream::connect("127.0.0.1:1");
    }()),
                 "rt: misuse: .*on an executor that has no reactor");
    EXPECT_DEATH(rt::test_runtime(1).block_on([]() -> rt::task<> {
        rt::notify bell;
        auto waits = rt::spawn([](auto& bell) -> rt::task<> { co_await bell.wait(); }(bell));
        co_await settle_down();
        std::thread([&] { bell.notify_one(); }).join();
    }()),
                 "rt: misuse: an rt::test_runtime is reached from another thread: its run would "
                 "not be repeated");
}

TEST_F(TestRuntimeMisuse, its_end_names_who_does_not_end) {
    auto shielded = [] {
        rt::notify never;
        rt::test_runtime runtime(1);
        runtime.block_on([](rt::notify& never) -> rt::task<> {
            rt::spawn(
                [](rt::notify& never) -> rt::task<> { co_await rt::shield(never.wait()); }(never))
                .detach();
            co_await settle_down();
        }(never));
    };
    EXPECT_DEATH(
        shielded(),
        "an rt::test_runtime ends while tasks wait that were stopped and do not end: 1 task");
}

TEST_F(TestRuntimeMisuse, a_deadlock_in_which_the_root_does_not_end) {
    auto resists = [] {
        rt::notify never;
        rt::test_runtime(1).block_on(
            [](rt::notify& never) -> rt::task<> { co_await rt::shield(never.wait()); }(never));
    };
    EXPECT_DEATH(resists(), "tasks wait that were stopped and do not end: 1 task");
}

TEST_F(TestRuntimeMisuse, a_task_that_ticks_on_behind_a_shield) {
    auto ticks = [] {
        rt::test_runtime runtime(1);
        auto ticker = []() -> rt::task<> {
            for (;;) co_await rt::sleep(1s);
        };
        runtime.block_on([](auto ticker) -> rt::task<> {
            rt::spawn([](auto ticker) -> rt::task<> { co_await rt::shield(ticker()); }(ticker))
                .detach();
            co_await rt::sleep(10s);
        }(ticker));
    };
    EXPECT_DEATH(ticks(), "tasks wait that were stopped and do not end: 1 task");
}

TEST(TestRuntime, an_instant_that_no_clock_reaches_is_never) {
    for (auto before : {0ns, 1ns, 1000ns, 1'000'000ns, 3'600'000'000'000ns}) {
        try {
            rt::test_runtime(1).block_on([](auto before) -> rt::task<> {
                co_await rt::sleep_until(rt::steady_time::max() - before);
            }(before));
            EXPECT_GT(before, 1us);
        } catch (const rt::deadlock_error&) {
            EXPECT_LT(before, 1h);
        }
    }
}

TEST_F(TestRuntimeMisuse, block_on_inside_a_task) {
    EXPECT_DEATH(rt::test_runtime(1).block_on([]() -> rt::task<> {
        rt::test_runtime(2).block_on([]() -> rt::task<> { co_return; }());
        co_return;
    }()),
                 "rt: misuse: block_on inside a task");
}

}  // namespace
