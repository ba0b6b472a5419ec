// this_task::stop_token: the running scope's stop, for those who cannot co_await.
#include "task/helpers.hpp"

#include <atomic>
#include <thread>

namespace {

class StopToken : public EveryRuntime {};
EVERY_RUNTIME(StopToken);

TEST_P(StopToken, it_tells_of_the_stop_of_its_task_b38) {
    run([]() -> rt::task<> {
        std::atomic<bool> waits = false, told = false;
        std::atomic<int> calls = 0;
        auto h = rt::spawn([](auto& waits, auto& told, auto& calls) -> rt::task<> {
            auto token = rt::this_task::stop_token();
            EXPECT_TRUE(token.stop_possible());
            EXPECT_FALSE(token.stop_requested());
            EXPECT_EQ(token, rt::this_task::stop_token());
            rt::stop_callback counts(token, [&] { ++calls; });
            // A job that runs cannot be withdrawn, and asks the token.
            co_await rt::shield([](auto token, auto& waits, auto& told) -> rt::task<> {
                co_await rt::spawn_blocking([&, token] {
                    waits = true;
                    while (!token.stop_requested()) std::this_thread::yield();
                    told = true;
                });
            }(token, waits, told));
        }(waits, told, calls));
        co_await until(waits);
        h.stop();
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_TRUE(told);
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(StopToken, taken_after_the_stop_it_has_been_requested_b38) {
    run([]() -> rt::task<> {
        std::atomic<bool> began = false;
        std::atomic<int> calls = 0;
        auto h = rt::spawn([](auto& began, auto& calls) -> rt::task<> {
            began = true;
            (void)co_await rt::as_optional(forever());
            auto token = rt::this_task::stop_token();
            EXPECT_TRUE(token.stop_requested());
            rt::stop_callback counts(token, [&] { ++calls; });
            EXPECT_EQ(calls, 1);
        }(began, calls));
        co_await until(began);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(StopToken, each_scope_has_its_own) {
    run([]() -> rt::task<> {
        auto outer = rt::this_task::stop_token();
        co_await rt::shield([](auto outer) -> rt::task<> {
            EXPECT_NE(outer, rt::this_task::stop_token());
            co_return;
        }(outer));
        std::atomic<bool> cut = false;
        auto first = co_await rt::select(rt::allow_loss([](auto& cut) -> rt::task<> {
                                             rt::stop_callback tells(rt::this_task::stop_token(),
                                                                     [&] { cut = true; });
                                             co_await forever();
                                         }(cut)),
                                         rt::sleep(2ms));
        EXPECT_EQ(first.index(), 1u);
        EXPECT_TRUE(cut) << "the arm that loses is stopped";
        EXPECT_FALSE(outer.stop_requested()) << "and nobody else";
        EXPECT_EQ(outer, rt::this_task::stop_token());
    });
}

TEST_P(StopToken, a_source_may_be_its_child_b39) {
    run([]() -> rt::task<> {
        std::atomic<bool> waits = false, ended = false;
        auto h = rt::spawn([](auto& waits, auto& ended) -> rt::task<> {
            rt::stop_source source(rt::this_task::stop_token());
            std::thread other([&] {
                waits = true;
                while (!source.stop_requested()) std::this_thread::yield();
                ended = true;
            });
            (void)co_await rt::as_optional(forever());
            other.join();
        }(waits, ended));
        co_await until(waits);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_TRUE(ended);
    });
}

TEST(StopTokenOutside, a_token_of_nothing) {
    EXPECT_FALSE(rt::this_task::stop_token().stop_possible());
    EXPECT_FALSE(rt::this_task::stop_token().stop_requested());
}

TEST_P(StopToken, requests_race_the_first_token_and_its_callbacks_b24_b38) {
    constexpr int rounds = 500;
    run([]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            std::atomic<int> calls = 0;
            std::atomic<bool> began = false;
            auto h = rt::spawn([](auto& calls, auto& began, int i) -> rt::task<> {
                began = true;
                for (int n = 0; n < i % 50; ++n)
                    std::atomic_signal_fence(std::memory_order_seq_cst);
                rt::stop_callback counts(rt::this_task::stop_token(), [&] { ++calls; });
                co_await forever();
            }(calls, began, i));
            std::thread other([&] {
                while (!began) std::this_thread::yield();
                h.stop();
            });
            EXPECT_TRUE((co_await h.outcome()).stopped());
            other.join();
            EXPECT_EQ(calls, 1);
        }
    });
}

}  // namespace
