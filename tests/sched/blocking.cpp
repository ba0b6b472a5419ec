// The pool of threads for calls that block.
#include "support/run.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Blocking : public EveryRuntime {};
EVERY_RUNTIME(Blocking);

TEST_P(Blocking, a_job_gives_its_value_or_throws) {
    run([]() -> rt::task<> {
        auto main = std::this_thread::get_id();
        EXPECT_NE(co_await rt::spawn_blocking([] { return std::this_thread::get_id(); }), main);
        auto p = co_await rt::spawn_blocking(
            [p = std::make_unique<int>(4)]() mutable { return std::move(p); });
        EXPECT_EQ(*p, 4);
        bool threw = false;
        try {
            co_await rt::spawn_blocking([] { throw std::runtime_error("boom"); });
        } catch (const std::runtime_error& e) {
            threw = std::string(e.what()) == "boom";
        }
        EXPECT_TRUE(threw);
    });
}

TEST_P(Blocking, a_cap_of_n_means_never_more_than_n_at_once_b19) {
    auto runtime = builder_for(GetParam()).blocking_threads(3).build();
    runtime.block_on([]() -> rt::task<> {
        std::atomic<int> now{0}, most{0}, ran{0};
        std::vector<rt::join_handle<>> jobs;
        for (int i = 0; i < 200; ++i) {
            jobs.push_back(rt::spawn_blocking([&] {
                auto n = ++now;
                auto seen = most.load();
                while (seen < n && !most.compare_exchange_weak(seen, n)) {
                }
                std::this_thread::yield();
                --now;
                ++ran;
            }));
        }
        for (auto& j : jobs) co_await j;
        EXPECT_EQ(ran, 200);
        EXPECT_LE(most, 3);
    }());
}

// All n wait for each other: were one of them queued behind another, none would end.
TEST_P(Blocking, n_long_jobs_on_a_fresh_pool_all_start_b19) {
    for (int round = 0; round < 10; ++round) {
        auto runtime = builder_for(GetParam()).blocking_threads(8).build();
        runtime.block_on([]() -> rt::task<> {
            std::latch all(8);
            std::vector<rt::join_handle<>> jobs;
            for (int i = 0; i < 8; ++i)
                jobs.push_back(rt::spawn_blocking([&all] { all.arrive_and_wait(); }));
            for (auto& j : jobs) co_await j;
        }());
    }
}

TEST_P(Blocking, n_long_jobs_all_start_though_threads_are_going_idle_and_leaving_b19) {
    for (auto keep_alive : {std::chrono::nanoseconds(0), std::chrono::nanoseconds(50us),
                            std::chrono::nanoseconds(10s), std::chrono::nanoseconds::max()}) {
        auto runtime =
            builder_for(GetParam()).blocking_threads(4).blocking_keep_alive(keep_alive).build();
        runtime.block_on([]() -> rt::task<> {
            for (int round = 0; round < 150; ++round) {
                std::latch all(4);
                std::vector<rt::join_handle<>> jobs;
                for (int i = 0; i < 4; ++i)
                    jobs.push_back(rt::spawn_blocking([&all] { all.arrive_and_wait(); }));
                for (auto& j : jobs) co_await j;
            }
        }());
    }
}

TEST_P(Blocking, a_queued_job_is_withdrawn_before_it_starts_b19) {
    auto runtime = builder_for(GetParam()).blocking_threads(1).build();
    runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
        std::promise<void> go;
        std::atomic<bool> ran{false};
        auto first = rt::spawn_blocking([&] { go.get_future().wait(); });
        while (runtime.counters().blocking_running != 1) co_await rt::yield_now();
        auto queued = rt::spawn_blocking([&] { ran = true; });
        auto dropped = std::make_unique<rt::join_handle<>>(rt::spawn_blocking([&] { ran = true; }));
        while (runtime.counters().blocking_queued != 2) co_await rt::yield_now();
        queued.stop();
        EXPECT_TRUE((co_await queued.outcome()).stopped());  // while the first still runs
        dropped.reset();
        while (runtime.counters().blocking_queued != 0) co_await rt::yield_now();
        go.set_value();
        co_await std::move(first);
        EXPECT_FALSE(ran);
    }(runtime));
}

TEST_P(Blocking, a_job_that_has_started_delays_its_stop_until_it_ends_b19) {
    auto runtime = builder_for(GetParam()).build();
    runtime.block_on([]() -> rt::task<> {
        std::promise<void> started, go;
        std::atomic<bool> ended{false};
        auto job = rt::spawn_blocking([&] {
            started.set_value();
            go.get_future().wait();
            ended = true;
        });
        co_await rt::spawn_blocking([&] { started.get_future().wait(); });
        job.stop();
        co_await rt::yield_now();
        EXPECT_FALSE(job.done());
        go.set_value();
        (void)co_await job.outcome();  // stopped, or its value: either is true
        EXPECT_TRUE(ended);
    }());
}

