// Groups: everything in them has ended when with_group returns.
#include "support/living.hpp"
#include "task/helpers.hpp"

#include <stdexcept>
#include <thread>

namespace {

class Group : public EveryRuntime {};
EVERY_RUNTIME(Group);

TEST_P(Group, joins_all_before_it_returns_b28) {
    run([&]() -> rt::task<> {
        std::atomic<int> done = 0;
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<int> {
            for (int i = 0; i < 100; ++i) {
                g.spawn([](std::atomic<int>& done, int i) -> rt::task<> {
                    co_await yields(i % 7);
                    ++done;
                }(done, i));
            }
            co_return 3;
        });
        EXPECT_EQ(done, 100);
        EXPECT_EQ(*r, 3);
    });
}

TEST_P(Group, a_failure_that_is_its_task_s_own_stops_nobody) {
    run([&]() -> rt::task<> {
        std::atomic<int> done = 0;
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            auto fails = []() -> rt::io_task<> { co_return rt::errc::timed_out; };
            g.spawn({.name = "fails", .own_failure = true}, fails);
            co_await settle_down();
            g.spawn([&done]() -> rt::task<> {
                co_await yields(5);
                ++done;
            });
        });
        EXPECT_TRUE(r);
        EXPECT_EQ(done, 1);
        EXPECT_EQ(runtime().counters().unhandled, 1u);
    });
}

/// Counts those alive, and takes its time to go.
class slow_to_go {
public:
    explicit slow_to_go(std::atomic<int>& alive) : alive_(&alive) { ++alive; }
    slow_to_go(slow_to_go&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
    ~slow_to_go() {
        if (!alive_) return;
        std::this_thread::sleep_for(20ms);
        --*alive_;
    }

private:
    std::atomic<int>* alive_;
};

// The value of a task on another worker was destroyed when the group had long returned.
TEST_P(Group, the_values_of_its_tasks_go_before_it_returns_b28) {
    run([&]() -> rt::task<> {
        std::atomic<int> alive = 0;
        unsigned other = GetParam().workers > 1 ? 1 : 0;
        for (bool own_failure : {false, true}) {
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                g.spawn_on(other, [](std::atomic<int>& n) -> rt::task<slow_to_go> {
                    co_await rt::yield_now();
                    co_return slow_to_go(n);
                }(alive));
                g.spawn({.name = "other", .own_failure = own_failure},
                        [](std::atomic<int>& n) -> rt::task<slow_to_go> {
                            co_return slow_to_go(n);
                        }(alive));
                co_return;
            });
            EXPECT_EQ(alive, 0);
        }
    });
}

TEST_P(Group, an_empty_group_gives_what_its_body_gives_b28) {
    run([&]() -> rt::task<> {
        auto unit = co_await rt::with_group([](rt::task_group&) -> rt::task<> { co_return; });
        EXPECT_TRUE(unit);
        auto flat =
            co_await rt::with_group([](rt::task_group&) -> rt::io_task<int> { co_return 4; });
        EXPECT_EQ(*flat, 4);
    });
}

TEST_P(Group, an_exception_stops_the_siblings_and_is_rethrown_when_all_have_ended_b28) {
    run([&]() -> rt::task<> {
        std::atomic<int> alive = 0;
        auto idle = [&]() -> rt::task<> {
            living one(alive);
            co_await forever();
        };
        auto body = [&](rt::task_group& g) -> rt::task<> {
            living one(alive);
            for (int i = 0; i < 10; ++i) g.spawn(idle());
            g.spawn([](std::atomic<int>& alive) -> rt::task<> {
                co_await until_at_least(alive, 11);
                throw boom{5};
            }(alive));
            co_await forever();
        };
        int caught = 0;
        try {
            (void)co_await rt::with_group(body);
        } catch (const boom& b) {
            caught = b.value;
        }
        EXPECT_EQ(caught, 5);
        EXPECT_EQ(alive, 0);
    });
}

TEST_P(Group, an_error_value_stops_the_siblings_and_is_returned_b28) {
    run([&]() -> rt::task<> {
        bool body_went_on = false;
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            g.spawn(forever());
            g.spawn([]() -> rt::io_task<int> { co_return rt::errc::unexpected_end; });
            co_await forever();
            body_went_on = true;
        });
        EXPECT_EQ(r.error(), rt::errc::unexpected_end);
        EXPECT_FALSE(body_went_on);
    });
}

TEST_P(Group, a_failure_of_the_body_stops_its_tasks_b28) {
    run([&]() -> rt::task<> {
        auto error = co_await rt::with_group([](rt::task_group& g) -> rt::io_task<> {
            g.spawn(forever());
            co_return rt::errc::too_long;
        });
        EXPECT_EQ(error.error(), rt::errc::too_long);
        EXPECT_THROW((void)co_await rt::with_group([](rt::task_group& g) -> rt::task<> {
                         g.spawn(forever());
                         co_await rt::yield_now();
                         throw boom{};
                     }),
                     boom);
    });
}

