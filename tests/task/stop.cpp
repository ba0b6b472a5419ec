// A stop request: where it lands, what it leaves alone, and how far down it reaches.
#include "task/helpers.hpp"

#include <algorithm>
#include <thread>

namespace {

class Stop : public EveryRuntime {};
EVERY_RUNTIME(Stop);

TEST_P(Stop, an_idle_task_is_destroyed_without_being_resumed_and_its_joiner_wakes_b24) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> started = false;
        auto h = rt::spawn([](journal& log, std::atomic<bool>& started) -> rt::task<> {
            mark m(log, "frame");
            started = true;
            co_await forever();
            log.add("resumed");
        }(log, started));
        co_await until(started);
        h.stop();
        auto o = co_await h.outcome();
        EXPECT_TRUE(o.stopped());
        log.add("joined");
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"frame", "joined"}));
}

TEST_P(Stop, a_joiner_that_waits_already_learns_of_the_stop_b24) {
    run([&]() -> rt::task<> {
        std::atomic<bool> started = false;
        auto h = rt::spawn([](std::atomic<bool>& started) -> rt::task<rt::result<int>> {
            started = true;
            co_await forever();
            co_return 1;
        }(started));
        auto stopper = rt::spawn([](auto& started, auto& h) -> rt::task<> {
            co_await until(started);
            co_await settle_down();
            h.stop();
        }(started, h));
        auto r = co_await h;
        EXPECT_EQ(r.error(), rt::errc::stopped);
        co_await stopper;
    });
}

TEST_P(Stop, a_stopped_task_without_a_result_throws_at_its_joiner) {
    run([&]() -> rt::task<> {
        auto h = rt::spawn(forever());
        h.stop();
        EXPECT_THROW(co_await h, rt::stopped_error);
    });
}

TEST_P(Stop, a_task_that_is_stopped_before_it_ran_destroys_its_arguments_only_b22_b24) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> ran = false;
        // It may start at once on another worker: there it waits for nothing but the stop.
        auto h = rt::spawn([](mark, std::atomic<bool>& ran) -> rt::task<> {
            co_await rt::yield_now();
            co_await forever();
            ran = true;
        }(mark(log, "argument"), ran));
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_FALSE(ran);
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"argument"});
}

TEST_P(Stop, stopping_a_finished_task_changes_nothing_b24) {
    run([&]() -> rt::task<> {
        auto h = rt::spawn([]() -> rt::task<int> { co_return 5; });
        while (!h.done()) co_await rt::yield_now();
        h.stop();
        h.stop();
        EXPECT_EQ(co_await h, 5);
    });
}

TEST_P(Stop, a_running_task_goes_on_to_its_next_suspension_b24) {
    journal log;
    run([&]() -> rt::task<> {
        rt::join_handle<> h;
        std::atomic<bool> ready = false;
        h = rt::spawn([](journal& log, std::atomic<bool>& ready, auto& h) -> rt::task<> {
            co_await until(ready);
            h.stop();  // itself
            log.add("goes on");
            co_await forever();
            log.add("not here");
        }(log, ready, h));
        ready = true;
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"goes on"});
}

TEST_P(Stop, a_result_that_was_there_wins_and_the_task_stops_where_it_waits_next_b24) {
    journal log;
    run([&]() -> rt::task<> {
        rt::notify bell, never;
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& log, auto& bell, auto& never, auto& waits) -> rt::task<> {
            waits = true;
            co_await bell.wait();
            log.add("had it");
            co_await never.wait();
            log.add("not here");
        }(log, bell, never, waits));
        co_await until(waits);
        bell.notify_one();  // whether it waits already or not: the notification is its
        if (GetParam().flavor == rt::runtime_flavor::current_thread) {
            h.stop();
        } else {
            while (log.lines().empty()) co_await rt::yield_now();
            h.stop();
        }
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"had it"});
}

/// The stop comes at every point of a short life, from another task.
TEST_P(Stop, stop_racing_completion_gives_either_outcome_never_a_hang_b24) {
    const int rounds = sanitized ? 2000 : 5000;
    int values = 0, stops = 0;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            auto h = rt::spawn([](int n) -> rt::task<int> {
                co_await yields(n);
                co_return 1;
            }(i % 5));
            auto stopper = rt::spawn([](rt::join_handle<int>& h, int n) -> rt::task<> {
                co_await yields(n);
                h.stop();
            }(h, i / 5 % 5));
            auto o = co_await h.outcome();
            o.stopped() ? ++stops : ++values;
            co_await stopper;
        }
    });
    EXPECT_EQ(values + stops, rounds);
}

