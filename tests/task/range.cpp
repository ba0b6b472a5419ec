// select_any, join_all, try_join_all: select and join of a range.
#include "task/helpers.hpp"

#include <array>
#include <memory>
#include <numeric>
#include <ranges>
#include <span>

namespace {

class Range : public EveryRuntime {};
EVERY_RUNTIME(Range);

rt::task<std::unique_ptr<int>> boxed_after(int n) {
    co_await yields(n);
    co_return std::make_unique<int>(n);
}
auto recv_of = [](auto& rx) { return rx.recv(); };

TEST_P(Range, select_any_gives_the_index_and_the_value_of_one_b30) {
    run([&]() -> rt::task<> {
        std::vector<rt::join_handle<std::unique_ptr<int>>> handles;
        rt::notify bell;
        for (int i = 0; i < 100; ++i) {
            handles.push_back(rt::spawn([](auto& bell, int i) -> rt::task<std::unique_ptr<int>> {
                i == 70 ? co_await bell.wait() : co_await forever();
                co_return std::make_unique<int>(i);
            }(bell, i)));
        }
        auto ringer = rt::spawn([](rt::notify& bell) -> rt::task<> {
            co_await settle_down();
            bell.notify_one();
        }(bell));
        auto [index, value] = co_await rt::select_any(handles);
        EXPECT_EQ(index, 70u);
        EXPECT_EQ(*value, 70);
        // Given away, the losers stop.
        auto late = rt::spawn(boxed_after(1));
        std::vector<rt::join_handle<std::unique_ptr<int>>> some;
        some.push_back(std::move(handles[3]));
        some.push_back(std::move(late));
        auto first = co_await rt::select_any(std::move(some));
        EXPECT_EQ(first.first, 1u);
        co_await ringer;
        std::array naps{rt::sleep(24h), rt::sleep(1ms)};
        EXPECT_EQ((co_await rt::select_any(std::move(naps))).first, 1u);
    });
}

TEST_P(Range, select_any_tries_in_random_order_b30) {
    run([&]() -> rt::task<> {
        std::array<int, 3> wins{};
        auto nap = [](int) { return rt::sleep(0s); };
        for (int i = 0; i < 300; ++i)
            ++wins[(co_await rt::select_any(std::views::iota(0, 3) | std::views::transform(nap)))
                       .first];
        for (int n : wins) EXPECT_GT(n, 50);
    });
}

TEST_P(Range, what_loses_a_select_any_did_nothing_b31) {
    const int rounds = sanitized ? 1000 : 5000, channels = 5;
    run([&]() -> rt::task<> {
        std::vector<rt::receiver<int>> receivers;
        std::vector<rt::join_handle<>> producers;
        for (int c = 0; c < channels; ++c) {
            auto [tx, rx] = rt::channel<int>(2);
            receivers.push_back(std::move(rx));
            producers.push_back(rt::spawn([](rt::sender<int> tx, int n) -> rt::task<> {
                for (int i = 0; i < n; ++i) {
                    (void)co_await tx.send(i);
                    if (i % 7 == 0) co_await rt::yield_now();
                }
            }(std::move(tx), rounds)));
        }
        std::vector<int> next(channels);
        long received = 0;
        for (std::vector<int> open(channels, 1); std::accumulate(open.begin(), open.end(), 0);) {
            auto [i, item] = co_await rt::select_any(receivers | std::views::transform(recv_of));
            if (item) {
                EXPECT_EQ(*item, next[i]++);
                ++received;
            } else {
                open[i] = 0;
            }
        }
        EXPECT_EQ(received, long{rounds} * channels);
        co_await rt::join_all(producers);
    });
}

TEST_P(Range, a_stop_withdraws_every_arm_of_a_select_any_b34) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        std::vector<rt::receiver<int>> receivers;
        receivers.push_back(std::move(rx));
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& receivers, auto& waits) -> rt::task<> {
            waits = true;
            (void)co_await rt::select_any(receivers | std::views::transform(recv_of));
        }(receivers, waits));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        (void)co_await tx.send(1);
        EXPECT_EQ(co_await receivers[0].recv(), 1);
    });
}

