// Adaptors over leaf streams as arms of a select: what loses has taken nothing.
#include "stream/helpers.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace {

class LosslessStream : public EveryRuntime {};
EVERY_RUNTIME(LosslessStream);

auto twice = [](int i) { return 2 * i; };
auto even = [](int i) { return i % 2 == 0; };

// Every leaf stream there is, and what is made of it.
template <class S>
constexpr bool stays_lossless() {
    using identity = std::identity;
    auto all = [](const auto&) { return true; };
    using mapped = decltype(rt::map(std::declval<S>(), identity{}));
    using filtered = decltype(rt::filter(std::declval<mapped>(), all));
    using taken = decltype(rt::take(std::declval<filtered>(), 1));
    return rt::lossless_stream<S> && rt::lossless_stream<taken>;
}
static_assert(stays_lossless<rt::receiver<int>>());
static_assert(stays_lossless<rt::broadcast_receiver<int>>());
static_assert(stays_lossless<rt::watch_receiver<int>>());
static_assert(stays_lossless<rt::interval>());
static_assert(stays_lossless<rt::borrow<rt::delay_queue<int>>>());
static_assert(stays_lossless<rt::tcp_listener>());
static_assert(stays_lossless<rt::buffered_reader<rt::tcp_stream>>());
static_assert(stays_lossless<rt::signal_stream>());
static_assert(!stays_lossless<rt::stream<int>>());

TEST_P(LosslessStream, an_adaptor_that_loses_a_select_keeps_its_values_b82_b31) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(2);
        auto doubled = rt::map(std::move(rx), twice);
        for (int i = 0; i < 100; ++i) {
            auto first = co_await rt::select(rt::biased, rt::sleep(0ms), doubled.next());
            EXPECT_EQ(first.index(), 0u);
            if (i % 10 == 0) (co_await tx.send(i)).value();
            first = co_await rt::select(rt::biased, rt::sleep(0ms), doubled.next());
            EXPECT_EQ(first.index(), 0u);
            if (i % 10 == 0) {
                auto found = co_await rt::select(doubled.next(), rt::sleep(24h));
                EXPECT_EQ(std::get<0>(found), 2 * i);
            }
        }
    });
}

/// Two streams and a timer race until both streams have ended: the sums of both.
template <class A, class B>
rt::task<std::pair<long, long>> race(A a, B b) {
    long of_a = 0, of_b = 0, lost = 0;
    bool a_over = false, b_over = false;
    while (!a_over || !b_over) {
        auto first = co_await rt::select(a.next(), b.next(), rt::sleep(0ms));
        if (auto* value = std::get_if<0>(&first)) {
            *value ? of_a += **value : a_over = true;
        } else if (auto* value = std::get_if<1>(&first)) {
            *value ? of_b += **value : b_over = true;
        } else {
            if (++lost % 8 == 0) co_await rt::yield_now();
        }
        // At the end a stream is always ready.
        if (a_over && !b_over) {
            while (auto value = co_await b.next()) of_b += *value;
            b_over = true;
        }
        if (b_over && !a_over) {
            while (auto value = co_await a.next()) of_a += *value;
            a_over = true;
        }
    }
    co_return std::pair(of_a, of_b);
}

TEST_P(LosslessStream, nothing_is_lost_in_a_race_of_adaptors_b82_b31) {
    run([]() -> rt::task<> {
        auto [to_a, a] = rt::channel<int>(3);
        auto [to_b, b] = rt::channel<int>(3);
        auto one = rt::spawn(send_numbers, std::move(to_a), rounds);
        auto other = rt::spawn(send_numbers, std::move(to_b), rounds);
        auto [of_a, of_b] = co_await race(rt::filter(rt::map(std::move(a), twice), even),
                                          rt::map(rt::filter(std::move(b), even), twice));
        EXPECT_EQ(of_a, 2 * sum_to(rounds));
        EXPECT_EQ(of_b, 4 * sum_to(rounds / 2));
        co_await one;
        co_await other;
    });
}

TEST_P(LosslessStream, arms_that_wait_and_lose_take_nothing_b82_b31) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto [bell_tx, bell] = rt::channel<int>(1);
        auto sends = rt::spawn(send_numbers, std::move(tx), rounds);
        auto rings = rt::spawn(send_numbers, std::move(bell_tx), rounds);
        // Of the numbers only every 16th is wanted: most claims are for nothing.
        auto rare = rt::filter(std::move(rx), [](int i) { return i % 16 == 0; });
        long sum = 0, rung = 0;
        bool over = false, bell_over = false;
        while (!over || !bell_over) {
            if (over) {
                while (auto i = co_await bell.recv()) rung += *i;
                break;
            }
            if (bell_over) {
                while (auto i = co_await rare.next()) sum += *i;
                break;
            }
            auto first = co_await rt::select(rare.next(), bell.recv());
            auto value = first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
            auto& to = first.index() == 0 ? sum : rung;
            auto& end = first.index() == 0 ? over : bell_over;
            value ? to += * value : end = true;
        }
        EXPECT_EQ(sum, 16 * sum_to(rounds / 16));
        EXPECT_EQ(rung, sum_to(rounds));
        co_await sends;
        co_await rings;
    });
}

TEST_P(LosslessStream, a_stop_withdraws_an_adaptor_and_loses_nothing_b82_b34) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto evens = rt::filter(rt::map(std::move(rx), std::identity{}), even);
        auto sends = rt::spawn(send_numbers, std::move(tx), rounds / 10);
        long sum = 0;
        for (bool over = false; !over;) {
            auto receives = rt::spawn([&]() -> rt::task<> {
                while (auto i = co_await evens.next()) sum += *i;
                over = true;
            });
            co_await yields(3);
            receives.stop();
            (void)co_await receives.outcome();
        }
        EXPECT_EQ(sum, 2 * sum_to(rounds / 20));
        co_await sends;
    });
}

