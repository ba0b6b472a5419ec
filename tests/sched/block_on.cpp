// block_on, spawning from everywhere, and who drives a current_thread runtime.
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class BlockOn : public EveryRuntime {};
EVERY_RUNTIME(BlockOn);

rt::task<int> doubled(int n) {
    co_await rt::yield_now();
    co_return 2 * n;
}

TEST_P(BlockOn, it_gives_values_results_and_exceptions) {
    auto runtime = builder_for(GetParam()).build();
    EXPECT_EQ(runtime.block_on(doubled(21)), 42);
    auto moved = runtime.block_on([]() -> rt::task<std::unique_ptr<int>> {
        co_await rt::yield_now();
        co_return std::make_unique<int>(3);
    }());
    EXPECT_EQ(*moved, 3);
    auto failed = runtime.block_on([]() -> rt::io_task<int> {
        co_await rt::yield_now();
        co_return rt::errc::timed_out;
    }());
    EXPECT_EQ(failed.error(), rt::errc::timed_out);
    auto throws = []() -> rt::task<> {
        co_await rt::yield_now();
        throw std::runtime_error("boom");
    };
    EXPECT_THROW(runtime.block_on(throws()), std::runtime_error);
}

// By the time the caller goes on nothing of the root is left, so even a limit of 0 finds nothing.
TEST_P(BlockOn, when_it_returns_the_root_has_ended_b9_b10) {
    for (int i = 0; i < 200; ++i) {
        auto runtime = builder_for(GetParam()).build();
        runtime.block_on([]() -> rt::task<> { co_await rt::yield_now(); }());
        EXPECT_EQ(runtime.counters().alive, 0u);
        EXPECT_TRUE(runtime.shutdown(0s).clean());
    }
}

TEST_P(BlockOn, several_threads_may_wait_at_once_b11) {
    if (GetParam().flavor == rt::runtime_flavor::current_thread)
        GTEST_SKIP() << "one thread at a time drives it";
    auto runtime = builder_for(GetParam()).build();
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 300; ++i) sum += runtime.block_on(doubled(t));
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(sum, 300 * 2 * (0 + 1 + 2 + 3));
}

TEST_P(BlockOn, the_root_completes_though_others_never_stop_waking_themselves_b6) {
    auto runtime = builder_for(GetParam()).build();
    for (int i = 0; i < 8; ++i) {
        runtime
            .spawn([]() -> rt::task<> {
                for (;;) co_await rt::yield_now();
            }())
            .detach();
        runtime
            .spawn([]() -> rt::task<> {
                for (;;) co_await rt::consume_budget();
            }())
            .detach();
    }
    EXPECT_EQ(runtime.block_on(doubled(4)), 8);
}

rt::task<> add_one(std::atomic<int>& sum) {
    co_await rt::yield_now();
    ++sum;
}

TEST_P(BlockOn, spawning_from_everywhere_completes_b5) {
    auto runtime = builder_for(GetParam()).build();
    std::atomic<int> sum{0};
    // From an idle runtime's outside.
    auto before = runtime.spawn(add_one(sum));
    runtime.block_on([](auto& sum, rt::runtime_handle handle, auto before) -> rt::task<> {
        co_await std::move(before);
        co_await rt::spawn(add_one(sum));  // from the root
        co_await rt::spawn([](auto& sum) -> rt::task<> {
            co_await rt::spawn(add_one(sum));  // from a task
        }(sum));
        auto inner = co_await rt::spawn_blocking([&] { return rt::spawn(add_one(sum)); });
        co_await std::move(inner);  // from a blocking thread
        std::optional<rt::join_handle<>> foreign;
        auto job = rt::spawn_blocking(
            [&] { std::thread([&] { foreign = handle.spawn(add_one(sum)); }).join(); });
        co_await std::move(job);
        co_await std::move(*foreign);  // from a foreign thread, while it idles
        // And while it is loaded.
        std::vector<rt::join_handle<>> load;
        for (int i = 0; i < 50; ++i) {
            load.push_back(rt::spawn([]() -> rt::task<> {
                for (;;) co_await rt::yield_now();
            }()));
        }
        std::vector<rt::join_handle<>> all;
        auto more = rt::spawn_blocking([&] {
            for (int i = 0; i < 50; ++i) all.push_back(handle.spawn(add_one(sum)));
        });
        co_await std::move(more);
        for (auto& h : all) co_await h;
        co_await rt::spawn(add_one(sum));
    }(sum, runtime.handle(), std::move(before)));
    EXPECT_EQ(sum, 56);
}

// Many spawners from outside while the workers go to sleep and wake again: no wake-up is lost.
TEST_P(BlockOn, tasks_spawned_while_the_workers_fall_asleep_all_run_b2_b5) {
    auto runtime = builder_for(GetParam()).build();
    auto handle = runtime.handle();
    std::atomic<int> sum{0};
    constexpr int threads = 3, each = 2000;
    std::vector<std::thread> spawners;
    for (int t = 0; t < threads; ++t) {
        spawners.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                handle.spawn(add_one(sum)).detach();
                if (i % 16 == 0) std::this_thread::yield();
            }
        });
    }
    runtime.block_on([](auto& sum) -> rt::task<> {
        while (sum < threads * each) co_await rt::sleep(100us);
    }(sum));
    for (auto& t : spawners) t.join();
    EXPECT_EQ(runtime.counters().spawned, threads * each + 1u);
}

