// select: one arm wins, the others have taken nothing and are finished.
#include "task/helpers.hpp"

#include <array>
#include <memory>
#include <random>
#include <set>
#include <utility>

namespace {

class Select : public EveryRuntime {};
EVERY_RUNTIME(Select);

TEST_P(Select, exactly_one_arm_wins_and_its_value_is_at_its_index_b30) {
    run([&]() -> rt::task<> {
        auto ready = []() -> rt::task<std::string> { co_return "ready"; };
        auto h = rt::spawn(forever());
        auto first = co_await rt::select(rt::sleep(24h), rt::allow_loss(ready()), h);
        EXPECT_EQ(first.index(), 1u);
        EXPECT_EQ(std::get<1>(first), "ready");
        h.stop();
        (void)co_await h.outcome();
    });
}

TEST_P(Select, arms_are_tried_in_random_order_b30) {
    run([&]() -> rt::task<> {
        std::array<int, 3> wins{};
        for (int i = 0; i < 300; ++i) {
            auto first = co_await rt::select(rt::sleep(0s), rt::sleep(0s), rt::sleep(0s));
            ++wins[first.index()];
        }
        for (int n : wins) EXPECT_GT(n, 50);
    });
}

TEST_P(Select, biased_tries_them_as_they_are_written_b30) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 300; ++i) {
            auto first =
                co_await rt::select(rt::biased, rt::sleep(24h), rt::sleep(0s), rt::sleep(0s));
            EXPECT_EQ(first.index(), 1u);
        }
    });
}

TEST(SelectSeed, the_same_seed_gives_the_same_order_b30) {
    auto picks = [](std::uint64_t seed) {
        auto runtime = rt::runtime::builder().current_thread().seed(seed).build();
        return runtime.block_on([]() -> rt::task<std::vector<std::size_t>> {
            std::vector<std::size_t> order;
            for (int i = 0; i < 64; ++i)
                order.push_back((co_await rt::select(rt::sleep(0s), rt::sleep(0s))).index());
            co_return order;
        }());
    };
    EXPECT_EQ(picks(1), picks(1));
    EXPECT_NE(picks(1), picks(2));
}

template <std::size_t... I>
rt::task<std::size_t> of_64(std::vector<rt::join_handle<int>>& h, std::index_sequence<I...>) {
    auto first = co_await rt::select(h[I]...);
    EXPECT_EQ(std::visit([](int v) { return v; }, first), static_cast<int>(first.index()));
    co_return first.index();
}

TEST_P(Select, sixty_four_arms_work_b30) {
    run([&]() -> rt::task<> {
        for (std::size_t winner : {0u, 1u, 31u, 62u, 63u}) {
            rt::notify bell;
            std::vector<rt::join_handle<int>> h;
            for (std::size_t i = 0; i < 64; ++i) {
                h.push_back(
                    rt::spawn([](rt::notify& bell, std::size_t i, bool wins) -> rt::task<int> {
                        if (wins) {
                            co_await bell.wait();
                        } else {
                            co_await forever();
                        }
                        co_return static_cast<int>(i);
                    }(bell, i, i == winner)));
            }
            bell.notify_one();
            EXPECT_EQ(co_await of_64(h, std::make_index_sequence<64>()), winner);
            for (std::size_t i = 0; i < 64; ++i) {
                h[i].stop();
                if (i != winner) (void)co_await h[i].outcome();
            }
        }
    });
}

TEST_P(Select, losers_have_ended_when_it_returns_b30) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 100; ++i) {
            bool gone = false, started = false;
            struct tells {
                bool& gone;
                ~tells() { gone = true; }
            };
            auto loser = [&]() -> rt::task<> {
                started = true;
                tells t{gone};
                co_await yields(i % 3);
                co_await forever();
            };
            auto winner = [&]() -> rt::task<> { co_await yields(2); };
            auto first = co_await rt::select(rt::allow_loss(loser()), rt::allow_loss(winner()));
            EXPECT_EQ(first.index(), 1u);
            EXPECT_EQ(gone, started);
        }
    });
}

