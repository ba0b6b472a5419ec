// Nobody starves: budgets, ping-pong, and the reactor and timers under load.
#include "support/run.hpp"

#include "pipe.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// One worker, so that nobody else can help out.
class Fairness : public EveryRuntime {
protected:
    rt::runtime one_worker() {
        return rt::runtime::builder()
            .flavor(GetParam().flavor)
            .reactor(GetParam().reactor)
            .workers(1)
            .build();
    }
};
EVERY_RUNTIME(Fairness);

rt::task<> yields_for_ever() {
    for (;;) co_await rt::yield_now();
}

TEST_P(Fairness, timers_fire_and_the_reactor_is_polled_though_tasks_never_run_out_b7) {
    auto runtime = one_worker();
    test_pipe pipe;
    runtime.block_on([](test_pipe& pipe) -> rt::task<> {
        std::vector<rt::join_handle<>> busy;
        for (int i = 0; i < 100; ++i) busy.push_back(rt::spawn(yields_for_ever()));
        // These wake each other directly, and never yield.
        rt::notify ping, pong;
        auto bounce = [](rt::notify& mine, rt::notify& other) -> rt::task<> {
            for (;;) {
                other.notify_one();
                co_await mine.wait();
            }
        };
        busy.push_back(rt::spawn(bounce(ping, pong)));
        busy.push_back(rt::spawn(bounce(pong, ping)));
        for (int i = 0; i < 5; ++i) {
            co_await rt::sleep(1ms);
            auto writer = rt::spawn_blocking([&] { pipe.put(); });
            EXPECT_TRUE(co_await pipe.get());
            co_await std::move(writer);
        }
        for (auto& b : busy) {
            b.stop();
            EXPECT_TRUE((co_await b.outcome()).stopped());
        }
    }(pipe));
}

TEST_P(Fairness, two_that_wake_each_other_for_ever_do_not_starve_a_third_b13) {
    auto runtime = one_worker();
    runtime.block_on([]() -> rt::task<> {
        rt::notify ping, pong;
        std::atomic<bool> over{false};
        auto bounce = [](rt::notify& mine, rt::notify& other, auto& over) -> rt::task<> {
            while (!over) {
                other.notify_one();
                co_await mine.wait();
            }
            other.notify_one();
        };
        auto a = rt::spawn(bounce(ping, pong, over));
        auto b = rt::spawn(bounce(pong, ping, over));
        // The third, and a fourth that it waits for.
        for (int i = 0; i < 20; ++i) {
            co_await rt::yield_now();
            co_await rt::spawn([]() -> rt::task<> { co_return; }());
        }
        over = true;
        co_await a;
        co_await b;
    }());
}

TEST_P(Fairness, what_other_threads_send_is_taken_though_tasks_never_run_out_b5_b7) {
    auto runtime = one_worker();
    runtime.block_on([](rt::runtime_handle handle) -> rt::task<> {
        std::vector<rt::join_handle<>> busy;
        for (int i = 0; i < 10; ++i) busy.push_back(rt::spawn(yields_for_ever()));
        std::atomic<int> ran{0};
        auto sender = rt::spawn_blocking([&] {
            for (int i = 0; i < 100; ++i) {
                handle
                    .spawn([](auto& ran) -> rt::task<> {
                        ++ran;
                        co_return;
                    }(ran))
                    .detach();
            }
        });
        while (ran < 100) co_await rt::yield_now();
        co_await std::move(sender);
        for (auto& b : busy) {
            b.stop();
            EXPECT_TRUE((co_await b.outcome()).stopped());
        }
    }(runtime.handle()));
}

