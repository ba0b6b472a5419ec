// The end of a runtime: everything is stopped and joined, or a limit passes and says what it left.
#include "support/living.hpp"
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Shutdown : public EveryRuntime {
protected:
    rt::runtime make() { return builder_for(GetParam()).build(); }
};
EVERY_RUNTIME(Shutdown);

template <class F>
struct at_end {
    explicit at_end(F f) : f(std::move(f)) {}
    at_end(at_end&& o) noexcept : f(std::move(o.f)), armed(std::exchange(o.armed, false)) {}
    at_end& operator=(at_end&&) = delete;
    ~at_end() {
        if (armed) f();
    }
    F f;
    bool armed = true;
};

/// Lets what was spawned reach its first wait.
rt::task<> settle() {
    for (int i = 0; i < 5; ++i) co_await rt::yield_now();
}

TEST_P(Shutdown, it_destroys_all_that_waits_before_it_returns_b9) {
    auto before = rt::audit().operations_in_flight;
    std::atomic<int> frames{0};
    test_pipe pipe;
    rt::notify bell;
    {
        auto runtime = make();
        runtime.block_on([](auto& frames, auto& pipe, auto& bell) -> rt::task<> {
            for (int i = 0; i < 20; ++i) {
                rt::spawn([](living) -> rt::task<> { co_await rt::sleep(1h); }(living(frames)))
                    .detach();
                rt::spawn([](living, rt::notify& bell) -> rt::task<> { co_await bell.wait(); }(
                                                           living(frames), bell))
                    .detach();
                rt::spawn([](living) -> rt::task<> {
                    for (;;) co_await rt::yield_now();
                }(living(frames)))
                    .detach();
                rt::spawn([](living a) -> rt::task<> {
                    co_await rt::join(rt::sleep(1h), [](living) -> rt::task<> {
                        co_await rt::sleep(2h);
                    }(std::move(a)));
                }(living(frames)))
                    .detach();
            }
            rt::spawn([](living, test_pipe& pipe) -> rt::task<> { co_await pipe.get(); }(
                                                      living(frames), pipe))
                .detach();
            co_await settle();
        }(frames, pipe, bell));
        EXPECT_EQ(frames, 81);
        auto report = runtime.shutdown();
        EXPECT_TRUE(report.clean());
        EXPECT_EQ(frames, 0);
        EXPECT_EQ(runtime.counters().alive, 0u);
        EXPECT_EQ(runtime.counters().operations_in_flight, 0u);
    }
    EXPECT_EQ(rt::audit().operations_in_flight, before);
}

TEST_P(Shutdown, tasks_that_hold_each_other_s_handles_end_b9) {
    std::atomic<int> frames{0};
    auto runtime = make();
    runtime.block_on([](auto& frames) -> rt::task<> {
        // Each waits for the next, the last for the first.
        constexpr int n = 5;
        auto handles = std::make_shared<std::vector<rt::join_handle<>>>(n);
        auto all_there = std::make_shared<std::atomic<bool>>(false);
        for (std::size_t i = 0; i < n; ++i) {
            (*handles)[i] =
                rt::spawn([](living, auto handles, auto all_there, std::size_t i) -> rt::task<> {
                    while (!*all_there) co_await rt::yield_now();
                    co_await (*handles)[(i + 1) % n];
                }(living(frames), handles, all_there, i));
        }
        *all_there = true;
        handles.reset();
        co_await settle();
    }(frames));
    EXPECT_EQ(frames, 5);
    EXPECT_TRUE(runtime.shutdown().clean());
    EXPECT_EQ(frames, 0);
}

TEST_P(Shutdown, a_destructor_may_lock_wake_send_spawn_and_ask_for_the_runtime_b3) {
    rt::mutex mutex;
    rt::notify bell;
    auto [tx, rx] = rt::channel<int>(4);
    std::atomic<int> ran{0}, frames{0};
    auto runtime = make();
    runtime.block_on([](auto& mutex, auto& bell, auto& tx, auto& ran, auto& frames) -> rt::task<> {
        auto ends = at_end([&] {
            if (auto guard = mutex.try_lock()) ++ran;
            bell.notify_one();
            bell.notify_all();
            EXPECT_TRUE(tx.try_send(7));
            EXPECT_NE(rt::current_executor(), nullptr);
            EXPECT_TRUE(rt::this_task::unwinding());
            EXPECT_NE(rt::this_task::id(), 0u);
            rt::spawn([](living) -> rt::task<> {
                ADD_FAILURE() << "spawned while its runtime ends, it must not run";
                co_return;
            }(living(frames)))
                .detach();
            ++ran;
        });
        rt::spawn([](auto) -> rt::task<> { co_await rt::sleep(1h); }(std::move(ends))).detach();
        for (int i = 0; i < 3; ++i) {
            rt::spawn([](rt::notify& bell, living) -> rt::task<> {
                for (;;) co_await bell.wait();
            }(bell, living(frames)))
                .detach();
        }
        co_await settle();
    }(mutex, bell, tx, ran, frames));
    EXPECT_TRUE(runtime.shutdown().clean());
    EXPECT_EQ(ran, 2);
    EXPECT_EQ(frames, 0);
    auto last = rx.try_recv();
    EXPECT_TRUE(last.has_value() && *last == 7);
}

