// Streams under keys: they come and go while others give values.
#include "stream/helpers.hpp"

#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace {

class StreamMap : public EveryRuntime {};
EVERY_RUNTIME(StreamMap);

using pair = std::pair<std::string, int>;

TEST_P(StreamMap, finished_streams_are_dropped_and_keys_come_with_values_b83) {
    run([]() -> rt::task<> {
        rt::stream_map<std::string, rt::receiver<int>> map;
        EXPECT_EQ(co_await map.next(), std::nullopt);
        EXPECT_TRUE(map.insert("a", queued({1, 2})));
        EXPECT_TRUE(map.insert("b", queued({10})));
        EXPECT_EQ(co_await map.next(), pair("a", 1));
        EXPECT_EQ(co_await map.next(), pair("b", 10));
        EXPECT_EQ(co_await map.next(), pair("a", 2));
        EXPECT_EQ(co_await map.next(), std::nullopt);
        EXPECT_TRUE(map.empty());
        EXPECT_TRUE(map.insert("a", queued({3, 4})));
        EXPECT_EQ(co_await map.next(), pair("a", 3));
        EXPECT_FALSE(map.insert("a", queued({5})));
        EXPECT_EQ(co_await map.next(), pair("a", 5));
        EXPECT_TRUE(map.remove("a"));
        EXPECT_FALSE(map.remove("a"));
        EXPECT_FALSE(map.contains("a"));
        EXPECT_EQ(map.size(), 0u);
    });
}

TEST_P(StreamMap, streams_take_turns_b83) {
    run([]() -> rt::task<> {
        rt::stream_map<int, rt::receiver<int>> map;
        std::vector<rt::unbounded_sender<int>> senders;
        for (int key = 0; key < 3; ++key) {
            auto [tx, rx] = rt::unbounded_channel<int>();
            for (int i = 0; i < 100; ++i) tx.send(i).value();
            senders.push_back(std::move(tx));
            map.insert(key, std::move(rx));
        }
        std::map<int, int> counts;
        for (int i = 0; i < 150; ++i) ++counts[(co_await map.next())->first];
        EXPECT_EQ(counts, (std::map<int, int>{{0, 50}, {1, 50}, {2, 50}}));
    });
}

TEST_P(StreamMap, nothing_is_lost_while_streams_come_and_go_b83_b82_b31) {
    run([]() -> rt::task<> {
        constexpr int streams = 50, values = rounds / 125;
        auto [tx, more] = rt::channel<rt::receiver<int>>(1);
        auto opens = rt::spawn(
            [](rt::sender<rt::receiver<int>> to) -> rt::task<> {
                std::vector<rt::join_handle<>> sending;
                for (int i = 0; i < streams; ++i) {
                    auto [tx, rx] = rt::channel<int>(2);
                    sending.push_back(rt::spawn(send_numbers, std::move(tx), values));
                    (co_await to.send(std::move(rx))).value();
                }
                for (auto& each : sending) co_await each;
            },
            std::move(tx));
        rt::stream_map<int, rt::receiver<int>> map;
        long sum = 0;
        for (int inserted = 0; inserted < streams || !map.empty();) {
            if (inserted == streams) {
                if (auto next = co_await map.next()) sum += next->second;
                continue;
            }
            if (map.empty()) {
                map.insert(inserted++, *co_await more.recv());
                continue;
            }
            auto first = co_await rt::select(map.next(), more.recv());
            if (first.index() == 1) {
                map.insert(inserted++, *std::move(std::get<1>(first)));
            } else if (auto& next = std::get<0>(first)) {
                sum += next->second;
            }
        }
        EXPECT_EQ(sum, streams * sum_to(values));
        co_await opens;
    });
}

TEST_P(StreamMap, a_stream_that_throws_is_dropped_and_the_others_go_on_b84) {
    run([]() -> rt::task<> {
        auto fails = []() -> rt::stream<int> {
            co_yield 1;
            throw std::runtime_error("stage");
        };
        rt::stream_map<std::string, rt::stream<int>> map;
        map.insert("bad", fails());
        map.insert("good", count_to(3));
        std::string told;
        for (int left = 6; left > 0; --left) {
            try {
                auto next = co_await map.next();
                if (!next) break;
                told += next->first + std::to_string(next->second) + ' ';
            } catch (const std::runtime_error& e) {
                EXPECT_STREQ(e.what(), "stage");
                EXPECT_FALSE(map.contains("bad"));
                told += "! ";
            }
        }
        for (auto part : {"bad1 ", "good1 ", "good2 ", "good3 ", "! "})
            EXPECT_NE(told.find(part), std::string::npos) << told;
    });
}

}  // namespace
