// A worker that is kept by user code strands nobody, and is reported.
//
// Without help each of these would wait for ever: what it waits for can only be done by the worker
// that it keeps.
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Work stealing with two workers. In a body of only_one_worker() all tasks are on one worker: the
/// other is kept until other_is_free(), and idle afterwards.
class Stall : public testing::TestWithParam<rt::reactor_kind> {
protected:
    template <class F>
    void only_one_worker(F body) {
        auto runtime =
            rt::runtime::builder().work_stealing().reactor(GetParam()).workers(2).build();
        for (int i = 0; i < 5; ++i) {
            runtime.block_on([](Stall& test, rt::runtime& runtime, F& body) -> rt::task<> {
                std::atomic<bool> kept{false};
                test.free_ = false;
                auto other = rt::spawn([](Stall& test, auto& kept) -> rt::task<> {
                    kept = true;
                    while (!test.free_) std::this_thread::yield();
                    co_return;
                }(test, kept));
                while (!kept) co_await rt::yield_now();
                co_await body(runtime);
                test.other_is_free();
                co_await std::move(other);
            }(*this, runtime, body));
        }
    }
    void other_is_free() noexcept { free_ = true; }
    /// Keeps this worker.
    static void wait_for(const std::atomic<bool>& done) noexcept {
        while (!done) std::this_thread::yield();
    }

private:
    std::atomic<bool> free_{false};
};
INSTANTIATE_TEST_SUITE_P(Each, Stall,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](auto& info) { return std::string(to_string(info.param)); });

rt::task<> reads(test_pipe& pipe, std::atomic<bool>& got) {
    EXPECT_TRUE(co_await pipe.get());
    got = true;
}

TEST_P(Stall, io_that_ends_behind_a_kept_worker_is_delivered_b15) {
    only_one_worker([this](rt::runtime& runtime) -> rt::task<> {
        test_pipe pipe;
        std::atomic<bool> got{false};
        auto reader = rt::spawn(reads(pipe, got));
        while (runtime.counters().operations_in_flight == 0) co_await rt::yield_now();
        other_is_free();
        pipe.put();
        wait_for(got);
        co_await std::move(reader);
    });
}

TEST_P(Stall, io_that_was_not_even_submitted_is_delivered_b15) {
    only_one_worker([this](rt::runtime&) -> rt::task<> {
        test_pipe pipe;
        rt::notify before;
        std::atomic<bool> got{false};
        pipe.put();
        auto reader = rt::spawn([](test_pipe& pipe, rt::notify& before, auto& got) -> rt::task<> {
            before.notify_one();  // the waiter is next on this worker
            co_await reads(pipe, got);
        }(pipe, before, got));
        co_await before.wait();
        other_is_free();
        wait_for(got);
        co_await std::move(reader);
    });
}

TEST_P(Stall, a_stop_of_io_behind_a_kept_worker_takes_effect_b15) {
    only_one_worker([this](rt::runtime& runtime) -> rt::task<> {
        struct at_end {
            std::atomic<bool>& gone;
            ~at_end() { gone = true; }
        };
        test_pipe pipe;
        std::atomic<bool> gone{false};
        auto reader = rt::spawn([](test_pipe& pipe, auto& gone) -> rt::task<> {
            at_end guard{gone};
            co_await pipe.get();
        }(pipe, gone));
        while (runtime.counters().operations_in_flight == 0) co_await rt::yield_now();
        other_is_free();
        reader.stop();
        wait_for(gone);
        EXPECT_TRUE((co_await reader.outcome()).stopped());
    });
}

TEST_P(Stall, a_timer_of_a_kept_worker_fires_b15) {
    only_one_worker([this](rt::runtime&) -> rt::task<> {
        std::atomic<bool> began{false}, fired{false};
        auto sleeper = rt::spawn([](auto& began, auto& fired) -> rt::task<> {
            began = true;
            co_await rt::sleep(1ms);
            fired = true;
        }(began, fired));
        while (!began) co_await rt::yield_now();
        other_is_free();
        wait_for(fired);
        co_await std::move(sleeper);
    });
}

rt::task<> says_so(std::atomic<int>& ran) {
    ++ran;
    co_return;
}

TEST_P(Stall, tasks_queued_behind_a_busy_one_run_elsewhere_the_last_woken_included_b16) {
    only_one_worker([this](rt::runtime&) -> rt::task<> {
        std::atomic<int> ran{0};
        std::vector<rt::join_handle<>> tasks;
        for (int i = 0; i < 3; ++i) tasks.push_back(rt::spawn(says_so(ran)));
        rt::notify bell;
        tasks.push_back(rt::spawn([](rt::notify& bell, auto& ran) -> rt::task<> {
            co_await bell.wait();
            ++ran;
        }(bell, ran)));
        co_await rt::yield_now();  // all have run, and one waits
        EXPECT_EQ(ran, 3);
        other_is_free();
        bell.notify_one();  // it is next on this worker
        while (ran != 4) std::this_thread::yield();
        tasks.push_back(rt::spawn(says_so(ran)));
        while (ran != 5) std::this_thread::yield();
        for (auto& t : tasks) co_await std::move(t);
    });
}