TEST_P(Shutdown, spawning_from_other_threads_meanwhile_neither_hangs_nor_leaks_b9_b12) {
    for (int round = 0; round < 15; ++round) {
        std::atomic<int> frames{0};
        std::atomic<bool> over{false}, ending{false};
        std::atomic<int> spawned{0};
        auto runtime = std::make_unique<rt::runtime>(make());
        std::vector<std::thread> spawners;
        for (int t = 0; t < 3; ++t) {
            spawners.emplace_back([&, handle = runtime->handle()] {
                while (!over) {
                    // Three threads spawn faster than one worker runs: a backlog without a bound
                    // would only measure that.
                    if (spawned > 2000 && !ending) {
                        std::this_thread::yield();
                        continue;
                    }
                    auto h = handle.spawn([](living) -> rt::task<> {
                        co_await rt::yield_now();
                        co_await rt::sleep(1h);
                    }(living(frames)));
                    if (++spawned % 2) h.detach();  // else dropped: a stop races with the runtime's
                }
            });
        }
        while (spawned < 50 * (round % 4)) std::this_thread::yield();
        if (round % 2) runtime->block_on(settle());
        ending = true;
        EXPECT_TRUE(runtime->shutdown().clean());
        auto before = spawned.load();
        while (spawned < before + 20) std::this_thread::yield();  // after the end, too
        over = true;
        for (auto& t : spawners) t.join();
        EXPECT_EQ(frames, 0);
        runtime.reset();
        EXPECT_EQ(frames, 0);
    }
}

TEST_P(Shutdown, wakes_from_other_threads_meanwhile_neither_hang_nor_crash_b9) {
    for (int round = 0; round < 15; ++round) {
        rt::notify bell;
        std::atomic<bool> over{false};
        std::atomic<int> frames{0};
        auto runtime = std::make_unique<rt::runtime>(make());
        runtime->block_on([](auto& bell, auto& frames) -> rt::task<> {
            for (int i = 0; i < 20; ++i) {
                rt::spawn([](rt::notify& bell, living) -> rt::task<> {
                    for (;;) co_await bell.wait();
                }(bell, living(frames)))
                    .detach();
            }
            co_await settle();
        }(bell, frames));
        std::thread waker([&] {
            while (!over) bell.notify_all();
        });
        EXPECT_TRUE(runtime->shutdown().clean());
        runtime.reset();
        EXPECT_EQ(frames, 0);
        over = true;
        waker.join();
    }
}

TEST_P(Shutdown, io_and_blocking_jobs_that_complete_meanwhile_are_waited_for_b9) {
    auto before = rt::audit().operations_in_flight;
    for (int round = 0; round < 10; ++round) {
        test_pipe pipes[8];
        std::atomic<int> jobs{0};
        auto runtime = std::make_unique<rt::runtime>(make());
        runtime->block_on([](auto& pipes, auto& jobs) -> rt::task<> {
            for (auto& pipe : pipes) {
                rt::spawn([](test_pipe& pipe) -> rt::task<> {
                    for (;;) co_await pipe.get();
                }(pipe))
                    .detach();
                rt::spawn_blocking([&jobs] {
                    std::this_thread::yield();
                    ++jobs;
                    // The runtime is current here, and ending.
                    rt::spawn([]() -> rt::task<> { co_await rt::sleep(1h); }()).detach();
                }).detach();
            }
            co_await settle();
        }(pipes, jobs));
        std::thread writer([&] {
            for (int i = 0; i < 20; ++i) {
                for (auto& pipe : pipes) pipe.put();
            }
        });
        EXPECT_TRUE(runtime->shutdown().clean());
        writer.join();
        auto started = jobs.load();
        runtime.reset();
        EXPECT_EQ(jobs, started);  // none runs on after the end
        EXPECT_EQ(rt::audit().operations_in_flight, before);
    }
}

TEST_P(Shutdown, a_select_that_left_its_readiness_in_the_kernel_leaves_none_in_flight_b9) {
    auto before = rt::audit().operations_in_flight;
    test_pipe pipe;
    {
        auto runtime = make();
        runtime.block_on([](test_pipe& pipe) -> rt::task<> {
            auto first = co_await rt::select(pipe.get(), rt::sleep(1ms));
            EXPECT_EQ(first.index(), 1u);
        }(pipe));
        EXPECT_TRUE(runtime.shutdown().clean());
    }
    EXPECT_EQ(rt::audit().operations_in_flight, before);
}

