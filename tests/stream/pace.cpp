// Streams on the paused clock: every instant is exact.
#include "stream/helpers.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

using std::chrono::nanoseconds;

namespace {

// Whole grains of the wheel, so that the paused clock stands at the very instants.
constexpr auto unit = nanoseconds(1 << 16) * 1000;
using ints = std::vector<int>;

template <class Body>
void on_virtual_time(Body body) {
    rt::paused_clock clock;
    auto runtime = rt::runtime::builder().current_thread().clock(clock).build();
    runtime.block_on(body());
}

/// Each number after that many units.
rt::stream<int> timed(std::vector<std::pair<double, int>> numbers) {
    for (auto [after, number] : numbers) {
        co_await rt::sleep(nanoseconds(static_cast<long>(after * unit.count())));
        co_yield number;
    }
}
/// The same as a leaf.
rt::receiver<int> timed_leaf(std::vector<std::pair<double, int>> numbers) {
    auto [tx, rx] = rt::channel<int>(1);
    rt::spawn(
        [](auto numbers, rt::sender<int> to) -> rt::task<> {
            auto from = timed(std::move(numbers));
            while (auto number = co_await from.next()) (void)co_await to.send(*number);
        },
        std::move(numbers), std::move(tx))
        .detach();
    return std::move(rx);
}

/// In units since it was made.
class stopwatch {
public:
    rt::task<double> operator()() const {
        auto now = co_await rt::this_task::now();
        co_return (now - start_) / 1.0 / unit;
    }
    static rt::task<stopwatch> start() {
        stopwatch made;
        made.start_ = co_await rt::this_task::now();
        co_return made;
    }

private:
    rt::steady_time start_;
};

/// When it came, and what.
template <class S>
rt::task<std::vector<std::pair<double, typename S::value_type>>> timeline(S from) {
    auto time = co_await stopwatch::start();
    std::vector<std::pair<double, typename S::value_type>> all;
    while (auto value = co_await from.next()) all.emplace_back(co_await time(), *std::move(value));
    co_return all;
}

TEST(StreamPace, throttle_keeps_a_period_between_values_b83) {
    on_virtual_time([]() -> rt::task<> {
        std::vector<std::pair<double, int>> wanted{{0, 1}, {2, 2}, {4, 3}};
        EXPECT_EQ(co_await timeline(rt::throttle(queued({1, 2, 3}), 2 * unit)), wanted);
        auto generated = rt::throttle(timed({{0, 1}, {0, 2}, {0, 3}}), 2 * unit);
        EXPECT_EQ(co_await timeline(std::move(generated)), wanted);
        // A slow source is not slowed down further.
        wanted = {{0, 1}, {3, 2}, {5, 3}};
        auto slow = rt::throttle(timed_leaf({{0, 1}, {3, 2}, {0.5, 3}}), 2 * unit);
        EXPECT_EQ(co_await timeline(std::move(slow)), wanted);
    });
}

TEST(StreamPace, a_lost_select_does_not_begin_the_pause_anew_b83_b82) {
    on_virtual_time([]() -> rt::task<> {
        auto time = co_await stopwatch::start();
        auto slow = rt::throttle(queued({1, 2, 3}), 4 * unit);
        int lost = 0;
        for (int i = 1; i <= 3;) {
            auto first = co_await rt::select(rt::biased, slow.next(), rt::sleep(unit));
            if (first.index() == 0) {
                EXPECT_EQ(std::get<0>(first), i++);
            } else {
                ++lost;
            }
        }
        EXPECT_EQ(co_await time(), 8);
        EXPECT_EQ(lost, 6);
    });
}

TEST(StreamPace, timeout_each_tells_each_wait_that_is_too_long_b83) {
    on_virtual_time([]() -> rt::task<> {
        std::vector<std::pair<double, int>> plan{{1, 1}, {5, 2}, {0, 3}, {1.5, 4}};
        std::vector<std::pair<double, int>> wanted{{1, 1}, {3, -1}, {5, -1},
                                                   {6, 2}, {6, 3},  {7.5, 4}};
        auto as_number = [](rt::result<int> r) {
            if (!r) EXPECT_EQ(r.error(), rt::errc::timed_out);
            return std::move(r).value_or(-1);
        };
        auto leaf = rt::map(rt::timeout_each(timed_leaf(plan), 2 * unit), as_number);
        EXPECT_EQ(co_await timeline(std::move(leaf)), wanted);
        // The generator goes on through a timeout.
        auto generated = rt::map(rt::timeout_each(timed(plan), 2 * unit), as_number);
        EXPECT_EQ(co_await timeline(std::move(generated)), wanted);
    });
}

TEST(StreamPace, a_limit_counts_on_over_a_lost_select_b83_b82) {
    on_virtual_time([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto time = co_await stopwatch::start();
        auto limited = rt::timeout_each(std::move(rx), 3 * unit);
        for (int i = 0; i < 2; ++i) {
            auto first = co_await rt::select(limited.next(), rt::sleep(unit));
            EXPECT_EQ(first.index(), 1u);
        }
        auto late = co_await limited.next();
        EXPECT_EQ(late->error(), rt::errc::timed_out);
        EXPECT_EQ(co_await time(), 3);
        co_await rt::sleep(10 * unit);  // nobody waits meanwhile, so nothing is late
        (co_await tx.send(1)).value();
        EXPECT_EQ((co_await limited.next())->value(), 1);
    });
}

TEST(StreamPace, results_stay_single_results_under_a_limit_b83) {
    on_virtual_time([]() -> rt::task<> {
        auto [tx, rx] = rt::broadcast<int>(1);
        (void)tx.send(1);
        (void)tx.send(2);
        auto limited = rt::timeout_each(std::move(rx), unit);
        std::optional<rt::result<int>> r = co_await limited.next();
        EXPECT_EQ(r->error(), rt::errc::lagged);
        r = co_await limited.next();
        EXPECT_EQ(r->value(), 2);
        r = co_await limited.next();
        EXPECT_EQ(r->error(), rt::errc::timed_out);
    });
}

TEST(StreamPace, chunks_timeout_delivers_what_has_come_in_time_b83) {
    on_virtual_time([]() -> rt::task<> {
        std::vector<std::pair<double, int>> plan{{1, 1}, {1, 2}, {5, 3}, {0, 4},
                                                 {0, 5}, {1, 6}, {9, 7}};
        // The first chunk: 2 units after its first value. The second one is full.
        std::vector<std::pair<double, ints>> wanted{
            {3, {1, 2}}, {7, {3, 4, 5}}, {10, {6}}, {17, {7}}};
        auto leaf = rt::chunks_timeout(timed_leaf(plan), 3, 2 * unit);
        EXPECT_EQ(co_await timeline(std::move(leaf)), wanted);
        auto generated = rt::chunks_timeout(timed(plan), 3, 2 * unit);
        EXPECT_EQ(co_await timeline(std::move(generated)), wanted);
    });
}

TEST(StreamPace, a_chunk_comes_in_time_though_its_waits_are_lost_b83_b82) {
    on_virtual_time([]() -> rt::task<> {
        auto time = co_await stopwatch::start();
        auto chunks = rt::chunks_timeout(timed_leaf({{1, 1}, {1, 2}, {9, 3}}), 9, 3 * unit);
        std::optional<ints> chunk;
        while (!chunk) {
            auto first = co_await rt::select(rt::biased, chunks.next(), rt::sleep(unit));
            if (first.index() == 0) chunk = std::get<0>(first);
        }
        EXPECT_EQ(*chunk, (ints{1, 2}));
        EXPECT_EQ(co_await time(), 4);
    });
}

TEST(StreamPace, results_come_in_the_order_of_tasks_or_of_their_ends_b83) {
    on_virtual_time([]() -> rt::task<> {
        auto sleeps = [] {
            return rt::map(queued({3, 1, 2, 1}), [](int i) {
                return [](int i) -> rt::task<int> {
                    co_await rt::sleep(i * unit);
                    co_return i;
                }(i);
            });
        };
        std::vector<std::pair<double, int>> wanted{{3, 3}, {3, 1}, {3, 2}, {3, 1}};
        EXPECT_EQ(co_await timeline(rt::buffered(sleeps(), 4)), wanted);
        wanted = {{3, 3}, {3, 1}, {5, 2}, {5, 1}};
        EXPECT_EQ(co_await timeline(rt::buffered(sleeps(), 2)), wanted);
        auto all = co_await timeline(rt::buffer_unordered(sleeps(), 2));
        std::ranges::sort(all);
        EXPECT_EQ(all, (std::vector<std::pair<double, int>>{{1, 1}, {3, 2}, {3, 3}, {4, 1}}));
    });
}

TEST(StreamPace, what_is_declined_leaves_its_timer_waiting_again_b82_b83) {
    on_virtual_time([]() -> rt::task<> {
        auto time = co_await stopwatch::start();
        auto third = [n = 0](rt::steady_time) mutable { return ++n % 3 == 0; };
        auto ticks = rt::filter(rt::interval(unit), third);
        (void)co_await ticks.next();
        EXPECT_EQ(co_await time(), 2);
        for (int lost = 0;;) {
            auto first = co_await rt::select(rt::biased, ticks.next(), rt::sleep(2.5 * unit));
            if (first.index() == 0) {
                EXPECT_EQ(lost, 1);
                break;
            }
            ++lost;
        }
        EXPECT_EQ(co_await time(), 5);
    });
}

TEST(StreamPace, a_delay_queue_is_changed_while_its_adaptor_waits_b82_b85) {
    on_virtual_time([]() -> rt::task<> {
        rt::delay_queue<int> queue;
        auto time = co_await stopwatch::start();
        auto due = rt::filter(rt::borrow(queue), [](int i) { return i != 0; });
        auto consume = [&]() -> rt::task<> {
            EXPECT_EQ(co_await due.next(), 2);
            EXPECT_EQ(co_await time(), 4);
            auto first = co_await rt::select(due.next(), rt::sleep(2 * unit));
            EXPECT_EQ(first.index(), 1u);
            EXPECT_EQ(co_await due.next(), 1);
            EXPECT_EQ(co_await time(), 9);
        };
        auto change = [&]() -> rt::task<> {
            auto late = queue.insert(1, 5 * unit);
            queue.insert(0, 2 * unit);
            co_await rt::sleep(unit);
            queue.insert(0, unit);  // at the same instant as the other one
            queue.insert(2, 3 * unit);
            queue.reset(late, 8 * unit);
        };
        co_await rt::join(consume(), change());
    });
}

TEST(StreamPace, an_interval_can_be_merged_and_adapted_b83_b85) {
    on_virtual_time([]() -> rt::task<> {
        auto number = [](int n) { return [n](rt::steady_time) { return n; }; };
        auto both = rt::merge(rt::map(rt::interval(3 * unit), number(3)),
                              rt::map(rt::interval(4 * unit), number(4)));
        auto all = co_await timeline(rt::take(std::move(both), 7));
        std::vector<double> came;
        int sum = 0;
        for (auto [at, n] : all) {
            came.push_back(at);
            sum += n;
        }
        EXPECT_EQ(came, (std::vector<double>{0, 0, 3, 4, 6, 8, 9}));
        EXPECT_EQ(sum, 4 * 3 + 3 * 4);
    });
}

}  // namespace
