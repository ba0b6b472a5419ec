// timeout: whatever it limits has ended when it returns.
#include "task/helpers.hpp"

#include <memory>

namespace {

class Timeout : public EveryRuntime {};
EVERY_RUNTIME(Timeout);

TEST_P(Timeout, what_is_ready_wins_even_with_0_b32) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 200; ++i) {
            auto ready = []() -> rt::task<int> { co_return 4; };
            auto r = co_await rt::timeout(0s, ready());
            EXPECT_EQ(r.value_or(0), 4);
            EXPECT_TRUE(co_await rt::timeout(0s, rt::sleep(0s)));
            rt::notify bell;
            bell.notify_one();
            EXPECT_TRUE(co_await rt::timeout(0s, bell.wait()));
        }
    });
}

TEST_P(Timeout, on_expiry_the_inner_has_ended_b32) {
    run([&]() -> rt::task<> {
        bool gone = false, went_on = false;
        struct tells {
            bool& gone;
            ~tells() { gone = true; }
        };
        auto inner = [&]() -> rt::task<int> {
            tells t{gone};
            co_await forever();
            went_on = true;
            co_return 1;
        };
        auto r = co_await rt::timeout(1ms, inner());
        EXPECT_EQ(r.error(), rt::errc::timed_out);
        EXPECT_TRUE(gone);
        EXPECT_FALSE(went_on);
    });
}

TEST_P(Timeout, a_result_inside_gives_one_result_b32) {
    run([&]() -> rt::task<> {
        auto fails = []() -> rt::io_task<int> { co_return rt::errc::closed; };
        auto works = []() -> rt::io_task<std::unique_ptr<int>> {
            co_return std::make_unique<int>(1);
        };
        rt::result<int> a = co_await rt::timeout(24h, fails());
        EXPECT_EQ(a.error(), rt::errc::closed);
        rt::result<std::unique_ptr<int>> b = co_await rt::timeout(24h, works());
        EXPECT_EQ(**b, 1);
    });
}

TEST_P(Timeout, an_inner_that_never_stops_being_ready_does_not_outlive_it_b32) {
    run([&]() -> rt::task<> {
        auto greedy = []() -> rt::task<> {
            for (;;) co_await rt::consume_budget();
        };
        EXPECT_EQ((co_await rt::timeout(1ms, greedy())).error(), rt::errc::timed_out);
        auto yielding = []() -> rt::task<> {
            for (;;) co_await rt::yield_now();
        };
        EXPECT_EQ((co_await rt::timeout(1ms, yielding())).error(), rt::errc::timed_out);
    });
}

/// On virtual time: after the deadline it runs out its budget and no more.
TEST(TimeoutBudget, an_inner_outlives_its_deadline_by_its_budget_at_most_b32) {
    rt::paused_clock clock;
    auto runtime = rt::runtime::builder().current_thread().clock(clock).build();
    int after = 0;
    runtime.block_on([](rt::paused_clock& clock, int& after) -> rt::task<> {
        auto greedy = [](rt::paused_clock& clock, int& after) -> rt::task<> {
            co_await rt::yield_now();
            for (int i = 0; i < 10; ++i) co_await rt::consume_budget();
            clock.advance(1h);
            for (;;) {
                ++after;
                co_await rt::consume_budget();
            }
        };
        auto r = co_await rt::timeout(1s, greedy(clock, after));
        EXPECT_EQ(r.error(), rt::errc::timed_out);
    }(clock, after));
    EXPECT_LE(after, 2 * rt::operations_per_turn);
}

TEST_P(Timeout, a_moved_handle_can_be_limited_and_is_stopped_on_expiry_b32) {
    run([&]() -> rt::task<> {
        auto h = rt::spawn(forever());
        auto r = co_await rt::timeout(1ms, std::move(h));
        EXPECT_EQ(r.error(), rt::errc::timed_out);
        auto quick = rt::spawn([]() -> rt::io_task<int> { co_return 2; });
        rt::result<int> v = co_await rt::timeout(24h, std::move(quick));
        EXPECT_EQ(v.value_or(0), 2);
    });
}

TEST_P(Timeout, a_stop_from_outside_ends_the_inner_first_b32_b34) {
    run([&]() -> rt::task<> {
        journal log;
        std::atomic<bool> waits = false;
        auto inner = [&]() -> rt::task<> {
            mark m(log, "inner");
            waits = true;
            co_await forever();
        };
        auto h = rt::spawn([](auto& inner, auto& log) -> rt::task<> {
            mark m(log, "outer");
            (void)co_await rt::timeout(24h, inner());
            log.add("not here");
        }(inner, log));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_EQ(log.lines(), (std::vector<std::string>{"inner", "outer"}));
    });
}

TEST_P(Timeout, expiry_racing_the_end_gives_either_b32) {
    const int rounds = sanitized ? 200 : 500;
    int values = 0, expired = 0;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            auto inner = []() -> rt::task<int> {
                co_await rt::sleep(100us);
                co_return 1;
            };
            auto r = co_await rt::timeout(100us, inner());
            if (r) {
                ++values;
            } else {
                EXPECT_EQ(r.error(), rt::errc::timed_out);
                ++expired;
            }
        }
    });
    EXPECT_EQ(values + expired, rounds);
}

rt::task<std::optional<rt::steady_time>> told() { co_return rt::this_task::deadline(); }

TEST_P(Timeout, what_it_limits_knows_its_deadline_and_so_do_its_children_b32) {
    EXPECT_EQ(rt::this_task::deadline(), std::nullopt);
    run([]() -> rt::task<> {
        auto everywhere = [](rt::steady_time limit) -> rt::task<> {
            EXPECT_EQ(rt::this_task::deadline(), limit);
            auto [joined, too] = co_await rt::join(told(), told());
            EXPECT_EQ(joined, limit);
            EXPECT_EQ(too, limit);
            EXPECT_EQ(co_await rt::shield(told()), limit);
            EXPECT_EQ(co_await rt::spawn(told()), limit);
            auto grouped = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                EXPECT_EQ(rt::this_task::deadline(), limit);
                g.spawn([](rt::steady_time limit) -> rt::task<> {
                    EXPECT_EQ(rt::this_task::deadline(), limit);
                    co_return;
                }(limit));
                co_return;
            });
            EXPECT_TRUE(grouped);
            EXPECT_EQ(rt::this_task::deadline(), limit);
        };
        EXPECT_EQ(co_await told(), std::nullopt);
        auto now = co_await rt::this_task::now();
        auto hour = now + 1h, day = now + 24h;
        auto nested = [&]() -> rt::task<> {
            co_await everywhere(hour);
            (co_await rt::timeout_at(day, everywhere(hour)))
                .or_throw();  // a later one changes nothing
            (co_await rt::timeout_at(now + 1min, everywhere(now + 1min))).or_throw();
            EXPECT_EQ(rt::this_task::deadline(), hour);
        };
        (co_await rt::timeout_at(hour, nested())).or_throw();
        EXPECT_EQ(rt::this_task::deadline(), std::nullopt);
        auto first = (co_await rt::timeout(1h, told())).value();
        EXPECT_GE(first.value(), hour);
        EXPECT_LT(first.value(), day);
    });
}

}  // namespace
