// shield and as_optional: where a stop ends, and what goes on behind it.
#include "task/helpers.hpp"

#include <memory>
#include <optional>

namespace {

class Scope : public EveryRuntime {};
EVERY_RUNTIME(Scope);

TEST_P(Scope, a_shielded_task_ends_under_a_stop_which_takes_effect_right_after_b33) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> inside = false, go_on = false;
        auto h = rt::spawn([](auto& log, auto& inside, auto& go_on) -> rt::task<> {
            mark m(log, "frame");
            auto body = [&]() -> rt::task<> {
                inside = true;
                co_await until(go_on);
                EXPECT_FALSE(rt::this_task::stop_requested());
                log.add("body");
            };
            co_await rt::shield(body());
            log.add("not here");
        }(log, inside, go_on));
        co_await until(inside);
        h.stop();
        co_await settle_down();
        EXPECT_TRUE(log.lines().empty());
        go_on = true;
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"body", "frame"}));
}

TEST_P(Scope, what_is_shielded_begins_after_a_stop_too_b33) {
    journal log;
    run([&]() -> rt::task<> {
        rt::join_handle<> h;
        std::atomic<bool> ready = false;
        h = rt::spawn([](auto& log, auto& ready, auto& h) -> rt::task<> {
            co_await until(ready);
            h.stop();  // itself
            EXPECT_TRUE(rt::this_task::stop_requested());
            auto body = [&]() -> rt::task<> {
                co_await rt::sleep(1ms);
                log.add("body");
            };
            co_await rt::shield(body());
            log.add("not here");
        }(log, ready, h));
        ready = true;
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"body"});
}

TEST_P(Scope, a_shield_without_a_stop_is_transparent_b33) {
    run([&]() -> rt::task<> {
        auto ready = []() -> rt::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
        EXPECT_EQ(*co_await rt::shield(ready()), 7);
        rt::notify bell;
        bell.notify_one();
        co_await rt::shield(bell.wait());
        auto h = rt::spawn([]() -> rt::task<int> {
            co_await rt::yield_now();
            co_return 4;
        });
        EXPECT_EQ(co_await rt::shield(h), 4);
        auto throws = []() -> rt::task<> {
            co_await rt::yield_now();
            throw boom{};
        };
        EXPECT_THROW(co_await rt::shield(throws()), boom);
        auto [a, b] = co_await rt::join(rt::shield(ready()), rt::shield(rt::sleep(1ms)));
        EXPECT_EQ(*a, 7);
    });
}

TEST_P(Scope, a_failure_under_a_shield_is_handed_over_before_the_stop_b33) {
    journal log;
    run([&]() -> rt::task<> {
        for (bool throws : {false, true}) {
            std::atomic<bool> inside = false, go_on = false;
            auto h = rt::spawn([](auto& log, auto& in, auto& on, bool throws) -> rt::task<> {
                auto body = [&]() -> rt::io_task<> {
                    in = true;
                    co_await until(on);
                    if (throws) throw boom{};
                    co_return rt::errc::closed;
                };
                try {
                    EXPECT_EQ((co_await rt::shield(body())).error(), rt::errc::closed);
                    log.add("value");
                } catch (const boom&) {
                    log.add("exception");
                }
                co_await forever();
                log.add("not here");
            }(log, inside, go_on, throws));
            co_await until(inside);
            h.stop();
            go_on = true;
            EXPECT_TRUE((co_await h.outcome()).stopped());
        }
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"value", "exception"}));
}

TEST_P(Scope, a_shield_holds_through_joins_groups_and_timeouts_b33_b34) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<int> inside = 0;
        std::atomic<bool> go_on = false;
        auto careful = [&](std::string name) -> rt::task<> {
            auto body = [&]() -> rt::task<> {
                ++inside;
                co_await until(go_on);
                log.add(name);
            };
            co_await rt::shield(body());
            log.add("not here");
        };
        auto all = [&]() -> rt::task<> {
            mark m(log, "all");
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                g.spawn(careful("grouped"));
                co_await rt::join(careful("joined"), forever());
            });
        };
        auto h =
            rt::spawn([](auto& all) -> rt::task<> { (void)co_await rt::timeout(24h, all()); }(all));
        co_await until_at_least(inside, 2);
        h.stop();
        co_await settle_down();
        EXPECT_TRUE(log.lines().empty());
        go_on = true;
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    auto lines = log.lines();
    EXPECT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines.back(), "all");
}

TEST_P(Scope, a_timeout_ends_what_waits_but_not_what_is_shielded_b33_b32) {
    run([&]() -> rt::task<> {
        bool done = false;
        auto body = [&]() -> rt::task<> {
            co_await rt::sleep(5ms);
            done = true;
        };
        auto careful = [&]() -> rt::task<int> {
            co_await rt::shield(body());
            co_return 1;
        };
        auto r = co_await rt::timeout(1ms, careful());
        EXPECT_EQ(r.error(), rt::errc::timed_out);
        EXPECT_TRUE(done);
    });
}

