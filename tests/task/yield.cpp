// Giving way: of one's own will, and by the budget.
#include "task/helpers.hpp"

#include <chrono>

namespace {

class Yield : public EveryRuntime {};
EVERY_RUNTIME(Yield);

TEST_P(Yield, others_that_are_ready_run_first) {
    if (GetParam().flavor == rt::runtime_flavor::work_stealing) GTEST_SKIP() << "any worker";
    run([&]() -> rt::task<> {
        int ran = 0;
        std::vector<rt::join_handle<>> h;
        for (int i = 0; i < 10; ++i)
            h.push_back(rt::spawn([](int& ran) -> rt::task<> {
                ++ran;
                co_return;
            }(ran)));
        co_await rt::yield_now();
        EXPECT_EQ(ran, 10);
        for (auto& each : h) co_await each;
    });
}

TEST_P(Yield, timers_and_reactor_have_a_turn_before_the_yielder_resumes_b8) {
    auto c = GetParam();
    if (c.flavor != rt::runtime_flavor::current_thread) c.workers = 1;
    auto runtime = builder_for(c).build();
    runtime.block_on([]() -> rt::task<> {
        for (int i = 0; i < 5; ++i) {
            bool waits = false, fired = false;
            auto h = rt::spawn([](bool& waits, bool& fired) -> rt::task<> {
                waits = true;
                co_await rt::sleep(1ms);
                fired = true;
            }(waits, fired));
            while (!waits) co_await rt::yield_now();
            // The clock is the thing under test: no suspension until the timer is due.
            auto due = std::chrono::steady_clock::now() + 3ms;
            while (std::chrono::steady_clock::now() < due) {
            }
            EXPECT_FALSE(fired);
            co_await rt::yield_now();
            EXPECT_TRUE(fired);
            co_await h;
        }
    }());
}

TEST_P(Yield, an_always_ready_operation_gives_way_every_128_b14) {
    run([&]() -> rt::task<> {
        co_await rt::yield_now();  // a fresh budget
        auto before = runtime().counters().total.forced_yields;
        for (int i = 0; i < 10 * rt::operations_per_turn; ++i) co_await rt::consume_budget();
        EXPECT_EQ(runtime().counters().total.forced_yields - before, 9u);
    });
}

TEST_P(Yield, every_ready_operation_is_charged_b14) {
    run([&]() -> rt::task<> {
        auto forced = [&] { return runtime().counters().total.forced_yields; };
        auto done = rt::spawn([]() -> rt::task<> { co_return; });
        while (!done.done()) co_await rt::yield_now();
        auto before = forced();
        for (int i = 0; i < 1000; ++i) co_await rt::sleep(0s);
        EXPECT_GE(forced() - before, 6u);
        before = forced();
        for (int i = 0; i < 1000; ++i) (void)co_await rt::select(rt::sleep(0s), rt::sleep(24h));
        EXPECT_GE(forced() - before, 6u);
        co_await done;
    });
}

TEST_P(Yield, two_always_ready_loops_take_turns_b13_b14) {
    run([&]() -> rt::task<> {
        std::atomic<bool> over = false;
        auto greedy = rt::spawn([](auto& over) -> rt::task<> {
            while (!over) co_await rt::consume_budget();
        }(over));
        auto second = rt::spawn([](auto& over) -> rt::task<> {
            for (int i = 0; i < 1000; ++i) co_await rt::consume_budget();
            over = true;
        }(over));
        co_await second;
        co_await greedy;
    });
}

TEST_P(Yield, two_that_wake_each_other_for_ever_leave_the_third_its_turn_b13) {
    run([&]() -> rt::task<> {
        rt::notify ping, pong;
        auto hits = [](rt::notify& mine, rt::notify& other) -> rt::task<> {
            for (;;) {
                co_await mine.wait();
                other.notify_one();
            }
        };
        auto a = rt::spawn(hits(ping, pong)), b = rt::spawn(hits(pong, ping));
        ping.notify_one();
        for (int i = 0; i < 20; ++i) co_await rt::spawn(yields(3));
        co_await rt::sleep(1ms);
        a.stop();
        b.stop();
        (void)co_await a.outcome();
        (void)co_await b.outcome();
    });
}

TEST_P(Yield, unbudgeted_work_does_not_give_way_b14) {
    run([&]() -> rt::task<> {
        co_await rt::yield_now();
        auto before = runtime().counters().total.forced_yields;
        auto body = []() -> rt::task<> {
            for (int i = 0; i < 10000; ++i) co_await rt::consume_budget();
        };
        co_await rt::unbudgeted(body());
        EXPECT_EQ(runtime().counters().total.forced_yields, before);
        for (int i = 0; i < 1000; ++i) co_await rt::consume_budget();
        EXPECT_GT(runtime().counters().total.forced_yields, before);
    });
}

TEST_P(Yield, a_stop_takes_effect_where_the_budget_ends_and_where_it_yields_b24) {
    run([&]() -> rt::task<> {
        std::atomic<int> started = 0;
        auto a = rt::spawn([](auto& started) -> rt::task<> {
            ++started;
            for (;;) co_await rt::consume_budget();
        }(started));
        auto b = rt::spawn([](auto& started) -> rt::task<> {
            ++started;
            for (;;) co_await rt::yield_now();
        }(started));
        auto c = rt::spawn([](auto& started) -> rt::task<> {
            ++started;
            for (;;) (void)co_await rt::select(rt::sleep(0s), rt::sleep(24h));
        }(started));
        co_await until_at_least(started, 3);
        a.stop();
        b.stop();
        c.stop();
        EXPECT_TRUE((co_await a.outcome()).stopped());
        EXPECT_TRUE((co_await b.outcome()).stopped());
        EXPECT_TRUE((co_await c.outcome()).stopped());
    });
}

}  // namespace