TEST_P(Select, a_loser_that_ends_with_an_exception_on_its_way_out_is_dropped_b30) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 100; ++i) {
            auto throws = [](int turns) -> rt::task<> {
                co_await yields(turns);
                throw boom{};
            };
            try {
                (void)co_await rt::select(rt::allow_loss(throws(i % 3)), rt::allow_loss(yields(1)));
            } catch (const boom&) {
            }
        }
    });
}

TEST_P(Select, an_exception_of_the_winner_is_rethrown_b30) {
    run([&]() -> rt::task<> {
        auto throws = []() -> rt::task<> {
            co_await rt::yield_now();
            throw boom{};
        };
        EXPECT_THROW((void)co_await rt::select(rt::allow_loss(throws()), rt::sleep(24h)), boom);
    });
}

TEST_P(Select, a_stop_withdraws_every_arm_b30_b34) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        std::atomic<bool> waits = false;
        auto kept = rt::spawn(forever());
        auto h = rt::spawn([](auto& bell, auto& kept, auto& waits) -> rt::task<> {
            auto idle = [&]() -> rt::task<> {
                waits = true;
                co_await forever();
            };
            (void)co_await rt::select(bell.wait(), kept, rt::sleep(24h), rt::allow_loss(idle()),
                                      rt::allow_loss(forever()));
        }(bell, kept, waits));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_FALSE(kept.done());
        // The bell's waiter is gone: what is rung now is kept for the next.
        bell.notify_one();
        co_await bell.wait();
        kept.stop();
        (void)co_await kept.outcome();
    });
}

TEST_P(Select, a_join_that_loses_has_not_taken_the_outcome_b31) {
    run([&]() -> rt::task<> {
        const int rounds = sanitized ? 2000 : 10000;
        int sum = 0;
        for (int i = 0; i < rounds; ++i) {
            auto a = rt::spawn([](int n) -> rt::task<std::unique_ptr<int>> {
                co_await yields(n);
                co_return std::make_unique<int>(1);
            }(i % 3));
            auto b = rt::spawn([](int n) -> rt::task<std::unique_ptr<int>> {
                co_await yields(n);
                co_return std::make_unique<int>(1);
            }(i / 3 % 3));
            auto first = co_await rt::select(a, b);
            if (first.index() == 0) {
                sum += *std::get<0>(first);
                sum += *co_await b;
            } else {
                sum += *std::get<1>(first);
                sum += *co_await a;
            }
        }
        EXPECT_EQ(sum, 2 * rounds);
    });
}

/// Two bells rung together: what one select leaves, the next finds.
TEST_P(Select, notifications_won_are_notifications_sent_b31) {
    const int rounds = sanitized ? 5000 : 50000;
    run([&]() -> rt::task<> {
        auto [atx, arx] = rt::channel<int>(2);
        auto [btx, brx] = rt::channel<int>(2);
        auto produce = [](rt::sender<int> tx, int n) -> rt::task<> {
            for (int i = 0; i < n; ++i) {
                (void)co_await tx.send(i);
                if (i % 5 == 0) co_await rt::yield_now();
            }
        };
        auto a = rt::spawn(produce(std::move(atx), rounds));
        auto b = rt::spawn(produce(std::move(btx), rounds));
        int next[2] = {0, 0};
        bool open[2] = {true, true};
        while (open[0] && open[1]) {
            auto first = co_await rt::select(arx.recv(), brx.recv(), rt::sleep(24h));
            auto i = first.index();
            auto item = i == 0 ? std::get<0>(first) : std::get<1>(first);
            if (!item) {
                open[i] = false;
            } else {
                EXPECT_EQ(*item, next[i]++);
            }
        }
        while (auto item = co_await arx.recv()) EXPECT_EQ(*item, next[0]++);
        while (auto item = co_await brx.recv()) EXPECT_EQ(*item, next[1]++);
        EXPECT_EQ(next[0], rounds);
        EXPECT_EQ(next[1], rounds);
        co_await a;
        co_await b;
    });
}