TEST_P(Scope, stop_racing_the_end_of_a_shield_never_cuts_it_short_b33_b24) {
    const int rounds = sanitized ? 2000 : 5000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            std::atomic<int> done = 0;
            auto h = rt::spawn([](std::atomic<int>& done, int n) -> rt::task<> {
                auto body = [&]() -> rt::task<> {
                    co_await yields(n);
                    ++done;
                };
                co_await rt::shield(body());
                ++done;
            }(done, i % 4));
            co_await yields(i / 4 % 5);
            h.stop();
            auto o = co_await h.outcome();
            // It may have been stopped before it began.
            if (o.stopped()) {
                EXPECT_NE(done, 2);
            } else {
                EXPECT_EQ(done, 2);
            }
        }
    });
}

TEST_P(Scope, as_optional_gives_the_value_where_no_stop_comes) {
    run([&]() -> rt::task<> {
        auto ready = []() -> rt::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
        EXPECT_EQ(**co_await rt::as_optional(ready()), 7);
        EXPECT_TRUE(co_await rt::as_optional(rt::sleep(1ms)));
        auto [tx, rx] = rt::channel<int>(1);
        (void)co_await tx.send(3);
        std::optional<std::optional<int>> got = co_await rt::as_optional(rx.recv());
        EXPECT_EQ(got, std::optional(3));
        auto throws = []() -> rt::task<> {
            throw boom{};
            co_return;
        };
        EXPECT_THROW((void)co_await rt::as_optional(throws()), boom);
    });
}

TEST_P(Scope, as_optional_observes_a_stop_and_the_task_goes_on_to_its_next_suspension) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& log, auto& waits) -> rt::task<> {
            mark outer(log, "frame");
            auto body = [&]() -> rt::task<> {
                mark m(log, "withdrawn");
                waits = true;
                co_await forever();
                log.add("not here");
            };
            EXPECT_FALSE(rt::this_task::stop_requested());
            EXPECT_FALSE(co_await rt::as_optional(body()));
            EXPECT_TRUE(rt::this_task::stop_requested());
            EXPECT_FALSE(rt::this_task::unwinding());
            auto goodbye = [&]() -> rt::task<> {
                co_await rt::sleep(1ms);
                log.add("goodbye");
            };
            co_await rt::shield(goodbye());
            log.add("not here");
        }(log, waits));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"withdrawn", "goodbye", "frame"}));
}

TEST_P(Scope, a_task_may_end_with_a_value_after_as_optional_has_observed_a_stop) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(4);
        std::atomic<int> seen = 0;
        auto h = rt::spawn([](rt::receiver<int> rx, std::atomic<int>& seen) -> rt::task<int> {
            int sum = 0;
            while (auto got = co_await rt::as_optional(rx.recv())) {
                sum += got->value();
                ++seen;
            }
            co_return sum;
        }(std::move(rx), seen));
        for (int i = 1; i <= 3; ++i) (void)co_await tx.send(i);
        co_await until_at_least(seen, 3);
        h.stop();
        EXPECT_EQ(co_await h, 6);
    });
}

TEST_P(Scope, a_loop_that_goes_on_in_spite_of_its_stop_is_ended_by_its_budget) {
    run([&]() -> rt::task<> {
        std::atomic<bool> turns = false;
        auto h = rt::spawn([](std::atomic<bool>& turns) -> rt::task<> {
            for (;;) {
                (void)co_await rt::as_optional(rt::yield_now());
                turns = true;
            }
        }(turns));
        co_await until(turns);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
}

TEST_P(Scope, stop_racing_a_value_in_as_optional_gives_either_and_loses_nothing_b24) {
    const int rounds = sanitized ? 2000 : 5000;
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        for (int i = 0; i < rounds; ++i) {
            auto h = rt::spawn([](rt::receiver<int>& rx) -> rt::task<bool> {
                co_return (co_await rt::as_optional(rx.recv())).has_value();
            }(rx));
            auto sender = rt::spawn([](rt::sender<int>& tx, int n) -> rt::task<> {
                co_await yields(n);
                (void)co_await tx.send(1);
            }(tx, i % 4));
            co_await yields(i / 4 % 5);
            h.stop();
            auto o = co_await h.outcome();
            bool received = o.has_value() && o.value();
            co_await sender;
            if (!received) EXPECT_EQ(co_await rx.recv(), 1);
        }
    });
}

TEST(ThisTask, no_stop_is_requested_outside_tasks) {
    EXPECT_FALSE(rt::this_task::stop_requested());
}

}  // namespace