/// The completion comes from another task, at the moment of the stop: a join, then a notify.
TEST_P(Stop, stop_racing_a_wake_is_neither_lost_nor_doubled_b2_b24) {
    const int rounds = sanitized ? 2000 : 5000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            rt::notify bell;
            std::atomic<int> resumed = 0;
            auto h = rt::spawn([](rt::notify& bell, std::atomic<int>& resumed) -> rt::task<> {
                co_await bell.wait();
                ++resumed;
            }(bell, resumed));
            auto ringer = rt::spawn([](rt::notify& bell, int n) -> rt::task<> {
                co_await yields(n);
                bell.notify_one();
            }(bell, i % 3));
            co_await yields(i / 3 % 3);
            h.stop();
            auto o = co_await h.outcome();
            EXPECT_EQ(resumed, o.stopped() ? 0 : 1);
            co_await ringer;
        }
    });
}

/// A child's last act takes the join's count to zero while a canceller stands in the join.
TEST_P(Stop, stop_racing_the_end_of_a_join_b24_b34) {
    const int rounds = sanitized ? 3000 : 10000;
    int values = 0, stops = 0;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            rt::notify bell;
            auto h = rt::spawn([](rt::notify& bell) -> rt::task<int> {
                auto one = [&]() -> rt::task<> { co_await bell.wait(); };
                co_await rt::join(one(), one());
                co_return 1;
            }(bell));
            auto ringer = rt::spawn([](rt::notify& bell, int n) -> rt::task<> {
                co_await yields(n);
                bell.notify_all();
                bell.notify_one();
                co_await rt::yield_now();
                bell.notify_one();
                co_await yields(3);
                bell.notify_one();
            }(bell, i % 4));
            co_await yields(i / 4 % 6);
            h.stop();
            auto o = co_await h.outcome();
            o.stopped() ? ++stops : ++values;
            co_await ringer;
        }
    });
    EXPECT_EQ(values + stops, rounds);
}

TEST_P(Stop, stop_racing_the_end_of_a_group_b24_b28) {
    const int rounds = sanitized ? 2000 : 5000;
    int values = 0, stops = 0;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            auto h = rt::spawn([](int n) -> rt::task<int> {
                (void)co_await rt::with_group([n](rt::task_group& g) -> rt::task<> {
                    g.spawn(yields(n % 3));
                    g.spawn(yields(n / 3 % 3));
                    co_return;
                });
                co_return 1;
            }(i));
            co_await yields(i / 9 % 4);
            h.stop();
            auto o = co_await h.outcome();
            o.stopped() ? ++stops : ++values;
        }
    });
    EXPECT_EQ(values + stops, rounds);
}

rt::task<int> chain(int n, std::atomic<bool>& at_the_end, std::atomic<int>& last, bool& ordered) {
    struct in_order {
        int n;
        std::atomic<int>& last;
        bool& ordered;
        ~in_order() {
            if (last.exchange(n) != n - 1) ordered = false;
        }
    } guard{n, last, ordered};
    if (n == 0) {
        at_the_end = true;
        co_await forever();
        co_return 0;
    }
    co_return 1 + co_await chain(n - 1, at_the_end, last, ordered);
}