/// Both arms become ready from other tasks at once, with a task arm among them.
TEST_P(Select, racing_arms_of_every_kind_give_one_winner_b30) {
    const int rounds = sanitized ? 1500 : 6000;
    run([&]() -> rt::task<> {
        std::mt19937 random(1);
        for (int i = 0; i < rounds; ++i) {
            rt::notify bell;
            auto h = rt::spawn(yields(static_cast<int>(random() % 3)));
            auto ringer = rt::spawn([](rt::notify& bell, int n) -> rt::task<> {
                co_await yields(n);
                bell.notify_one();
            }(bell, static_cast<int>(random() % 3)));
            auto few = [&] { return yields(static_cast<int>(random() % 3)); };
            bool joined = false;
            switch (random() % 3) {
                case 0:
                    joined = (co_await rt::select(h, bell.wait())).index() == 0;
                    break;
                case 1:
                    joined =
                        (co_await rt::select(h, bell.wait(), rt::allow_loss(few()))).index() == 0;
                    break;
                default:
                    joined = (co_await rt::select(h, rt::allow_loss(few()), bell.wait(),
                                                  rt::allow_loss(few())))
                                 .index() == 0;
            }
            co_await ringer;
            if (!joined) co_await h;
        }
    });
}

/// The only task arm of a select runs on any worker: it and the select itself met in the budget.
TEST_P(Select, a_single_task_arm_may_run_while_the_select_is_woken_b30) {
    const int rounds = sanitized ? 500 : 1000;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            rt::notify bell;
            auto ringer = rt::spawn([](rt::notify& bell, int n) -> rt::task<> {
                co_await yields(n);
                bell.notify_one();
            }(bell, i % 7));
            auto busy = []() -> rt::task<> {
                co_await rt::yield_now();
                for (;;) co_await rt::consume_budget();
            };
            auto first = co_await rt::select(rt::allow_loss(busy()), bell.wait());
            EXPECT_EQ(first.index(), 1u);
            co_await ringer;
        }
    });
}

TEST_P(Select, a_loser_that_is_a_moved_handle_is_stopped_b27_b30) {
    run([&]() -> rt::task<> {
        std::atomic<bool> gone = false, started = false;
        struct tells {
            std::atomic<bool>& gone;
            ~tells() { gone = true; }
        };
        auto h = rt::spawn([](auto& gone, auto& started) -> rt::task<> {
            tells t{gone};
            started = true;
            co_await forever();
        }(gone, started));
        co_await until(started);
        auto first = co_await rt::select(std::move(h), rt::sleep(1ms));
        EXPECT_EQ(first.index(), 1u);
        co_await until(gone);
    });
}

TEST_P(Select, nested_selects_and_joins_end_b30) {
    run([&]() -> rt::task<> {
        for (int i = 0; i < 200; ++i) {
            auto inner = [](int n) -> rt::task<int> {
                auto a = [](int n) -> rt::task<int> {
                    co_await yields(n);
                    co_return 1;
                };
                auto first =
                    co_await rt::select(rt::allow_loss(a(n)), rt::allow_loss(a(2)), rt::sleep(24h));
                co_return static_cast<int>(first.index());
            };
            auto both = [&](int n) -> rt::task<int> {
                auto [x, y] = co_await rt::join(inner(n), inner(n + 1));
                co_return x + y;
            };
            auto first = co_await rt::select(rt::allow_loss(both(i % 3)), rt::allow_loss(both(1)));
            EXPECT_LT(std::visit([](int v) { return v; }, first), 3);
        }
    });
}

}  // namespace
