// A ready operation, a wait and a select cost no allocation: the hook counts what this thread
// takes.
#include "task/helpers.hpp"

#include "support/allocations.hpp"

namespace {

/// One thread does all the work, so its own counter sees it all.
class Allocation : public testing::TestWithParam<rt::reactor_kind> {
protected:
    template <class F>
    void run(F body) {
        auto runtime = rt::runtime::builder().current_thread().reactor(GetParam()).build();
        runtime.block_on(body());
    }
};
INSTANTIATE_TEST_SUITE_P(Each, Allocation,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](const auto& info) {
                             return info.param == rt::reactor_kind::epoll ? "epoll" : "uring";
                         });

TEST_P(Allocation, a_ready_select_arm_allocates_nothing_b30) {
    run([]() -> rt::task<> {
        rt::notify bell;
        auto h = rt::spawn(forever());
        for (int i = 0; i < 3; ++i) {  // the first rounds warm up
            auto before = taken;
            for (int k = 0; k < 100; ++k) {
                bell.notify_one();
                auto first = co_await rt::select(h, bell.wait(), rt::sleep(24h));
                EXPECT_EQ(first.index(), 1u);
            }
            if (i > 0) EXPECT_EQ(taken - before, 0);
        }
    });
}

TEST_P(Allocation, a_select_of_three_waiting_arms_allocates_nothing_b30) {
    run([]() -> rt::task<> {
        rt::notify bell, go;
        auto h = rt::spawn(forever());
        auto ringer = rt::spawn([](rt::notify& bell, rt::notify& go) -> rt::task<> {
            for (;;) {
                co_await go.wait();
                co_await rt::yield_now();
                bell.notify_one();
            }
        }(bell, go));
        for (int i = 0; i < 3; ++i) {
            auto before = taken;
            for (int k = 0; k < 100; ++k) {
                go.notify_one();
                auto first = co_await rt::select(h, bell.wait(), rt::sleep(24h));
                EXPECT_EQ(first.index(), 1u);
            }
            if (i > 0) EXPECT_EQ(taken - before, 0);
        }
    });
}

TEST_P(Allocation, sleeping_yielding_and_joining_allocate_nothing_b30) {
    run([]() -> rt::task<> {
        for (int i = 0; i < 3; ++i) {
            auto h = rt::spawn(yields(2));
            auto before = taken;
            co_await rt::sleep(1ms);
            co_await rt::sleep(0s);
            co_await rt::yield_now();
            co_await h;
            if (i > 0) EXPECT_EQ(taken - before, 0);
        }
    });
}

TEST_P(Allocation, spawning_on_a_steady_path_reuses_memory) {
    if (sanitized) GTEST_SKIP() << "nothing is counted under the sanitizers";
    run([]() -> rt::task<> {
        for (int i = 0; i < 3; ++i) {
            auto before = taken;
            for (int k = 0; k < 100; ++k) co_await rt::spawn(yields(2));
            if (i > 0) EXPECT_EQ(taken - before, 0);
        }
    });
}

}  // namespace
