// Promise 5: no task outlives its scope by accident, and the runtime's end takes them all.
#include "task/helpers.hpp"

namespace {

class Promise5 : public EveryRuntime {};
EVERY_RUNTIME(Promise5);

TEST_P(Promise5, a_group_has_ended_before_its_scope_goes_on) {
    run([&]() -> rt::task<> {
        std::atomic<int> alive = 0;
        struct counted {
            explicit counted(std::atomic<int>& n) : n(n) { ++n; }
            ~counted() { --n; }
            std::atomic<int>& n;
        };
        auto worker = [&](int turns) -> rt::task<> {
            counted c(alive);
            co_await yields(turns);
        };
        for (int i = 0; i < 50; ++i) {
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                for (int k = 0; k < 10; ++k) g.spawn(worker((i + k) % 6));
                co_return;
            });
            EXPECT_EQ(alive, 0);
        }
    });
}

TEST_P(Promise5, a_dropped_handle_stops_its_task_and_a_detached_one_goes_on) {
    struct state {  // outlives the runtime, and so the task that goes on
        std::atomic<int> steps = 0;
        std::atomic<bool> gone = false;
    };
    state dropped, detached;
    auto works = [](state& s) -> rt::task<> {
        struct tells {
            state& s;
            ~tells() { s.gone = true; }
        } t{s};
        for (;;) {
            ++s.steps;
            co_await rt::yield_now();
        }
    };
    {
        auto runtime = builder_for(GetParam()).build();
        auto body = [&]() -> rt::task<> {
            {
                auto h = rt::spawn(works(dropped));
                co_await until_at_least(dropped.steps, 3);
            }
            co_await until(dropped.gone);
            rt::spawn(works(detached)).detach();
            co_await until_at_least(detached.steps, 50);
            EXPECT_FALSE(detached.gone);
        };
        runtime.block_on(body());
    }
    EXPECT_TRUE(detached.gone);
}

TEST_P(Promise5, the_runtimes_end_stops_and_joins_everything) {
    std::atomic<int> alive = 0;
    struct counted {
        explicit counted(std::atomic<int>& n) : n(n) { ++n; }
        ~counted() { --n; }
        std::atomic<int>& n;
    };
    {
        auto runtime = builder_for(GetParam()).build();
        runtime.block_on([](std::atomic<int>& alive) -> rt::task<> {
            auto idle = [](std::atomic<int>& alive) -> rt::task<> {
                counted c(alive);
                auto leaf = [](std::atomic<int>& alive) -> rt::task<> {
                    counted c(alive);
                    co_await forever();
                };
                (void)co_await rt::select(rt::allow_loss(leaf(alive)), rt::allow_loss(forever()));
            };
            for (int i = 0; i < 100; ++i) rt::spawn(idle(alive)).detach();
            co_await until_at_least(alive, 200);
        }(alive));
        EXPECT_EQ(alive, 200);
        EXPECT_TRUE(runtime.shutdown().clean());
        EXPECT_EQ(alive, 0);
        EXPECT_EQ(runtime.counters().alive, 0u);
    }
    auto left = rt::audit();
    EXPECT_EQ(left.frames_alive, left.frames_leaked);
    EXPECT_EQ(left.tasks_alive, left.tasks_leaked);
}

TEST_P(Promise5, tasks_that_hold_each_others_handles_go_too) {
    run([&]() -> rt::task<> {
        struct both {
            rt::join_handle<> a, b;
        };
        auto shared = std::make_shared<both>();
        auto holds = [](std::shared_ptr<both> cycle) -> rt::task<> {
            co_await forever();
            (void)cycle;
        };
        shared->a = rt::spawn(holds(shared));
        shared->b = rt::spawn(holds(shared));
        co_await rt::yield_now();
    });
}

}  // namespace
