// Signals as streams. raise() delivers to this thread before it returns.
#include "task/helpers.hpp"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <thread>
#include <variant>
#include <vector>

namespace {

class Signals : public EveryRuntime {};
EVERY_RUNTIME(Signals);

TEST_P(Signals, what_comes_between_two_waits_is_kept) {
    run([]() -> rt::task<> {
        auto stream = rt::signals(SIGUSR1, SIGUSR2).or_throw();
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        EXPECT_EQ(co_await stream.next(), SIGUSR1);
        EXPECT_EQ(co_await stream.next(), SIGUSR2);
    });
}

TEST_P(Signals, every_stream_is_told_of_what_it_asked_for) {
    run([]() -> rt::task<> {
        auto one = rt::signals(SIGUSR1).or_throw();
        auto both = rt::signals(SIGUSR1, SIGUSR2).or_throw();
        auto waits = rt::spawn([](rt::signal_stream s) -> rt::task<> {
            EXPECT_EQ(co_await s.next(), SIGUSR1);
            EXPECT_EQ(co_await s.next(), SIGUSR1);
        }(std::move(one)));
        co_await settle_down();
        for (int number : {SIGUSR1, SIGUSR2, SIGUSR1}) {
            ::raise(number);
            EXPECT_EQ(co_await both.next(), number);
        }
        co_await waits;
    });
}

TEST_P(Signals, a_wait_that_loses_a_select_or_is_stopped_takes_nothing_b82) {
    run([]() -> rt::task<> {
        auto stream = rt::signals(SIGUSR1).or_throw();
        for (int i = 0; i < 20; ++i) {
            auto first = co_await rt::select(stream.next(), rt::sleep(0ms));
            EXPECT_EQ(first.index(), 1u);
        }
        auto waits = rt::spawn([](rt::signal_stream& s) -> rt::task<> { (void)co_await s.next(); },
                               std::ref(stream));
        co_await settle_down();
        waits.stop();
        EXPECT_TRUE((co_await waits.outcome()).stopped());
        ::raise(SIGUSR1);
        auto first = co_await rt::select(stream.next(), rt::sleep(24h));
        EXPECT_EQ(std::get<0>(first), SIGUSR1);
    });
}

TEST_P(Signals, ctrl_c_tells_every_waiter_and_one_that_came_before_counts_once) {
    run([]() -> rt::task<> {
        auto waits = []() -> rt::task<int> { co_return (co_await rt::ctrl_c()).or_throw(); };
        auto one = rt::spawn(waits());
        auto two = rt::spawn(waits());
        // Not before both are registered: what comes earlier would count for one only.
        while (rt::audit().operations_in_flight < 2) co_await rt::yield_now();
        ::raise(SIGTERM);
        EXPECT_EQ(co_await one, SIGTERM);
        EXPECT_EQ(co_await two, SIGTERM);
        ::raise(SIGINT);
        EXPECT_EQ((co_await rt::ctrl_c()).value(), SIGINT);
        auto none = co_await rt::timeout(1ms, rt::ctrl_c());
        EXPECT_EQ(none.error(), rt::errc::timed_out);
    });
}

// It was a task, which took the signal and then lost.
TEST_P(Signals, a_ctrl_c_that_loses_to_an_arm_that_is_always_ready_is_not_lost_b82) {
    run([]() -> rt::task<> {
        (void)co_await rt::timeout(0ms, rt::ctrl_c());  // from now on it is caught
        for (int i = 0; i < 50; ++i) {
            ::raise(SIGINT);
            int rounds = 0;
            for (;; ++rounds) {
                auto ready = [](int n) -> rt::task<> {
                    for (; n > 0; --n) co_await rt::yield_now();
                };
                auto first = co_await rt::select(rt::ctrl_c(), rt::allow_loss(ready(i % 3)));
                if (first.index() == 0) break;
            }
            EXPECT_LT(rounds, 100);
        }
        std::thread other([] {
            for (int i = 0; i < 50; ++i) {
                ::usleep(200);
                ::kill(::getpid(), SIGINT);
            }
        });
        auto end = co_await rt::this_task::now() + 10s;
        bool came = false;
        while (!came && co_await rt::this_task::now() < end) {
            auto first = co_await rt::select(rt::sleep(0ms), rt::ctrl_c());
            came = first.index() == 1;
        }
        EXPECT_TRUE(came);
        other.join();
        (void)co_await rt::timeout(10ms, rt::ctrl_c());
    });
}

TEST(SignalsAlone, what_is_no_signal_or_cannot_be_caught_is_an_error) {
    for (int number : {0, -1, 65, 1000})
        EXPECT_EQ(rt::signals(number).error(), std::errc::invalid_argument) << number;
    EXPECT_EQ(rt::signals(SIGKILL).error(), std::errc::invalid_argument);
    std::vector<rt::signal_stream> many;
    for (int i = 0; i < 64; ++i) many.push_back(rt::signals(SIGUSR1).or_throw());
    EXPECT_EQ(rt::signals(SIGUSR1).error(), std::errc::too_many_files_open);
    many.pop_back();
    EXPECT_TRUE(rt::signals(SIGUSR1));
}

}  // namespace
