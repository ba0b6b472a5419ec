// Streams made of several, of ranges and of chunks.
#include "stream/helpers.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>
#include <variant>
#include <vector>

namespace {

class Merge : public EveryRuntime {};
EVERY_RUNTIME(Merge);

using ints = std::vector<int>;

TEST_P(Merge, a_range_becomes_a_stream_b85) {
    run([]() -> rt::task<> {
        EXPECT_EQ(co_await rt::collect(rt::from_range(ints{1, 2, 3})), (ints{1, 2, 3}));
        auto squares = std::views::iota(1) | std::views::transform([](int i) { return i * i; });
        EXPECT_EQ(co_await rt::collect(rt::take(rt::from_range(squares), 4)), (ints{1, 4, 9, 16}));
        const std::deque<int> kept{5, 6};
        EXPECT_EQ(co_await rt::collect(rt::from_range(kept)), (ints{5, 6}));
        EXPECT_TRUE((co_await rt::collect(rt::from_range(ints{}))).empty());
        // An iterator of a string may point into the string itself.
        auto letters = rt::from_range(std::string("ab"));
        EXPECT_EQ(co_await letters.next(), 'a');
        auto elsewhere = std::move(letters);
        EXPECT_EQ(co_await elsewhere.next(), 'b');
        EXPECT_EQ(co_await elsewhere.next(), std::nullopt);
        std::vector<std::unique_ptr<int>> boxes;
        boxes.push_back(std::make_unique<int>(7));
        auto box = co_await rt::from_range(std::move(boxes)).next();
        EXPECT_EQ(**box, 7);
    });
}

TEST_P(Merge, a_range_that_throws_does_so_once_b84_b85) {
    run([]() -> rt::task<> {
        auto fails = std::views::iota(1) | std::views::transform([](int i) {
                         if (i == 2) throw std::runtime_error("range");
                         return i;
                     });
        auto from = rt::from_range(fails);
        EXPECT_EQ(co_await from.next(), 1);
        EXPECT_EQ(co_await failure_of(from), "range");
        EXPECT_EQ(co_await from.next(), std::nullopt);
    });
}

TEST_P(Merge, chain_keeps_order_b83) {
    run([]() -> rt::task<> {
        auto leaves = rt::chain(queued({1, 2}), rt::from_range(ints{3}), queued<int>({}),
                                rt::take(rt::from_range(std::views::iota(4)), 2));
        static_assert(rt::lossless_stream<decltype(leaves)>);
        EXPECT_EQ(co_await rt::collect(std::move(leaves)), (ints{1, 2, 3, 4, 5}));
        std::string told;
        auto mixed = rt::chain(queued({7}), count_to(2, &told), queued({8}));
        static_assert(!rt::lossless_stream<decltype(mixed)>);
        EXPECT_EQ(co_await mixed.next(), 7);
        EXPECT_EQ(told, "");
        EXPECT_EQ(co_await rt::collect(std::move(mixed)), (ints{1, 2, 8}));
    });
}

TEST_P(Merge, merge_takes_turns_and_ends_with_the_last_b83) {
    run([]() -> rt::task<> {
        auto ones = rt::map(rt::from_range(std::views::iota(0)), [](int) { return 1; });
        auto tens = rt::map(rt::from_range(std::views::iota(0)), [](int) { return 10; });
        auto some = rt::merge(std::move(ones), std::move(tens), queued({100, 100}));
        int sum = 0;
        for (int i = 0; i < 300; ++i) sum += *co_await some.next();
        EXPECT_EQ(sum, 200 + 149 + 1490);

        auto [tx, rx] = rt::channel<int>(1);
        auto both = rt::merge(queued({1}), std::move(rx));
        EXPECT_EQ(co_await both.next(), 1);
        EXPECT_EQ((co_await rt::select(both.next(), rt::sleep(1ms))).index(), 1u);
        (co_await tx.send(2)).value();
        EXPECT_EQ(co_await both.next(), 2);
        {
            auto gone = std::move(tx);
        }
        for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await both.next(), std::nullopt);
    });
}

