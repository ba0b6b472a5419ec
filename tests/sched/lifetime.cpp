// Where runtimes live, and what outlives them.
#include "support/living.hpp"
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Lifetime : public EveryRuntime {
protected:
    rt::runtime make() { return builder_for(GetParam()).build(); }
};
EVERY_RUNTIME(Lifetime);

rt::task<> waits(living) { co_await rt::sleep(1h); }
rt::task<int> answers(int n) {
    co_await rt::sleep(10us);
    co_return n;
}

thread_local std::optional<rt::runtime> local;

TEST_P(Lifetime, a_runtime_in_a_thread_local_goes_with_its_thread_b11) {
    std::atomic<int> frames{0};
    for (int i = 0; i < 5; ++i) {
        std::thread([&] {
            local.emplace(make());
            for (int n = 0; n < 10; ++n) local->spawn(waits(living(frames))).detach();
            EXPECT_EQ(local->block_on(answers(3)), 3);
            EXPECT_EQ(frames, 10);
        }).join();
        EXPECT_EQ(frames, 0);
    }
}

TEST_P(Lifetime, several_runtimes_live_side_by_side_b11) {
    auto a = make(), b = make(), c = make();
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (auto* r : {&a, &b, &c}) {
        threads.emplace_back([&sum, r] {
            for (int i = 0; i < 100; ++i) sum += r->block_on(answers(1));
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(sum, 300);
}

TEST_P(Lifetime, one_is_driven_from_another_s_blocking_thread_b11) {
    auto outer = make();
    auto sum = outer.block_on([](runtime_case c) -> rt::task<int> {
        auto job = rt::spawn_blocking([c] {
            auto* here = rt::current_executor();
            int sum = 0;
            {
                auto inner = builder_for(c).build();
                sum = inner.block_on(answers(20));
                EXPECT_EQ(rt::current_executor(), here) << "the outer runtime is current again";
                inner.spawn([]() -> rt::task<> { co_await rt::sleep(1h); }()).detach();
            }
            EXPECT_EQ(rt::current_executor(), here) << "after the inner one's end, too";
            rt::spawn([]() -> rt::task<> { co_return; }()).detach();
            return sum;
        });
        co_return co_await std::move(job) + co_await answers(1);
    }(GetParam()));
    EXPECT_EQ(sum, 21);
}

// Nothing forbids it: it blocks the outer worker for as long as the inner one's end takes.
TEST_P(Lifetime, one_may_end_inside_a_task_of_another_b11) {
    auto outer = make();
    outer.block_on([](runtime_case c) -> rt::task<> {
        auto id = rt::this_task::id();
        auto* here = rt::current_executor();
        {
            auto inner = builder_for(c).build();
            inner.spawn([]() -> rt::task<> { co_await rt::sleep(1h); }()).detach();
        }
        EXPECT_EQ(rt::this_task::id(), id);
        EXPECT_EQ(rt::current_executor(), here);
        EXPECT_EQ(co_await rt::spawn(answers(4)), 4);
    }(GetParam()));
}

TEST_P(Lifetime, spawning_on_an_ended_runtime_gives_a_handle_that_is_stopped_b12) {
    std::optional<rt::runtime_handle> handle;
    std::atomic<int> frames{0};
    {
        auto runtime = make();
        handle = runtime.handle();
        EXPECT_EQ(runtime.block_on(answers(2)), 2);
    }
    auto late = handle->spawn(waits(living(frames)));
    EXPECT_TRUE(late.done());
    EXPECT_EQ(frames, 0);
    EXPECT_EQ(handle->counters().alive, 0u);
    auto other = make();
    other.block_on([](rt::runtime_handle ended, auto late) -> rt::task<> {
        EXPECT_TRUE((co_await late.outcome()).stopped());
        auto id = rt::this_task::id();
        auto again = ended.spawn(answers(1));
        EXPECT_EQ(rt::this_task::id(), id) << "the spawner is still the task that it was";
        bool stopped = false;
        try {
            (void)co_await std::move(again);
        } catch (const rt::stopped_error&) {
            stopped = true;
        }
        EXPECT_TRUE(stopped);
        auto value = co_await ended.spawn([]() -> rt::io_task<int> { co_return 1; }());
        EXPECT_EQ(value.error(), rt::errc::stopped);
    }(*handle, std::move(late)));
}

TEST_P(Lifetime, channels_and_joins_outlive_their_runtime_b12) {
    auto [tx, rx] = rt::channel<int>(4);
    std::optional<rt::join_handle<int>> done, stopped;
    {
        auto runtime = make();
        done = runtime.spawn(answers(9));
        stopped = runtime.spawn([]() -> rt::task<int> {
            co_await rt::sleep(1h);
            co_return 1;
        }());
        runtime.block_on([](auto& tx, auto& done) -> rt::task<> {
            EXPECT_TRUE(co_await tx.send(1));
            while (!done->done()) co_await rt::yield_now();
        }(tx, done));
    }
    EXPECT_TRUE(tx.try_send(2));
    auto other = make();
    other.block_on([](auto& rx, auto& done, auto& stopped) -> rt::task<> {
        EXPECT_EQ(*co_await rx.recv(), 1);
        EXPECT_EQ(*co_await rx.recv(), 2);
        EXPECT_EQ(co_await std::move(*done), 9);
        EXPECT_TRUE((co_await stopped->outcome()).stopped());
    }(rx, done, stopped));
}

TEST_P(Lifetime, a_descriptor_outlives_its_runtime_and_gives_an_error_b12) {
    test_pipe pipe;
    {
        auto runtime = make();
        // It has waited here, so this is its runtime.
        EXPECT_TRUE(runtime.block_on([](auto& runtime, auto& pipe) -> rt::task<bool> {
            auto reader = rt::spawn(
                [](auto& pipe) -> rt::task<bool> { co_return co_await pipe.get(); }(pipe));
            while (runtime.counters().operations_in_flight == 0) co_await rt::yield_now();
            pipe.put();
            co_return co_await std::move(reader);
        }(runtime, pipe)));
    }
    pipe.put();
    auto other = make();
    EXPECT_FALSE(
        other.block_on([](auto& pipe) -> rt::task<bool> { co_return co_await pipe.get(); }(pipe)));
}

// The last thing that a runtime needs comes from a thread that knows nothing of its end: the thread
// is still inside the wake-up when the task has gone on, the root has returned and the runtime is
// being destroyed.
TEST_P(Lifetime, a_runtime_may_end_while_another_thread_is_still_waking_its_last_task_b2_b9) {
    for (int i = 0; i < 300; ++i) {
        auto [tx, rx] = rt::oneshot<int>();
        std::latch ready(2);
        std::thread waker([&, tx = std::move(tx)]() mutable {
            ready.arrive_and_wait();
            (void)tx.send(i);
        });
        {
            auto runtime = make();
            auto got = runtime.block_on([](auto& rx, auto& ready) -> rt::task<int> {
                ready.count_down();
                co_return *co_await rx.recv();
            }(rx, ready));
            EXPECT_EQ(got, i);
        }
        waker.join();
    }
}

TEST_P(Lifetime, a_runtime_may_end_while_another_thread_is_still_stopping_its_last_task_b9_b24) {
    for (int i = 0; i < 300; ++i) {
        auto runtime = std::make_unique<rt::runtime>(make());
        auto sleeper = runtime->spawn([]() -> rt::task<> { co_await rt::sleep(1h); }());
        std::latch ready(2);
        std::thread stopper([&] {
            ready.arrive_and_wait();
            sleeper.stop();
        });
        runtime->block_on([](auto& sleeper, auto& ready, int i) -> rt::task<> {
            if (i % 2) co_await rt::yield_now();
            ready.count_down();
            if (i % 3) {
                (void)co_await sleeper.outcome();
            }
        }(sleeper, ready, i));
        runtime.reset();
        stopper.join();
        EXPECT_TRUE(sleeper.done());
    }
}

TEST_P(Lifetime, a_moved_runtime_is_the_same_one) {
    auto a = make();
    std::atomic<int> frames{0};
    a.spawn(waits(living(frames))).detach();
    auto b = std::move(a);
    EXPECT_EQ(b.block_on(answers(5)), 5);
    auto c = make();
    c = std::move(b);  // ends what c was
    EXPECT_EQ(frames, 1);
    EXPECT_EQ(c.block_on(answers(6)), 6);
    c = make();
    EXPECT_EQ(frames, 0);
}

}  // namespace