TEST_P(Fairness, an_always_ready_loop_gives_way_after_its_budget_b14) {
    auto runtime = one_worker();
    runtime.block_on([]() -> rt::task<> {
        std::vector<int> order;
        auto loop = [](std::vector<int>& order, int who) -> rt::task<> {
            for (int i = 0; i < 3 * rt::operations_per_turn; ++i) {
                co_await rt::consume_budget();
                order.push_back(who);
            }
        };
        auto a = rt::spawn(loop(order, 1));
        auto b = rt::spawn(loop(order, 2));
        co_await a;
        co_await b;
        // They alternate, a budget at a time.
        EXPECT_EQ(order.size(), 6u * rt::operations_per_turn);
        int changes = 0;
        for (std::size_t i = 1; i < order.size(); ++i) changes += order[i] != order[i - 1];
        EXPECT_EQ(changes, 5);
    }());
}

TEST_P(Fairness, unbudgeted_does_not_give_way_b14) {
    auto runtime = one_worker();
    runtime.block_on([](rt::runtime& runtime) -> rt::task<> {
        bool other_ran = false;
        auto other = rt::spawn([](bool& ran) -> rt::task<> {
            ran = true;
            co_return;
        }(other_ran));
        auto before = runtime.counters().total.forced_yields;
        co_await rt::unbudgeted([](bool& other_ran) -> rt::task<> {
            for (int i = 0; i < 100 * rt::operations_per_turn; ++i) co_await rt::consume_budget();
            EXPECT_FALSE(other_ran);
        }(other_ran));
        EXPECT_FALSE(other_ran);
        EXPECT_EQ(runtime.counters().total.forced_yields, before);
        co_await std::move(other);
        EXPECT_TRUE(other_ran);
    }(runtime));
}

TEST_P(Fairness, yield_now_lets_the_reactor_run_before_it_resumes_b8) {
    auto runtime = one_worker();
    test_pipe pipe;
    runtime.block_on([](test_pipe& pipe) -> rt::task<> {
        bool got = false;
        auto reader = rt::spawn(
            [](test_pipe& pipe, bool& got) -> rt::task<> { got = co_await pipe.get(); }(pipe, got));
        for (int i = 0; i < 3; ++i) co_await rt::yield_now();
        pipe.put();                // it is ready from now on
        co_await rt::yield_now();  // the reactor completes the read...
        co_await rt::yield_now();  // ...and the reader runs
        EXPECT_TRUE(got);
        co_await std::move(reader);
    }(pipe));
}

TEST_P(Fairness, yield_now_lets_the_reactor_tell_a_select_of_readiness_b8) {
    auto runtime = one_worker();
    test_pipe pipe;
    runtime.block_on([](test_pipe& pipe) -> rt::task<> {
        bool got = false;
        auto reader = rt::spawn([](test_pipe& pipe, bool& got) -> rt::task<> {
            rt::notify never;
            got = (co_await rt::select(pipe.get(), never.wait())).index() == 0;
        }(pipe, got));
        for (int i = 0; i < 3; ++i) co_await rt::yield_now();
        pipe.put();
        for (int i = 0; i < 1000 && !got; ++i) co_await rt::yield_now();
        EXPECT_TRUE(got);
        co_await std::move(reader);
    }(pipe));
}

TEST_P(Fairness, yield_now_resumes_after_what_was_ready_b8) {
    auto runtime = one_worker();
    runtime.block_on([]() -> rt::task<> {
        std::vector<int> order;
        auto says = [](std::vector<int>& order, int who) -> rt::task<> {
            order.push_back(who);
            co_return;
        };
        auto a = rt::spawn(says(order, 1));
        auto b = rt::spawn(says(order, 2));
        co_await rt::yield_now();
        order.push_back(3);
        EXPECT_EQ(order.size(), 3u);
        EXPECT_EQ(order.back(), 3);
        co_await a;
        co_await b;
    }());
}

TEST_P(Fairness, of_what_was_spawned_the_newest_runs_first) {
    auto runtime = one_worker();
    runtime.block_on([]() -> rt::task<> {
        std::vector<int> order;
        auto says = [](std::vector<int>& order, int who) -> rt::task<> {
            order.push_back(who);
            co_return;
        };
        std::vector<rt::join_handle<>> all;
        for (int i = 0; i < 4; ++i) all.push_back(rt::spawn(says(order, i)));
        for (auto& task : all) co_await std::move(task);
        EXPECT_EQ(order, (std::vector{3, 2, 1, 0}));
    }());
}