// One ball, thrown from an otherwise sleeping runtime to another and back: a lost wake-up hangs.
TEST_P(BlockOn, a_ball_between_two_runtimes_is_never_dropped_b2) {
    auto one = builder_for(GetParam()).build();
    auto other = builder_for(GetParam()).build();
    constexpr int throws = 1500;
    auto [to_other, at_other] = rt::channel<int>(1);
    auto [to_one, at_one] = rt::channel<int>(1);
    std::thread there([&, tx = std::move(to_one), rx = std::move(at_other)]() mutable {
        other.block_on([](auto tx, auto rx) -> rt::task<> {
            while (auto ball = co_await rx.recv()) {
                if (!co_await tx.send(*ball + 1)) break;
            }
        }(std::move(tx), std::move(rx)));
    });
    auto last = one.block_on([](auto tx, auto rx) -> rt::task<int> {
        int ball = 0;
        for (int i = 0; i < throws; ++i) {
            EXPECT_TRUE(co_await tx.send(ball));
            ball = *co_await rx.recv();
        }
        co_return ball;
    }(std::move(to_other), std::move(at_one)));
    there.join();
    EXPECT_EQ(last, throws);
}

class CurrentThread : public testing::TestWithParam<rt::reactor_kind> {
protected:
    rt::runtime make() {
        return rt::runtime::builder().current_thread().reactor(GetParam()).build();
    }
};
INSTANTIATE_TEST_SUITE_P(Each, CurrentThread,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](const auto& info) { return std::string(rt::to_string(info.param)); });

TEST_P(CurrentThread, a_spawned_task_makes_no_progress_until_somebody_blocks_b1) {
    auto runtime = make();
    std::atomic<int> sum{0};
    for (int i = 0; i < 10; ++i) runtime.spawn(add_one(sum)).detach();
    EXPECT_EQ(runtime.counters().total.polls, 0u);
    EXPECT_EQ(sum, 0);
    runtime.block_on([]() -> rt::task<> {
        for (int i = 0; i < 3; ++i) co_await rt::yield_now();
    }());
    EXPECT_EQ(sum, 10);
}

TEST_P(CurrentThread, it_may_be_driven_by_one_thread_and_later_by_another_with_io_open_b1) {
    auto runtime = make();
    test_pipe pipe;
    std::atomic<int> got{0};
    // Waits across all the drives below; its timer and its read were begun by threads that have
    // ended.
    std::optional<rt::join_handle<>> reader;
    std::optional<rt::join_handle<>> sleeper;
    std::thread([&] {
        runtime.block_on([](auto& reader, auto& sleeper, auto& pipe, auto& got) -> rt::task<> {
            reader = rt::spawn([](auto& pipe, auto& got) -> rt::task<> {
                while (got < 3) {
                    EXPECT_TRUE(co_await pipe.get());
                    ++got;
                }
            }(pipe, got));
            sleeper = rt::spawn([]() -> rt::task<> { co_await rt::sleep(2ms); }());
            for (int i = 0; i < 3; ++i) co_await rt::yield_now();
        }(reader, sleeper, pipe, got));
    }).join();
    for (int i = 1; i <= 2; ++i) {
        std::thread([&] {
            pipe.put();
            runtime.block_on([](auto& got, int i) -> rt::task<> {
                while (got < i) co_await rt::yield_now();
            }(got, i));
        }).join();
    }
    pipe.put();
    runtime.block_on([](auto& reader, auto& sleeper) -> rt::task<> {
        co_await std::move(*reader);
        co_await std::move(*sleeper);
    }(reader, sleeper));
    EXPECT_EQ(got, 3);
}

TEST_P(CurrentThread, a_task_waits_from_one_drive_to_the_next_b1) {
    auto runtime = make();
    rt::notify bell;
    auto waiter = runtime.spawn([](rt::notify& bell) -> rt::task<int> {
        co_await bell.wait();
        co_return 5;
    }(bell));
    runtime.block_on([]() -> rt::task<> { co_await rt::yield_now(); }());
    EXPECT_FALSE(waiter.done());
    bell.notify_one();
    EXPECT_FALSE(waiter.done());
    EXPECT_EQ(runtime.block_on([](auto& w) -> rt::task<int> { co_return co_await w; }(waiter)), 5);
}

void nests(rt::runtime& runtime, rt::runtime& other) {
    runtime.block_on([](rt::runtime& other) -> rt::task<> {
        other.block_on(doubled(1));
        co_return;
    }(other));
}

TEST_P(BlockOn, nesting_inside_a_task_stops_with_a_message_and_the_line_b11) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            auto runtime = builder_for(GetParam()).build();
            auto other = builder_for(GetParam()).build();
            nests(runtime, other);
        },
        "rt: misuse: block_on inside a task would block its worker.*at "
        ".*sched/block_on.cpp:[0-9]+");
    EXPECT_DEATH(
        {
            auto runtime = builder_for(GetParam()).build();
            nests(runtime, runtime);
        },
        "rt: misuse: block_on inside a task");
}

TEST_P(CurrentThread, two_threads_that_drive_it_at_once_are_misuse_b11) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto both = [&] {
        auto runtime = make();
        std::atomic<bool> inside{false};
        std::thread first([&] {
            runtime.block_on([](auto& inside) -> rt::task<> {
                inside = true;
                co_await rt::sleep(1h);
            }(inside));
        });
        while (!inside) std::this_thread::yield();
        runtime.block_on(doubled(1));
    };
    EXPECT_DEATH(both(),
                 "rt: misuse: block_on from two threads at once on a current_thread runtime");
}

}  // namespace