TEST_P(Blocking, stops_that_race_with_the_start_give_either_outcome_b19_b24) {
    auto runtime = builder_for(GetParam()).blocking_threads(2).blocking_keep_alive(20us).build();
    runtime.block_on([]() -> rt::task<> {
        std::mt19937 random(19);
        std::atomic<int> ran{0};
        int finished = 0, stopped = 0;
        for (int i = 0; i < 500; ++i) {
            std::vector<rt::join_handle<>> jobs;
            for (int n = 0; n < 4; ++n) jobs.push_back(rt::spawn_blocking([&] { ++ran; }));
            for (unsigned n = random() % 3; n > 0; --n) co_await rt::yield_now();
            for (auto& j : jobs) j.stop();
            for (auto& j : jobs) {
                auto ended = co_await j.outcome();
                ++(ended.stopped() ? stopped : finished);
            }
        }
        EXPECT_EQ(finished + stopped, 2000);
        EXPECT_GE(ran, finished);  // one that ran may still be stopped
    }());
}

// --- The pool by itself

struct job : rt::blocking_job {
    std::atomic<int> ran{0};
    job() {
        run = [](rt::work_item& item) noexcept {
            ++static_cast<job&>(static_cast<rt::blocking_job&>(item)).ran;
        };
    }
};

TEST(BlockingPool, each_job_either_runs_once_or_was_withdrawn_b19) {
    for (auto keep_alive : {std::chrono::nanoseconds(0), std::chrono::nanoseconds(30us)}) {
        rt::blocking_pool pool(3, keep_alive);
        std::vector<std::thread> threads;
        std::atomic<int> ran{0}, withdrawn{0};
        constexpr int each = 1000;
        for (unsigned t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                std::mt19937 random(t);
                for (int i = 0; i < each; ++i) {
                    job j[3];
                    for (auto& one : j) EXPECT_TRUE(pool.submit(one));
                    for (unsigned n = random() % 200; n > 0; --n) std::this_thread::yield();
                    for (auto& one : j) {
                        if (random() % 2 && pool.withdraw(one)) {
                            ++withdrawn;
                            EXPECT_EQ(one.ran, 0);
                        } else {
                            while (one.ran == 0) std::this_thread::yield();
                            ++ran;
                        }
                        EXPECT_FALSE(pool.withdraw(one));
                    }
                    if (random() % 64 == 0) std::this_thread::sleep_for(40us);  // lets them go idle
                    // A job must outlive the pool's last touch of it.
                    while (pool.depths().running != 0) std::this_thread::yield();
                }
            });
        }
        for (auto& t : threads) t.join();
        EXPECT_EQ(ran + withdrawn, 3 * 3 * each);
        EXPECT_EQ(pool.close(-1ns), 0u);
        EXPECT_EQ(pool.depths().threads, 0u);
        job late;
        EXPECT_FALSE(pool.submit(late));
    }
}

TEST(BlockingPool, closing_waits_for_jobs_and_idle_threads_alike_b19) {
    for (int round = 0; round < 200; ++round) {
        std::vector<std::unique_ptr<job>> jobs;
        for (int i = 0; i < 8; ++i) jobs.push_back(std::make_unique<job>());
        {
            rt::blocking_pool pool(3, round % 2 ? 10us : 10s);
            for (auto& j : jobs) EXPECT_TRUE(pool.submit(*j));
            if (round % 3 == 0) {
                for (auto d = pool.depths(); d.idle == 0 && d.threads != 0; d = pool.depths())
                    std::this_thread::yield();
            }
            auto limit =
                round % 5 == 0 ? std::chrono::nanoseconds::max() : std::chrono::nanoseconds(-1);
            EXPECT_EQ(pool.close(limit), 0u);
            EXPECT_EQ(pool.depths().threads, 0u);
        }
        for (auto& j : jobs) EXPECT_EQ(j->ran, 1);
    }
}

TEST(BlockingPool, threads_without_work_leave_after_their_time_and_come_again_b19) {
    rt::blocking_pool pool(4, 0ns);
    for (int round = 0; round < 50; ++round) {
        job j;
        EXPECT_TRUE(pool.submit(j));
        while (pool.depths().threads != 0) std::this_thread::yield();
        EXPECT_EQ(j.ran, 1);
    }
}

}  // namespace
