// Generators that wait, and the adaptors over them and over other streams.
#include "stream/helpers.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

class Stream : public EveryRuntime {};
EVERY_RUNTIME(Stream);

TEST_P(Stream, values_come_in_order_and_the_end_lasts) {
    run([]() -> rt::task<> {
        auto numbers = count_to(3);
        for (int i = 1; i <= 3; ++i) EXPECT_EQ(co_await numbers.next(), i);
        for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await numbers.next(), std::nullopt);
        auto none = count_to(0);
        EXPECT_EQ(co_await none.next(), std::nullopt);
    });
}

TEST_P(Stream, nothing_runs_before_it_is_asked_for) {
    run([]() -> rt::task<> {
        std::string told;
        auto numbers = count_to(9, &told);
        EXPECT_EQ(told, "");
        EXPECT_EQ(co_await numbers.next(), 1);
        EXPECT_EQ(told, "1");
        auto elsewhere = std::move(numbers);
        EXPECT_EQ(co_await elsewhere.next(), 2);
        EXPECT_EQ(told, "12");
    });
}

TEST_P(Stream, values_may_be_movable_only_and_outlive_the_stream) {
    run([]() -> rt::task<> {
        auto boxes = []() -> rt::stream<std::unique_ptr<std::string>> {
            co_yield std::make_unique<std::string>("kept");
        };
        std::optional<std::unique_ptr<std::string>> box;
        {
            auto from = boxes();
            box = co_await from.next();
        }
        EXPECT_EQ(**box, "kept");
    });
}

TEST_P(Stream, adaptors_compose) {
    run([]() -> rt::task<> {
        auto even = rt::filter(count_to(100), [](int i) { return i % 2 == 0; });
        auto text = rt::map(std::move(even), [](int i) { return std::to_string(i); });
        auto got = co_await rt::collect(rt::take(std::move(text), 3));
        EXPECT_EQ(got, (std::vector<std::string>{"2", "4", "6"}));
    });
}

TEST_P(Stream, take_asks_for_no_more_than_it_gives) {
    run([]() -> rt::task<> {
        std::string told;
        EXPECT_EQ((co_await rt::collect(rt::take(count_to(9, &told), 2))).size(), 2u);
        EXPECT_EQ(told, "12");
        EXPECT_TRUE((co_await rt::collect(rt::take(count_to(9, &told), 0))).empty());
        EXPECT_EQ(told, "12");
        EXPECT_EQ((co_await rt::collect(rt::take(count_to(2), 9))).size(), 2u);
    });
}

TEST_P(Stream, a_receiver_and_an_interval_are_streams) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(4);
        for (int i = 0; i < 4; ++i) (co_await tx.send(i)).value();
        {
            auto gone = std::move(tx);
        }
        auto twice = rt::map(std::move(rx), [](int i) { return 2 * i; });
        EXPECT_EQ(co_await rt::collect(std::move(twice)), (std::vector<int>{0, 2, 4, 6}));
        auto ticks = co_await rt::collect(rt::take(rt::interval(1ms), 3));
        EXPECT_EQ(ticks.size(), 3u);
        EXPECT_LT(ticks[0], ticks[2]);
    });
}

TEST_P(Stream, an_exception_reaches_the_consumer_once_and_ends_the_stream_b84) {
    run([]() -> rt::task<> {
        auto fails = []() -> rt::stream<int> {
            co_yield 1;
            co_await rt::yield_now();
            throw std::runtime_error("stage");
        };
        auto doubled = rt::map(fails(), [](int i) { return 2 * i; });
        EXPECT_EQ(co_await doubled.next(), 2);
        std::string what;
        try {
            (void)co_await doubled.next();
        } catch (const std::runtime_error& e) {
            what = e.what();
        }
        EXPECT_EQ(what, "stage");
        EXPECT_EQ(co_await doubled.next(), std::nullopt);
    });
}

rt::stream<int> marked(journal& log, std::string name) {
    mark outer(log, name + " outer");
    for (int i = 0;; ++i) {
        mark inner(log, name + " inner");
        co_yield i;
        if (i == 1) co_await forever();
    }
}

TEST_P(Stream, a_dropped_stream_ends_its_generator_innermost_first_b82) {
    run([]() -> rt::task<> {
        journal log;
        {
            auto never_asked = marked(log, "never");
            auto mapped = rt::map(marked(log, "a"), [](int i) { return i; });
            EXPECT_EQ(co_await mapped.next(), 0);
        }
        EXPECT_EQ(log.lines(), (std::vector<std::string>{"a inner", "a outer"}));
    });
}

TEST_P(Stream, a_stop_reaches_the_generator_that_waits_b34) {
    run([]() -> rt::task<> {
        journal log;
        std::atomic<int> got{0};
        auto consumer = rt::spawn([&]() -> rt::task<> {
            mark last(log, "consumer");
            auto mapped = rt::map(marked(log, "a"), [](int i) { return i; });
            while (co_await mapped.next()) ++got;
        });
        co_await until_at_least(got, 2);
        co_await settle_down();
        consumer.stop();
        EXPECT_TRUE((co_await consumer.outcome()).stopped());
        EXPECT_EQ(log.lines(),
                  (std::vector<std::string>{"a inner", "a inner", "a outer", "consumer"}));
    });
}

// The generator may be taken down in the middle, so it is no arm by itself.
static_assert(!rt::lossless_operation<decltype(std::declval<rt::stream<int>&>().next())>);

TEST_P(Stream, a_generator_that_loses_a_select_is_over_b82) {
    run([]() -> rt::task<> {
        journal log;
        auto numbers = marked(log, "a");
        for (int i = 0; i < 2; ++i) {
            auto first = co_await rt::select(rt::allow_loss(rt::next(numbers)), rt::sleep(24h));
            EXPECT_EQ(std::get<0>(first), i);
        }
        auto first = co_await rt::select(rt::allow_loss(rt::next(numbers)), rt::sleep(1ms));
        EXPECT_EQ(first.index(), 1u);
        EXPECT_EQ(log.lines(), (std::vector<std::string>{"a inner", "a inner", "a outer"}));
        EXPECT_EQ(co_await numbers.next(), std::nullopt);
    });
}

TEST_P(Stream, a_long_stream_does_not_deepen_the_stack) {
    run([]() -> rt::task<> {
        constexpr int many = 100'000;
        auto numbers = []() -> rt::stream<int> {
            for (int i = 0; i < many; ++i) co_yield i;  // without any wait
        };
        long sum = 0;
        auto odd = rt::filter(numbers(), [](int i) { return i % 2 == 1; });
        while (auto i = co_await odd.next()) sum += *i;
        EXPECT_EQ(sum, 2'500'000'000L);
    });
}

}  // namespace
