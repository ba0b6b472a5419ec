// Parking, waking and stealing under storms: what is lost hangs, what is doubled crashes.
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct stress_case {
    rt::runtime_flavor flavor;
    rt::reactor_kind reactor;
    unsigned workers;
};

class Stress : public testing::TestWithParam<runtime_case> {
protected:
    rt::runtime make() { return builder_for(GetParam()).seed(1).build(); }
};
auto worker_counts() {
    using rt::reactor_kind;
    using rt::runtime_flavor;
    std::vector<runtime_case> cases;
    for (auto reactor : {reactor_kind::io_uring, reactor_kind::epoll}) {
        for (auto flavor : {runtime_flavor::work_stealing, runtime_flavor::thread_per_core}) {
            for (unsigned workers : {1u, 2u, 5u}) cases.push_back({flavor, reactor, workers});
        }
    }
    return testing::ValuesIn(cases);
}
INSTANTIATE_TEST_SUITE_P(Each, Stress, worker_counts(),
                         [](const auto& info) { return name_of(info.param); });

// Waves with silence between: each wave meets workers on their way to sleep.
TEST_P(Stress, waves_of_tasks_all_run_exactly_once_b2_b5) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        std::mt19937 random(2);
        std::atomic<int> ran{0};
        int wanted = 0;
        for (int wave = 0; wave < 300; ++wave) {
            auto n = static_cast<int>(1 + random() % 40);
            wanted += n;
            auto done = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
                for (int i = 0; i < n; ++i) {
                    group.spawn([](auto& ran, unsigned kind) -> rt::task<> {
                        if (kind & 1) co_await rt::yield_now();
                        if (kind & 2) co_await rt::sleep(std::chrono::microseconds(kind * 10));
                        if (kind & 4) co_await rt::spawn_blocking([] {});
                        ++ran;
                    }(ran, random() % 8));
                }
                co_return;
            });
            EXPECT_TRUE(done.has_value());
            EXPECT_EQ(ran, wanted);
        }
    }());
    EXPECT_EQ(runtime.counters().alive, 0u);
}

// A tree of tasks: each spawns two, on whichever workers they are stolen to.
rt::task<int> tree(int depth) {
    if (depth == 0) co_return 1;
    auto left = rt::spawn(tree(depth - 1));
    auto right = rt::spawn(tree(depth - 1));
    co_return co_await std::move(left) + co_await std::move(right);
}

TEST_P(Stress, a_tree_of_tasks_is_complete_b2) {
    auto runtime = make();
    for (int i = 0; i < 4; ++i) EXPECT_EQ(runtime.block_on(tree(11)), 1 << 11);
}

// More in one queue than its first ring holds, while it is being stolen from.
TEST_P(Stress, a_queue_that_grows_while_others_take_from_it_loses_nothing_b2) {
    auto runtime = make();
    runtime.block_on([]() -> rt::task<> {
        for (int round = 0; round < 5; ++round) {
            std::atomic<std::int64_t> sum{0};
            constexpr std::int64_t n = 5000;
            auto done = co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
                for (std::int64_t i = 0; i < n; ++i) {
                    group.spawn([](auto& sum, std::int64_t i) -> rt::task<> {
                        sum += i;
                        co_return;
                    }(sum, i));
                }
                co_return;
            });
            EXPECT_TRUE(done.has_value());
            EXPECT_EQ(sum, n * (n - 1) / 2);
        }
    }());
}

// Pairs that hand a ball over across workers: each wake-up meets a worker that goes to sleep.
TEST_P(Stress, balls_between_workers_are_never_dropped_b2) {
    auto runtime = make();
    runtime.block_on([](unsigned workers) -> rt::task<> {
        std::vector<rt::join_handle<int>> all;
        for (unsigned pair = 0; pair < 3; ++pair) {
            auto [out, in] = rt::channel<int>(1);
            auto [back_out, back_in] = rt::channel<int>(1);
            all.push_back(rt::spawn_on(pair % workers, [](auto tx, auto rx) -> rt::task<int> {
                int ball = 0;
                for (int i = 0; i < 700; ++i) {
                    EXPECT_TRUE(co_await tx.send(ball));
                    ball = *co_await rx.recv();
                }
                co_return ball;
            }(std::move(out), std::move(back_in))));
            all.push_back(rt::spawn_on((pair + 1) % workers, [](auto tx, auto rx) -> rt::task<int> {
                while (auto ball = co_await rx.recv()) {
                    if (!co_await tx.send(*ball + 1)) break;
                }
                co_return 700;
            }(std::move(back_out), std::move(in))));
        }
        for (auto& h : all) EXPECT_EQ(co_await h, 700);
    }(GetParam().workers));
}

// I/O, timers, threads from outside and stops, all at once.
TEST_P(Stress, everything_at_once_ends_b2_b5_b9_b24) {
    auto runtime = make();
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> turns{0};
    test_pipe pipes[4];
    std::vector<std::thread> outside;
    for (unsigned t = 0; t < 2; ++t) {
        outside.emplace_back([&, t, handle = runtime.handle()] {
            std::mt19937 random(t);
            while (!over) {
                auto h = handle.spawn([](auto& turns) -> rt::task<> {
                    for (int i = 0; i < 3; ++i) {
                        co_await rt::sleep(std::chrono::microseconds(50));
                        ++turns;
                    }
                }(turns));
                if (random() % 2) h.detach();
                if (random() % 4 == 0) std::this_thread::yield();
                pipes[random() % 4].put();
                while (!over && handle.counters().alive > 2000) std::this_thread::yield();
            }
        });
    }
    runtime.block_on([](auto& pipes, auto& turns) -> rt::task<> {
        std::vector<rt::join_handle<>> readers;
        for (auto& pipe : pipes) {
            readers.push_back(rt::spawn([](test_pipe& pipe, auto& turns) -> rt::task<> {
                for (;;) {
                    auto first = co_await rt::select(pipe.get(), rt::sleep(100us));
                    turns += first.index() + 1;
                }
            }(pipe, turns)));
        }
        for (int i = 0; i < 100; ++i) {
            co_await rt::sleep(1ms);
            auto& r = readers[static_cast<std::size_t>(i) % 4];
            r.stop();
            EXPECT_TRUE((co_await r.outcome()).stopped());
            r = rt::spawn([](test_pipe& pipe, auto& turns) -> rt::task<> {
                for (;;) {
                    (void)co_await rt::timeout(200us, pipe.get());
                    ++turns;
                }
            }(pipes[i % 4], turns));
        }
    }(pipes, turns));
    over = true;
    for (auto& t : outside) t.join();
    EXPECT_TRUE(runtime.shutdown().clean());
    EXPECT_GT(turns, 0u);
}

}  // namespace