TEST_P(Stop, a_chain_100_000_deep_is_taken_down_innermost_first_b34) {
    run([&]() -> rt::task<> {
        std::atomic<bool> at_the_end = false;
        std::atomic<int> last = -1;
        bool ordered = true;
        auto h = rt::spawn(chain(100'000, at_the_end, last, ordered));
        co_await until(at_the_end);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_EQ(last, 100'000);
        EXPECT_TRUE(ordered);
    });
}

TEST_P(Stop, reaches_the_deepest_await_through_joins_selects_and_groups_b34) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<int> waiting = 0;
        auto leaf = [&](std::string name) -> rt::task<> {
            mark m(log, name);
            ++waiting;
            co_await forever();
            log.add("not here");
        };
        auto grouped = [&]() -> rt::task<> {
            mark m(log, "grouped");
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                mark m(log, "group");
                g.spawn(leaf("in group"));
                co_await leaf("body");
            });
            log.add("not here");
        };
        auto selected = [&]() -> rt::task<> {
            mark m(log, "selected");
            (void)co_await rt::select(rt::allow_loss(grouped()), rt::sleep(24h));
            log.add("not here");
        };
        auto joined = [&]() -> rt::task<> {
            mark m(log, "joined");
            co_await rt::join(selected(), leaf("beside"));
            log.add("not here");
        };
        auto timed = [&]() -> rt::task<> {
            mark m(log, "timed");
            (void)co_await rt::timeout(24h, joined());
            log.add("not here");
        };
        auto h = rt::spawn(timed());
        co_await until_at_least(waiting, 3);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    auto lines = log.lines();
    auto at = [&](const std::string& name) {
        return std::find(lines.begin(), lines.end(), name) - lines.begin();
    };
    ASSERT_EQ(lines.size(), 8u);
    EXPECT_EQ(at("not here"), 8);
    EXPECT_LT(at("body"), at("group"));
    EXPECT_LT(at("group"), at("grouped"));
    EXPECT_LT(at("in group"), at("grouped"));
    EXPECT_LT(at("grouped"), at("selected"));
    EXPECT_LT(at("selected"), at("joined"));
    EXPECT_LT(at("beside"), at("joined"));
    EXPECT_EQ(at("timed"), 7);
}

rt::task<> nested(int n, std::atomic<bool>& at_the_end) {
    if (n == 0) {
        at_the_end = true;
        co_await forever();
        co_return;
    }
    switch (n % 3) {
        case 0:
            co_await rt::join(nested(n - 1, at_the_end), forever());
            break;
        case 1:
            (void)co_await rt::select(rt::allow_loss(nested(n - 1, at_the_end)),
                                      rt::allow_loss(forever()), rt::sleep(24h));
            break;
        default:
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                g.spawn(nested(n - 1, at_the_end));
                co_await forever();
            });
    }
}

TEST_P(Stop, reaches_through_300_combinators_within_each_other_b34) {
    run([&]() -> rt::task<> {
        std::atomic<bool> at_the_end = false;
        auto h = rt::spawn(nested(300, at_the_end));
        co_await until(at_the_end);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
}

TEST_P(Stop, never_runs_on_the_requesters_stack) {
    run([&]() -> rt::task<> {
        std::atomic<bool> started = false, gone = false;
        struct tells {
            std::atomic<bool>& gone;
            ~tells() { gone = true; }
        };
        auto h = rt::spawn([](auto& started, auto& gone) -> rt::task<> {
            tells t{gone};
            started = true;
            co_await forever();
        }(started, gone));
        co_await until(started);
        co_await settle_down();
        h.stop();
        if (GetParam().flavor == rt::runtime_flavor::current_thread) EXPECT_FALSE(gone);
        (void)co_await h.outcome();
        EXPECT_TRUE(gone);
    });
}

TEST_P(Stop, a_task_that_starts_to_wait_when_it_is_already_stopped_is_unwound_there_b24) {
    // Every kind of wait meets the stop on its way in.
    for (int kind = 0; kind < 7; ++kind) {
        bool past = false;
        run([&]() -> rt::task<> {
            std::atomic<bool> may_go = false;
            auto h = rt::spawn([](int kind, auto& may_go, bool& past) -> rt::task<> {
                while (!may_go.load()) std::this_thread::yield();  // no suspension
                rt::notify bell;
                auto other = rt::spawn(forever());
                switch (kind) {
                    case 0:
                        co_await rt::sleep(24h);
                        break;
                    case 1:
                        co_await other;
                        break;
                    case 2:
                        co_await rt::yield_now();
                        break;
                    case 3:
                        co_await rt::join(forever(), forever());
                        break;
                    case 4:
                        (void)co_await rt::select(bell.wait(), rt::sleep(24h));
                        break;
                    case 5:
                        (void)co_await rt::select(rt::allow_loss(forever()), bell.wait(),
                                                  rt::allow_loss(forever()));
                        break;
                    default:
                        (void)co_await rt::with_group([](rt::task_group& g) -> rt::task<> {
                            g.spawn(forever());
                            co_await forever();
                        });
                }
                past = true;
            }(kind, may_go, past));
            if (GetParam().flavor == rt::runtime_flavor::current_thread) {
                may_go = true;
                co_await rt::yield_now();
            }
            h.stop();
            may_go = true;
            EXPECT_TRUE((co_await h.outcome()).stopped());
        });
        EXPECT_FALSE(past) << kind;
    }
}

}  // namespace