TEST_P(Range, stop_racing_a_select_any_loses_nothing_b24_b31) {
    const int rounds = sanitized ? 2000 : 5000;
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        std::vector<rt::receiver<int>> receivers;
        receivers.push_back(std::move(rx));
        for (int i = 0; i < rounds; ++i) {
            auto h = rt::spawn([](auto& receivers) -> rt::task<int> {
                auto first = co_await rt::select_any(receivers | std::views::transform(recv_of));
                co_return *first.second;
            }(receivers));
            auto sender = rt::spawn([](rt::sender<int>& tx, int n) -> rt::task<> {
                co_await yields(n);
                (void)co_await tx.send(1);
            }(tx, i % 4));
            co_await yields(i / 4 % 5);
            h.stop();
            auto o = co_await h.outcome();
            co_await sender;
            if (o.stopped()) EXPECT_EQ(co_await receivers[0].recv(), 1);
        }
    });
}

TEST_P(Range, select_any_does_not_starve_others_under_its_budget_b14) {
    run([&]() -> rt::task<> {
        bool other = false;
        auto ready = [&]() -> rt::task<int> {
            auto nap = [](int) { return rt::sleep(0s); };
            int n = 0;
            for (; !other && n < 100'000; ++n)
                (void)co_await rt::select_any(std::views::iota(0, 2) | std::views::transform(nap));
            co_return n;
        };
        auto sets = [&]() -> rt::task<> {
            co_await rt::yield_now();
            other = true;
        };
        auto [n, nothing] = co_await rt::join(ready(), sets());
        EXPECT_LT(n, 100'000);
    });
}

TEST_P(Range, join_all_gives_what_each_gives_in_order_b29) {
    run([&]() -> rt::task<> {
        std::vector<rt::task<std::unique_ptr<int>>> tasks;
        for (int i = 0; i < 50; ++i) tasks.push_back(boxed_after(i % 7));
        auto values = co_await rt::join_all(std::move(tasks));
        EXPECT_EQ(values.size(), 50u);
        for (int i = 0; i < 50; ++i) EXPECT_EQ(*values[i], i % 7);
        // Children take turns and may share plain variables; void of void.
        int sum = 0;
        co_await rt::join_all(std::views::iota(0, 20) | std::views::transform([&](int i) {
                                  return [](int& sum, int i) -> rt::task<> {
                                      co_await yields(i % 3);
                                      sum += i;
                                  }(sum, i);
                              }));
        EXPECT_EQ(sum, 190);
        EXPECT_TRUE((co_await rt::join_all(std::vector<rt::task<int>>())).empty());
        std::vector<rt::join_handle<int>> handles;
        for (int i = 0; i < 3; ++i) {
            handles.push_back(rt::spawn([](int i) -> rt::task<int> {
                co_await rt::yield_now();
                co_return i;
            }(i)));
        }
        EXPECT_EQ(co_await rt::join_all(std::span(handles)), (std::vector<int>{0, 1, 2}));
    });
}

TEST_P(Range, join_all_lets_the_others_finish_and_try_join_all_stops_them_b29) {
    run([&]() -> rt::task<> {
        std::atomic<int> ended = 0;
        auto work = [&](int i) -> rt::io_task<int> {
            co_await yields(i);
            if (i == 1) throw boom{};
            co_await yields(3);
            ++ended;
            co_return i;
        };
        auto range = std::views::iota(0, 4) | std::views::transform(work);
        EXPECT_THROW((void)co_await rt::join_all(range), boom);
        EXPECT_EQ(ended, 3);
        auto idle = [&](int i) -> rt::io_task<> {
            if (i == 2) co_return rt::errc::closed;
            co_await forever();
            co_return {};
        };
        rt::result<void> r =
            co_await rt::try_join_all(std::views::iota(0, 4) | std::views::transform(idle));
        EXPECT_EQ(r.error(), rt::errc::closed);
        auto fine = [](int i) -> rt::io_task<int> { co_return i; };
        rt::result<std::vector<int>> all =
            co_await rt::try_join_all(std::views::iota(0, 4) | std::views::transform(fine));
        EXPECT_EQ(*all, (std::vector<int>{0, 1, 2, 3}));
    });
}

TEST_P(Range, a_stop_ends_the_children_of_a_join_all_first_b34) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<int> waiting = 0;
        auto h = rt::spawn([](auto& log, auto& waiting) -> rt::task<> {
            mark m(log, "outer");
            co_await rt::join_all(std::views::iota(0, 3) | std::views::transform([&](int) {
                                      return [](auto& log, auto& waiting) -> rt::task<> {
                                          mark m(log, "inner");
                                          ++waiting;
                                          co_await forever();
                                      }(log, waiting);
                                  }));
            log.add("not here");
        }(log, waiting));
        co_await until_at_least(waiting, 3);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"inner", "inner", "inner", "outer"}));
}

}  // namespace