// A worker with work of its own does not look for others': it is given what is behind a kept one.
TEST_P(Stall, tasks_queued_behind_a_busy_one_run_though_the_other_worker_is_never_idle_b16) {
    auto runtime = rt::runtime::builder().work_stealing().reactor(GetParam()).workers(2).build();
    runtime.block_on([]() -> rt::task<> {
        std::atomic<int> ran{0};
        std::vector<rt::join_handle<>> tasks;
        for (int i = 0; i < 2; ++i)
            tasks.push_back(rt::spawn([](auto& ran) -> rt::task<> {
                while (ran < 4) co_await rt::yield_now();
            }(ran)));
        for (int i = 0; i < 10; ++i) co_await rt::yield_now();  // the other worker has one of them
        for (int i = 0; i < 4; ++i) tasks.push_back(rt::spawn(says_so(ran)));
        while (ran < 4) std::this_thread::yield();
        for (auto& t : tasks) co_await std::move(t);
    }());
}

TEST_P(Stall, a_task_that_yielded_runs_elsewhere_when_its_worker_is_kept_b16) {
    only_one_worker([this](rt::runtime&) -> rt::task<> {
        rt::notify before;
        std::atomic<bool> ran{false};
        auto yielder = rt::spawn([](rt::notify& before, auto& ran) -> rt::task<> {
            before.notify_one();
            co_await rt::yield_now();
            ran = true;
        }(before, ran));
        co_await before.wait();
        other_is_free();
        wait_for(ran);
        co_await std::move(yielder);
    });
}

// The worker returns to a reactor and a wheel that others have used meanwhile.
TEST_P(Stall, a_worker_that_was_helped_goes_on_as_before_b15) {
    auto runtime = rt::runtime::builder().work_stealing().reactor(GetParam()).workers(2).build();
    runtime.block_on([]() -> rt::task<> {
        test_pipe pipes[4];
        std::atomic<int> bytes{0};
        std::vector<rt::join_handle<>> readers;
        for (auto& pipe : pipes) {
            readers.push_back(rt::spawn([](test_pipe& pipe, auto& bytes) -> rt::task<> {
                for (int i = 0; i < 40; ++i) {
                    // Each way to wait; the sleep loses, and its timer is taken out.
                    if (i % 2) {
                        EXPECT_TRUE(co_await pipe.get());
                    } else {
                        auto first = co_await rt::select(pipe.get(), rt::sleep(1h));
                        EXPECT_EQ(first.index(), 0u);
                    }
                    ++bytes;
                }
            }(pipe, bytes)));
        }
        for (int i = 0; i < 40; ++i) {
            auto hog = rt::spawn([](int length) -> rt::task<> {
                auto until = std::chrono::steady_clock::now() + length * 1ms;
                while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
                co_return;
            }(i % 8 ? 0 : 25));
            for (auto& pipe : pipes) pipe.put();
            co_await rt::sleep(100us);
            co_await std::move(hog);
        }
        for (auto& r : readers) co_await std::move(r);
        EXPECT_EQ(bytes, 4 * 40);
    }());
}

class StallReport : public EveryRuntime {};
EVERY_RUNTIME(StallReport);

TEST_P(StallReport, a_task_that_keeps_its_worker_is_named_once_b15) {
    struct seen {
        std::mutex mutex;
        std::vector<std::string> names;
        rt::stall last;
        std::atomic<int> count{0};
    } seen;
    {
        auto runtime = builder_for(GetParam())
                           .on_stall(10ms,
                                     [&](const rt::stall& s) {
                                         std::lock_guard guard(seen.mutex);
                                         seen.names.emplace_back(s.task_name);
                                         seen.last = s;
                                         ++seen.count;
                                     })
                           .build();
        runtime.block_on([](auto& seen) -> rt::task<> {
            auto line = std::source_location::current().line() + 1;
            auto hog = rt::spawn({.name = "hog"}, [](auto& seen) -> rt::task<std::uint64_t> {
                while (seen.count == 0) std::this_thread::yield();
                // Not a second time for the same stall.
                auto until = std::chrono::steady_clock::now() + 40ms;
                while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
                co_return rt::this_task::id();
            }(seen));
            auto id = co_await std::move(hog);
            std::lock_guard guard(seen.mutex);
            EXPECT_EQ(seen.names.at(0), "hog");
            EXPECT_EQ(seen.names.size(), 1u);
            EXPECT_EQ(seen.last.task_id, id);
            EXPECT_EQ(seen.last.spawned_at.line(), line);
            EXPECT_GE(seen.last.lasted, 10ms);
            EXPECT_LT(seen.last.worker, rt::current_executor()->worker_count());
        }(seen));
    }
}

TEST(StallOption, a_threshold_out_of_range_is_refused_b20) {
    std::string why;
    auto refused = rt::runtime::builder().on_stall(0ms, [](auto&) {}).try_build(&why);
    EXPECT_FALSE(refused);
    EXPECT_NE(why.find("on_stall"), std::string::npos) << why;
}

}  // namespace
