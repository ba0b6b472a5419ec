// join and try_join: several things in one task, by turns.
#include "task/helpers.hpp"

#include <memory>
#include <thread>

namespace {

class Join : public EveryRuntime {};
EVERY_RUNTIME(Join);

rt::task<int> counts(std::vector<int>& turns, int who, int n) {
    for (int i = 0; i < n; ++i) {
        turns.push_back(who);
        co_await rt::yield_now();
    }
    co_return who;
}

TEST_P(Join, gives_the_values_of_all_in_their_places_b29) {
    run([&]() -> rt::task<> {
        auto nothing = []() -> rt::task<> { co_return; };
        auto unique = []() -> rt::task<std::unique_ptr<int>> {
            co_await rt::yield_now();
            co_return std::make_unique<int>(2);
        };
        auto h = rt::spawn([]() -> rt::task<int> { co_return 3; });
        auto [a, b, c, d] = co_await rt::join(nothing(), unique(), h, rt::sleep(1ms));
        static_assert(std::is_same_v<decltype(a), std::monostate>);
        EXPECT_EQ(*b, 2);
        EXPECT_EQ(c, 3);
        (void)d;
    });
}

TEST_P(Join, each_child_has_its_turn_b29) {
    run([&]() -> rt::task<> {
        std::vector<int> turns;  // plain: the children never run at the same time
        auto [a, b] = co_await rt::join(counts(turns, 1, 50), counts(turns, 2, 50));
        EXPECT_EQ(a, 1);
        EXPECT_EQ(b, 2);
        EXPECT_EQ(turns.size(), 100u);
        // Neither is more than a turn ahead of the other, give or take the one that wakes.
        int lead = 0;
        for (int t : turns) {
            lead += t == 1 ? 1 : -1;
            EXPECT_LE(std::abs(lead), 2);
        }
    });
}

TEST_P(Join, a_greedy_child_does_not_starve_its_sibling_b29) {
    run([&]() -> rt::task<> {
        bool over = false;
        auto greedy = [&]() -> rt::task<> {
            while (!over) co_await rt::consume_budget();  // always ready
        };
        auto modest = [&]() -> rt::task<> {
            co_await yields(10);
            over = true;
        };
        co_await rt::join(greedy(), modest());
    });
}

TEST_P(Join, children_never_run_at_the_same_time_b29) {
    const int n = sanitized ? 300 : 2000;
    run([&]() -> rt::task<> {
        int plain = 0;  // the thread sanitizer watches
        std::atomic<int> inside = 0;
        auto child = [&](int seed) -> rt::task<> {
            for (int i = 0; i < n; ++i) {
                EXPECT_EQ(++inside, 1);
                ++plain;
                --inside;
                switch ((i + seed) % 4) {
                    case 0:
                        co_await rt::yield_now();
                        break;
                    case 1:
                        co_await rt::spawn(yields(1));
                        break;
                    case 2:
                        co_await rt::sleep(1us);
                        break;
                    default:
                        co_await rt::join(yields(1), yields(2));
                }
            }
        };
        co_await rt::join(child(0), child(1), child(2));
        EXPECT_EQ(plain, 3 * n);
    });
}

TEST_P(Join, if_one_throws_the_others_run_to_their_end_first_b29) {
    run([&]() -> rt::task<> {
        bool ended = false;
        auto throws = []() -> rt::task<> {
            throw boom{1};
            co_return;
        };
        auto slow = [&]() -> rt::task<> {
            co_await yields(20);
            ended = true;
        };
        EXPECT_THROW(co_await rt::join(throws(), slow()), boom);
        EXPECT_TRUE(ended);
    });
}

TEST_P(Join, the_first_exception_is_the_one_b29) {
    run([&]() -> rt::task<> {
        auto throws = [](int turns, int value) -> rt::task<> {
            co_await yields(turns);
            throw boom{value};
        };
        int caught = 0;
        try {
            co_await rt::join(throws(9, 1), throws(1, 2));
        } catch (const boom& b) {
            caught = b.value;
        }
        EXPECT_EQ(caught, 2);
    });
}

TEST_P(Join, an_error_value_is_a_value_to_it_b29) {
    run([&]() -> rt::task<> {
        auto fails = []() -> rt::io_task<int> { co_return rt::errc::closed; };
        auto works = []() -> rt::io_task<int> { co_return 2; };
        auto [a, b] = co_await rt::join(fails(), works());
        EXPECT_EQ(a.error(), rt::errc::closed);
        EXPECT_EQ(*b, 2);
    });
}

TEST_P(Join, try_join_stops_the_siblings_and_returns_the_error_b29) {
    run([&]() -> rt::task<> {
        bool went_on = false, gone = false;
        struct tells {
            bool& gone;
            ~tells() { gone = true; }
        };
        auto idle = [&]() -> rt::task<int> {
            tells t{gone};
            co_await forever();
            went_on = true;
            co_return 1;
        };
        auto fails = []() -> rt::io_task<int> {
            co_await rt::yield_now();
            co_return rt::errc::closed;
        };
        auto r = co_await rt::try_join(idle(), fails());
        EXPECT_EQ(r.error(), rt::errc::closed);
        EXPECT_FALSE(went_on);
        EXPECT_TRUE(gone);
        auto throws = []() -> rt::task<> {
            throw boom{};
            co_return;
        };
        gone = false;
        EXPECT_THROW((void)co_await rt::try_join(idle(), throws()), boom);
        EXPECT_TRUE(gone);
        EXPECT_FALSE(went_on);
    });
}

TEST_P(Join, try_join_with_a_failure_in_its_first_child_never_runs_the_second_b29) {
    run([&]() -> rt::task<> {
        bool ran = false;
        auto fails = []() -> rt::io_task<> { co_return rt::errc::closed; };
        auto second = [&]() -> rt::task<> {
            ran = true;
            co_return;
        };
        auto r = co_await rt::try_join(fails(), second());
        EXPECT_EQ(r.error(), rt::errc::closed);
        EXPECT_FALSE(ran);
    });
}

TEST_P(Join, try_join_gives_the_values_inside_the_results_b29) {
    run([&]() -> rt::task<> {
        auto one = []() -> rt::io_task<int> { co_return 1; };
        auto two = []() -> rt::task<std::string> { co_return "two"; };
        auto unit = []() -> rt::io_task<> { co_return {}; };
        auto r = co_await rt::try_join(one(), two(), unit());
        auto& [a, b, c] = *r;
        EXPECT_EQ(a, 1);
        EXPECT_EQ(b, "two");
        (void)c;
    });
}

TEST_P(Join, a_stop_ends_all_children_before_the_frame_around_them_goes_b29_b34) {
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
            co_await rt::join(leaf("a"), leaf("b"));
        }(leaf, log));
        co_await until_at_least(waits, 2);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        auto lines = log.lines();
        EXPECT_EQ(lines.size(), 3u);
        EXPECT_EQ(lines.back(), "outer");
    });
}

/// Each lifted the budget of the whole task and put it back when its turn to end came: the last of
/// two that overlapped put back what the first had lifted.
TEST_P(Join, two_unbudgeted_children_leave_the_budget_as_it_was_b14) {
    run([&]() -> rt::task<> {
        co_await rt::join(rt::unbudgeted(yields(1)), rt::unbudgeted(yields(5)));
        auto before = runtime().counters().total.forced_yields;
        for (int i = 0; i < 1000; ++i) co_await rt::consume_budget();
        EXPECT_GT(runtime().counters().total.forced_yields, before);
    });
}

}  // namespace