struct alive {
    int now = 0, most = 0;
};
rt::task<int> tree(alive& count, int levels) {
    count.most = std::max(count.most, ++count.now);
    int leaves = levels == 0;
    std::vector<rt::join_handle<int>> parts;
    for (int i = 0; i < 10 && levels != 0; ++i) parts.push_back(rt::spawn(tree(count, levels - 1)));
    for (auto& part : parts) leaves += co_await std::move(part);
    --count.now;
    co_return leaves;
}

TEST_P(Fairness, a_tree_of_tasks_is_walked_depth_first) {
    auto runtime = one_worker();
    alive count;
    EXPECT_EQ(runtime.block_on(tree(count, 4)), 10'000);
    EXPECT_LT(count.most, 500);  // breadth first: more than 1 000 wait for their leaves
}

rt::task<int> shared_tree(std::atomic<int>& alive, std::atomic<int>& most, int levels) {
    auto now = ++alive;
    for (auto seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    int leaves = levels == 0;
    std::vector<rt::join_handle<int>> parts;
    for (int i = 0; i < 10 && levels != 0; ++i)
        parts.push_back(rt::spawn(shared_tree(alive, most, levels - 1)));
    for (auto& part : parts) leaves += co_await std::move(part);
    --alive;
    co_return leaves;
}

TEST(FairnessStealing, a_tree_of_tasks_stays_small_on_two_workers) {
    auto runtime = rt::runtime::builder().work_stealing().workers(2).build();
    std::atomic<int> alive{0}, most{0};
    EXPECT_EQ(runtime.block_on(shared_tree(alive, most, 4)), 10'000);
    EXPECT_LT(most, 5'000);  // breadth first it is nearly all of them
}

/// Each spawns the next, so that there is always one that is newer than all others.
rt::task<> goes_on(bool& over, rt::notify& bell) {
    bell.notify_one();
    if (!over) rt::spawn(goes_on(over, bell)).detach();
    co_return;
}

TEST_P(Fairness, the_oldest_of_what_was_spawned_has_its_turn) {
    bool over = false;
    rt::notify bell;
    auto runtime = one_worker();
    runtime.block_on([](bool& over, rt::notify& bell) -> rt::task<> {
        auto oldest = rt::spawn([](bool& over) -> rt::task<> {
            over = true;
            co_return;
        }(over));
        rt::spawn(goes_on(over, bell)).detach();
        co_await std::move(oldest);
    }(over, bell));
    EXPECT_TRUE(over);
}

TEST_P(Fairness, what_is_woken_has_its_turn_though_tasks_spawn_each_other_for_ever) {
    bool over = false;
    rt::notify bell;
    auto runtime = one_worker();
    runtime.block_on([](bool& over, rt::notify& bell) -> rt::task<> {
        rt::spawn(goes_on(over, bell)).detach();
        for (int i = 0; i < 100; ++i) co_await bell.wait();
        over = true;
    }(over, bell));
}

// What was put off is work for others too: the yielder that comes first may keep its worker busy.
TEST(FairnessStealing, a_task_that_yielded_behind_a_busy_one_runs_on_another_worker_b16) {
    for (auto reactor : {rt::reactor_kind::io_uring, rt::reactor_kind::epoll}) {
        auto runtime = rt::runtime::builder().work_stealing().reactor(reactor).workers(2).build();
        for (int i = 0; i < 20; ++i) {
            runtime.block_on([]() -> rt::task<> {
                std::atomic<int> arrived{0};
                auto meets = [](std::atomic<int>& arrived) -> rt::task<> {
                    co_await rt::yield_now();
                    // Each waits for the other without giving its worker back.
                    ++arrived;
                    while (arrived < 2) std::this_thread::yield();
                };
                auto a = rt::spawn(meets(arrived));
                auto b = rt::spawn(meets(arrived));
                co_await a;
                co_await b;
            }());
        }
    }
}

}  // namespace