TEST_P(Merge, merged_streams_lose_nothing_in_a_race_b83_b82_b31) {
    run([]() -> rt::task<> {
        auto [to_a, a] = rt::channel<int>(1);
        auto [to_b, b] = rt::channel<int>(5);
        auto [to_c, c] = rt::channel<int>(1);
        auto [bell_tx, bell] = rt::channel<int>(1);
        auto one = rt::spawn(send_numbers, std::move(to_a), rounds);
        auto two = rt::spawn(send_numbers, std::move(to_b), rounds);
        auto three = rt::spawn(send_numbers, std::move(to_c), rounds);
        auto rings = rt::spawn(
            [](rt::sender<int> to) -> rt::task<> {
                for (;;) {
                    (co_await to.send(1)).value();
                    co_await rt::yield_now();
                }
            },
            std::move(bell_tx));
        auto all = rt::merge(std::move(a), rt::chain(std::move(b), queued({1})),
                             rt::filter(std::move(c), [](int i) { return i % 2 == 0; }));
        long sum = 0, lost = 0;
        for (bool over = false; !over;) {
            auto first = co_await rt::select(all.next(), bell.recv());
            if (first.index() == 1) {
                ++lost;
            } else if (auto value = std::get<0>(first)) {
                sum += *value;
            } else {
                over = true;
            }
        }
        EXPECT_EQ(sum, 2 * sum_to(rounds) + 1 + 2 * sum_to(rounds / 2));
        EXPECT_GT(lost, 0);
        co_await one;
        co_await two;
        co_await three;
    });
}

TEST_P(Merge, generators_can_be_merged_without_loss_b83_b82) {
    run([]() -> rt::task<> {
        auto all = rt::merge(count_to(500), count_to(100), queued({1, 2, 3}));
        static_assert(rt::lossless_stream<decltype(all)>);
        long sum = 0;
        for (bool over = false; !over;) {
            auto first = co_await rt::select(all.next(), rt::sleep(0ms));
            if (first.index() == 1) continue;
            auto value = std::get<0>(first);
            value ? sum += * value : over = true;
        }
        EXPECT_EQ(sum, sum_to(500) + sum_to(100) + 6);
    });
}

TEST_P(Merge, a_failure_ends_all_that_is_merged_b84) {
    run([]() -> rt::task<> {
        auto fails = []() -> rt::stream<int> {
            co_yield 1;
            throw std::runtime_error("stage");
        };
        auto [tx, rx] = rt::channel<int>(1);
        auto all = rt::merge(fails(), std::move(rx));
        EXPECT_EQ(co_await all.next(), 1);
        EXPECT_EQ(co_await failure_of(all), "stage");
        EXPECT_EQ(co_await all.next(), std::nullopt);
        co_await tx.closed();
    });
}

TEST_P(Merge, a_generator_that_runs_ahead_ends_with_its_stream_b82) {
    run([]() -> rt::task<> {
        journal log;
        auto endless = [](journal& log) -> rt::stream<int> {
            mark outer(log, "outer");
            for (int i = 0;; ++i) {
                mark inner(log, "inner");
                co_yield i;
            }
        };
        {
            auto never_asked = rt::run_ahead(endless(log));
            auto ahead = rt::run_ahead(endless(log));
            for (int i = 0; i < 5; ++i) EXPECT_EQ(co_await ahead.next(), i);
        }
        while (log.lines().empty() || log.lines().back() != "outer") co_await rt::yield_now();
        auto lines = log.lines();
        EXPECT_EQ(lines[lines.size() - 2], "inner");
    });
}

TEST_P(Merge, chunks_are_full_but_for_the_last_b83) {
    run([]() -> rt::task<> {
        std::vector<ints> wanted{{1, 2}, {3, 4}, {5}};
        EXPECT_EQ(co_await rt::collect(rt::chunks(queued({1, 2, 3, 4, 5}), 2)), wanted);
        EXPECT_EQ(co_await rt::collect(rt::chunks(count_to(5), 2)), wanted);
        wanted.pop_back();
        EXPECT_EQ(co_await rt::collect(rt::chunks(queued({1, 2, 3, 4}), 2)), wanted);
        EXPECT_TRUE((co_await rt::collect(rt::chunks(queued<int>({}), 2))).empty());
        auto large = co_await rt::chunks(rt::from_range(std::views::iota(0)), 100'000).next();
        EXPECT_EQ(large->size(), 100'000u);
    });
}

TEST_P(Merge, a_chunk_keeps_what_it_has_when_it_loses_b83_b82_b31) {
    run([]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(2);
        auto sends = rt::spawn(send_numbers, std::move(tx), rounds);
        auto sevens = rt::chunks(std::move(rx), 7);
        long sum = 0, lost = 0;
        for (bool over = false; !over;) {
            auto first = co_await rt::select(sevens.next(), rt::sleep(0ms));
            if (first.index() == 1) {
                if (++lost % 4 == 0) co_await rt::yield_now();
                continue;
            }
            auto chunk = std::get<0>(first);
            over = !chunk;
            if (over) break;
            for (int i : *chunk) sum += i;
        }
        EXPECT_EQ(sum, sum_to(rounds));
        EXPECT_GT(lost, 0);
        co_await sends;
    });
}

}  // namespace