TEST_P(Group, the_first_failure_is_the_one_that_is_reported_b28) {
    run([&]() -> rt::task<> {
        std::atomic<bool> first_failed = false;
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            // Not stopped: it is between its last suspension and its end when the first fails.
            g.spawn([](std::atomic<bool>& go) -> rt::io_task<> {
                co_await rt::yield_now();
                go = true;
                co_return rt::errc::closed;
            }(first_failed));
            co_await until(first_failed);
            co_await forever();
        });
        EXPECT_EQ(r.error(), rt::errc::closed);
    });
}

TEST_P(Group, many_failures_at_once_give_one_b28) {
    const int rounds = sanitized ? 200 : 1000;
    run([&]() -> rt::task<> {
        for (int k = 0; k < rounds; ++k) {
            int caught = 0;
            try {
                (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                    for (int i = 1; i <= 6; ++i)
                        g.spawn([](int i) -> rt::task<> {
                            co_await yields(i % 2);
                            throw boom{i};
                        }(i));
                    co_return;
                });
            } catch (const boom& b) {
                caught = b.value;
            }
            EXPECT_GE(caught, 1);
            EXPECT_LE(caught, 6);
        }
    });
}

TEST_P(Group, a_stop_from_outside_ends_all_b28) {
    run([&]() -> rt::task<> {
        journal log;
        std::atomic<int> waits = 0;
        auto leaf = [&](std::string name) -> rt::task<> {
            mark m(log, name);
            ++waits;
            co_await forever();
        };
        auto h = rt::spawn([](auto& leaf, auto& log) -> rt::task<> {
            mark m(log, "outer");
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                g.spawn(leaf("a"));
                g.spawn(leaf("b"));
                co_await leaf("c");
            });
            log.add("not here");
        }(leaf, log));
        co_await until_at_least(waits, 3);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        auto lines = log.lines();
        EXPECT_EQ(lines.size(), 4u);
        EXPECT_EQ(lines.back(), "outer");
    });
}

TEST_P(Group, a_stop_of_the_group_itself_ends_all_and_is_an_error_value_b28) {
    run([&]() -> rt::task<> {
        auto r = co_await rt::with_group([](rt::task_group& g) -> rt::task<> {
            g.spawn(forever());
            g.spawn([](rt::task_group& g) -> rt::task<> {
                co_await rt::yield_now();
                g.stop();
                g.spawn(forever());  // born stopped
            }(g));
            co_await forever();
        });
        EXPECT_EQ(r.error(), rt::errc::stopped);
    });
}

rt::task<> tree(rt::task_group& g, std::atomic<int>& nodes, int depth) {
    ++nodes;
    if (depth == 0) co_return;
    g.spawn(tree(g, nodes, depth - 1));
    co_await rt::yield_now();
    g.spawn(tree(g, nodes, depth - 1));
}

TEST_P(Group, a_child_may_spawn_into_its_own_group_until_it_is_over_b28) {
    run([&]() -> rt::task<> {
        std::atomic<int> nodes = 0;
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            g.spawn(tree(g, nodes, 9));
            co_return;
        });
        EXPECT_TRUE(r);
        EXPECT_EQ(nodes, (1 << 10) - 1);
    });
}

TEST_P(Group, a_failure_while_children_still_spawn_ends_them_all_b28) {
    const int rounds = sanitized ? 20 : 100;
    run([&]() -> rt::task<> {
        for (int k = 0; k < rounds; ++k) {
            std::atomic<int> nodes = 0;
            auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                g.spawn(tree(g, nodes, 7));
                g.spawn([](int k) -> rt::io_task<> {
                    co_await yields(k % 13);
                    co_return rt::errc::closed;
                }(k));
                co_return;
            });
            EXPECT_EQ(r.error(), rt::errc::closed);
        }
    });
}

TEST_P(Group, children_borrow_from_the_scope_around_it_b28) {
    run([&]() -> rt::task<> {
        std::vector<int> shards(50, 1);
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            for (auto& s : shards)
                g.spawn([&s]() -> rt::task<> {
                    co_await rt::yield_now();
                    s = 2;
                });
            co_return;
        });
        EXPECT_TRUE(r);
        for (int s : shards) EXPECT_EQ(s, 2);
    });
}

TEST_P(Group, a_group_in_a_join_in_a_group_ends_b28) {
    run([&]() -> rt::task<> {
        std::atomic<int> n = 0;
        auto inner = [&]() -> rt::task<> {
            (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                for (int i = 0; i < 10; ++i)
                    g.spawn([](auto& n) -> rt::task<> {
                        co_await rt::yield_now();
                        ++n;
                    }(n));
                co_return;
            });
        };
        auto both = [&]() -> rt::task<> { co_await rt::join(inner(), inner()); };
        auto r = co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            for (int i = 0; i < 5; ++i) g.spawn(both());
            co_return;
        });
        EXPECT_TRUE(r);
        EXPECT_EQ(n, 100);
    });
}

}  // namespace