TEST_P(Shutdown, twice_is_once_and_a_limit_that_is_not_needed_changes_nothing_b10) {
    for (auto limit : {std::chrono::nanoseconds(10s), std::chrono::nanoseconds::max()}) {
        auto runtime = make();
        runtime.block_on([]() -> rt::task<> {
            rt::spawn([]() -> rt::task<> { co_await rt::sleep(1h); }()).detach();
            co_await rt::spawn_blocking([] {});
        }());
        EXPECT_TRUE(runtime.shutdown(limit).clean());
        EXPECT_TRUE(runtime.shutdown(0s).clean());
        EXPECT_TRUE(runtime.shutdown().clean());
        EXPECT_EQ(runtime.counters().alive, 0u);
    }
}

/// A job that is stuck until it is let go. It keeps what it needs, since it may outlive the test.
struct stuck {
    struct gates {
        std::latch started{1}, release{1}, returned{1};
    };
    std::shared_ptr<gates> at = std::make_shared<gates>();

    rt::task<> start() {
        rt::spawn_blocking([at = at] {
            at->started.count_down();
            at->release.wait();
            at->returned.count_down();
        }).detach();
        co_return;
    }
    void let_go() {
        at->release.count_down();
        at->returned.wait();
    }
};

void leaks_one(const runtime_case& c, std::chrono::nanoseconds limit) {
    auto before = rt::audit();
    stuck job;
    {
        auto runtime = builder_for(c).build();
        runtime.block_on(job.start());
        if (c.flavor == rt::runtime_flavor::current_thread) runtime.block_on(settle());
        job.at->started.wait();
        auto start = std::chrono::steady_clock::now();
        auto report = runtime.shutdown(limit);
        EXPECT_GE(std::chrono::steady_clock::now() - start, limit);
        EXPECT_FALSE(report.clean());
        EXPECT_EQ(report.tasks, 1u);
        EXPECT_EQ(report.operations, 1u);
        auto after = rt::audit();
        EXPECT_EQ(after.frames_leaked - before.frames_leaked, 1);
        EXPECT_EQ(after.tasks_leaked - before.tasks_leaked, 1);
        EXPECT_EQ(after.operations_leaked - before.operations_leaked, 1);
        EXPECT_TRUE(runtime.shutdown().clean());  // told once
    }  // the runtime's end does not wait for the job either
    auto left = rt::audit();
    EXPECT_EQ(left.frames_alive - before.frames_alive, 1);
    // The root's header may still be on its way back.
    while (rt::audit().tasks_alive - before.tasks_alive > 1) std::this_thread::yield();
    job.let_go();  // what it then posts goes nowhere
    EXPECT_EQ(rt::audit().frames_alive, left.frames_alive);
}

TEST_P(Shutdown,
       a_limit_leaves_a_stuck_blocking_job_and_reports_one_frame_and_one_operation_b9_b10) {
    leaks_one(GetParam(), 20ms);
}

TEST_P(Shutdown, the_limit_0_returns_at_once_with_a_blocking_job_stuck_b10) {
    leaks_one(GetParam(), 0s);
}

TEST_P(Shutdown, what_a_limit_left_behind_may_still_be_stopped_dropped_and_spawned_on_b10_b12) {
    stuck job;
    std::optional<rt::join_handle<>> handle;
    std::optional<rt::runtime_handle> there;
    {
        auto runtime = make();
        runtime.block_on([](auto& job, auto& handle) -> rt::task<> {
            handle = rt::spawn_blocking([at = job.at] {
                at->started.count_down();
                at->release.wait();
                at->returned.count_down();
            });
            co_await settle();
        }(job, handle));
        job.at->started.wait();
        there = runtime.handle();
        EXPECT_EQ(runtime.shutdown(0s).tasks, 1u);
    }
    handle->stop();
    EXPECT_FALSE(handle->done());
    handle.reset();
    auto late = there->spawn([]() -> rt::task<> { co_return; }());
    EXPECT_TRUE(late.done());
    EXPECT_EQ(there->counters().alive, 1u);
    job.let_go();
}

TEST(ShutdownDeathTest, a_job_that_ends_its_own_runtime_is_misuse_b11) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    for (auto flavor : {rt::runtime_flavor::work_stealing, rt::runtime_flavor::thread_per_core}) {
        auto from_task = [&] {
            auto runtime = rt::runtime::builder().flavor(flavor).workers(2).build();
            runtime.block_on([](rt::runtime& r) -> rt::task<> {
                r.shutdown();
                co_return;
            }(runtime));
        };
        EXPECT_DEATH(from_task(), "rt: misuse: a runtime is shut down by one of its own tasks");
        auto from_job = [&] {
            auto runtime = rt::runtime::builder().flavor(flavor).workers(2).build();
            runtime.block_on([](rt::runtime& r) -> rt::task<> {
                co_await rt::spawn_blocking([&r] { r.shutdown(); });
            }(runtime));
        };
        EXPECT_DEATH(from_job(), "rt: misuse: a runtime is shut down by one of its own");
    }
}

}  // namespace