TEST_P(LosslessStream, what_is_declined_for_ever_lets_others_run_b82_b14) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::unbounded_channel<int>();
        std::atomic<bool> others_ran{false};
        int declined = 0;
        // The channel never runs dry.
        auto none = rt::filter(std::move(rx), [&, tx](int i) mutable {
            ++declined;
            if (!others_ran) (void)tx.send(i);
            return i < 0;
        });
        for (int i = 0; i < 10; ++i) (void)tx.send(i);
        auto other = rt::spawn([&]() -> rt::task<> {
            others_ran = true;
            co_return;
        });
        auto first = co_await rt::select(none.next(), rt::sleep(1ms));
        EXPECT_EQ(first.index(), 1u);
        EXPECT_GE(declined, 10);
        others_ran = false;
        for (int i = 0; i < 10; ++i) (void)tx.send(i);
        auto again = rt::spawn([&]() -> rt::task<> {
            co_await yields(3);
            others_ran = true;
        });
        EXPECT_FALSE(co_await rt::timeout(1ms, none.next()));
        co_await again;
        co_await other;
    });
}

TEST_P(LosslessStream, what_a_stage_throws_comes_once_and_then_the_end_b84) {
    run([]() -> rt::task<> {
        auto fails_at_2 = [](int i) {
            if (i == 2) throw std::runtime_error("stage");
            return true;
        };
        auto mapped = rt::take(rt::map(queued({1, 2, 3}), fails_at_2), 9);
        EXPECT_EQ(co_await mapped.next(), true);
        EXPECT_EQ(co_await failure_of(mapped), "stage");
        for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await mapped.next(), std::nullopt);

        auto filtered = rt::map(rt::filter(queued({1, 2, 3}), fails_at_2), twice);
        auto first = co_await rt::select(filtered.next(), rt::sleep(24h));
        EXPECT_EQ(std::get<0>(first), 2);
        std::string what;
        try {
            (void)co_await rt::select(rt::sleep(24h), filtered.next());
        } catch (const std::runtime_error& e) {
            what = e.what();
        }
        EXPECT_EQ(what, "stage");
        first = co_await rt::select(filtered.next(), rt::sleep(24h));
        EXPECT_EQ(std::get<0>(first), std::nullopt);
    });
}

TEST_P(LosslessStream, what_a_stage_throws_wakes_its_consumer_b84) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto fails = [](int) -> int { throw std::runtime_error("stage"); };
        auto waits = rt::spawn(
            [](auto from) -> rt::task<std::string> {
                auto what = co_await failure_of(from);
                EXPECT_EQ(co_await from.next(), std::nullopt);
                co_return what;
            },
            rt::map(std::move(rx), fails));
        co_await settle_down();
        (co_await tx.send(1)).value();
        EXPECT_EQ(co_await waits, "stage");
        co_await tx.closed();  // the end has taken the receiver with it
    });
}

TEST_P(LosslessStream, lines_and_connections_can_be_adapted_b82_b85) {
    run([]() -> rt::task<> {
        auto listener = (co_await rt::tcp_listener::bind("127.0.0.1:0")).value();
        auto at = listener.local().value();
        auto streams = rt::filter(
            rt::map(std::move(listener), [](rt::accepted a) { return std::move(a.stream); }),
            [](const rt::tcp_stream&) { return true; });
        EXPECT_EQ((co_await rt::select(streams.next(), rt::sleep(1ms))).index(), 1u);
        auto near = (co_await rt::tcp_stream::connect(at)).value();
        auto far = co_await streams.next();
        if (!far) co_return ADD_FAILURE() << "no connection";

        constexpr int many = rounds / 20;
        auto writer = rt::spawn(
            [](rt::tcp_stream out) -> rt::task<> {
                for (int i = 1; i <= many; ++i) {
                    auto line = std::to_string(i) + '\n';
                    auto half = line.size() / 2;
                    auto bytes = std::as_bytes(std::span(line));
                    (co_await out.write_all(bytes.first(half))).value();
                    if (i % 3 == 0) co_await rt::yield_now();
                    (co_await out.write_all(bytes.subspan(half))).value();
                }
            },
            std::move(near));
        auto numbers =
            rt::map(rt::buffered_reader(*std::move(far)),
                    [](rt::result<std::string> line) { return std::stoi(line.value()); });
        auto evens = rt::filter(std::move(numbers), even);
        long sum = 0, turns = 0;
        for (;;) {
            std::optional<int> number;
            if (++turns % 3 == 0) {
                number = co_await evens.next();
            } else {
                auto first = co_await rt::select(evens.next(), rt::sleep(0ms));
                if (first.index() == 1) continue;
                number = std::get<0>(first);
            }
            if (!number) break;
            sum += *number;
        }
        EXPECT_EQ(sum, 2 * sum_to(many / 2));
        co_await writer;
    });
}

TEST(StreamElsewhere, an_adaptor_can_be_waited_for_on_a_foreign_thread_b82) {
    auto [tx, rx] = rt::channel<int>(1);
    std::thread sends(
        [](rt::sender<int> to) {
            for (int i = 1; i <= 1000; ++i) to.blocking_send(i).value();
        },
        std::move(tx));
    auto rare = rt::filter(std::move(rx), [](int i) { return i % 500 == 0; });
    EXPECT_EQ(rt::sync_wait(rare.next()), 500);
    EXPECT_EQ(rt::sync_wait(rt::collect(std::move(rare))), std::vector{1000});
    sends.join();
}

}  // namespace
