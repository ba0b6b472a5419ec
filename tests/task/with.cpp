// with: the close runs once, whichever way the body ends.
#include "task/helpers.hpp"

#include <functional>
#include <memory>

namespace {

class With : public EveryRuntime {};
EVERY_RUNTIME(With);

/// Asynchronous to close, and tells.
struct door {
    journal* log;
    rt::task<> close() {
        co_await rt::sleep(1ms);
        log->add("closed");
    }
    rt::io_task<> close_badly() {
        co_await rt::yield_now();
        log->add("closed");
        co_return rt::errc::timed_out;
    }
    rt::task<> close_with_a_bang() {
        co_await rt::yield_now();
        log->add("closed");
        throw boom{2};
    }
};

TEST_P(With, the_resource_is_closed_once_on_return_error_and_exception_b33) {
    run([&]() -> rt::task<> {
        journal log;
        auto returns = [&](door&) -> rt::task<std::unique_ptr<int>> {
            co_await rt::yield_now();
            log.add("body");
            co_return std::make_unique<int>(3);
        };
        EXPECT_EQ(*co_await rt::with(door{&log}, returns, &door::close), 3);
        auto fails = [&](door&) -> rt::io_task<int> {
            log.add("body");
            co_return rt::errc::closed;
        };
        EXPECT_EQ((co_await rt::with(door{&log}, fails, &door::close)).error(), rt::errc::closed);
        auto throws = [&](door&) -> rt::task<> {
            log.add("body");
            throw boom{1};
            co_return;
        };
        EXPECT_THROW(co_await rt::with(door{&log}, throws, &door::close), boom);
        auto throws_at_once = [&](door&) -> rt::task<> {
            log.add("body");
            throw boom{1};
        };
        EXPECT_THROW(co_await rt::with(door{&log}, throws_at_once, &door::close), boom);
        std::vector<std::string> each;
        for (int i = 0; i < 4; ++i) each.insert(each.end(), {"body", "closed"});
        EXPECT_EQ(log.lines(), each);
    });
}

TEST_P(With, the_resource_is_closed_once_on_a_stop_which_takes_effect_after_it_b33) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& log, auto& waits) -> rt::task<> {
            mark m(log, "frame");
            auto body = [&](door&) -> rt::task<> {
                mark m(log, "body");
                waits = true;
                co_await forever();
                log.add("not here");
            };
            co_await rt::with(door{&log}, body, &door::close);
            log.add("not here");
        }(log, waits));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"body", "closed", "frame"}));
}

TEST_P(With, a_stop_during_the_close_waits_for_it_and_takes_no_value_away_b33) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> closing = false, go_on = false;
        auto h = rt::spawn([](auto& log, auto& closing, auto& go_on) -> rt::task<> {
            auto body = [](door&) -> rt::task<int> { co_return 1; };
            auto close = [&](door&) -> rt::task<> {
                closing = true;
                co_await until(go_on);
                log.add("closed");
            };
            EXPECT_EQ(co_await rt::with(door{&log}, body, close), 1);
            log.add("has it");
            co_await forever();
            log.add("not here");
        }(log, closing, go_on));
        co_await until(closing);
        h.stop();
        co_await settle_down();
        EXPECT_TRUE(log.lines().empty());
        go_on = true;
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"closed", "has it"}));
}

TEST_P(With, a_failed_close_is_returned_where_the_body_had_no_failure_b33) {
    run([&]() -> rt::task<> {
        journal log;
        auto value = [](door&) -> rt::task<int> { co_return 1; };
        auto unit = [](door&) -> rt::task<> { co_return; };
        auto throws = [](door&) -> rt::task<int> {
            throw boom{1};
            co_return 1;
        };
        auto fails = [](door&) -> rt::io_task<int> { co_return rt::errc::closed; };
        rt::result<int> a = co_await rt::with(door{&log}, value, &door::close_badly);
        EXPECT_EQ(a.error(), rt::errc::timed_out);
        rt::result<void> b = co_await rt::with(door{&log}, unit, &door::close_badly);
        EXPECT_EQ(b.error(), rt::errc::timed_out);
        EXPECT_THROW(co_await rt::with(door{&log}, unit, &door::close_with_a_bang), boom);
        EXPECT_EQ(runtime().counters().unhandled, 0u);
        // The first failure is the one that counts; the other is reported.
        rt::result<int> c = co_await rt::with(door{&log}, fails, &door::close_badly);
        EXPECT_EQ(c.error(), rt::errc::closed);
        int caught = 0;
        try {
            (void)co_await rt::with(door{&log}, throws, &door::close_with_a_bang);
        } catch (const boom& b) {
            caught = b.value;
        }
        EXPECT_EQ(caught, 1);
        EXPECT_EQ(runtime().counters().unhandled, 2u);
        EXPECT_EQ(log.lines().size(), 5u);
    });
}

TEST_P(With, a_close_that_fails_under_a_stop_is_returned_first_b33) {
    run([&]() -> rt::task<> {
        journal log;
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& log, auto& waits) -> rt::io_task<> {
            auto body = [&](door&) -> rt::task<> {
                waits = true;
                co_await forever();
            };
            co_return co_await rt::with(door{&log}, body, &door::close_badly);
        }(log, waits));
        co_await until(waits);
        h.stop();
        EXPECT_EQ((co_await h).error(), rt::errc::timed_out);
    });
}

TEST_P(With, nothing_runs_before_it_is_awaited_b22_b33) {
    run([&]() -> rt::task<> {
        journal log;
        auto body = [&](door&) -> rt::task<> {
            log.add("body");
            co_return;
        };
        {
            auto never = rt::with(door{&log}, body, &door::close);
        }
        EXPECT_TRUE(log.lines().empty());
        door outside{&log};
        auto same = [&](door& d) -> rt::task<bool> { co_return &d == &outside; };
        EXPECT_TRUE(co_await rt::with(std::ref(outside), same, &door::close));
        EXPECT_EQ(log.lines(), std::vector<std::string>{"closed"});
    });
}

TEST_P(With, nested_ones_close_innermost_first_on_a_stop_b33_b34) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false;
        auto close = [&](const char*& name) -> rt::task<> {
            co_await rt::yield_now();
            log.add(name);
        };
        auto innermost = [&](const char*&) -> rt::task<> {
            waits = true;
            co_await forever();
        };
        auto inner = [&](const char*&) -> rt::task<> {
            return rt::with("inner", innermost, close);
        };
        auto h = rt::spawn([](auto& inner, auto& close) -> rt::task<> {
            co_await rt::with("outer", inner, close);
        }(inner, close));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"inner", "outer"}));
}

TEST_P(With, stop_racing_body_and_close_closes_once_b33_b24) {
    const int rounds = sanitized ? 1500 : 4000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            std::atomic<int> opened = 0, closed = 0;
            auto h = rt::spawn([](auto& opened, auto& closed, int n) -> rt::task<> {
                auto body = [n](std::atomic<int>& opened) -> rt::task<> {
                    ++opened;
                    co_await yields(n % 3);
                };
                auto close = [&closed, n](std::atomic<int>&) -> rt::task<> {
                    co_await yields(n / 3 % 3);
                    ++closed;
                };
                co_await rt::with(std::ref(opened), body, close);
            }(opened, closed, i));
            co_await yields(i / 9 % 6);
            h.stop();
            (void)co_await h.outcome();
            EXPECT_GE(closed, opened);  // stopped before the body began, it is closed all the same
            EXPECT_LE(closed, 1);
        }
    });
}

}  // namespace
