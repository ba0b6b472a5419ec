// rt::channel under stops, lost selects and real concurrency: what was sent is what was received.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "sync/helpers.hpp"
import rt;

namespace {

class ChannelStress : public EveryRuntime {};
EVERY_RUNTIME(ChannelStress);

struct message {
    std::unique_ptr<long> value;  // moved from: the message was taken
};

struct tally {
    long sent = 0;
    long received = 0;
    int broken = 0;  // messages that were neither delivered nor kept
};

/// A result that was there wins over a stop, so every delivered message is counted.
rt::task<> produce(rt::sender<message> tx, rt::notify& other, tally& mine, std::uint32_t seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 2000; ++i) {
        long value = 1 + static_cast<long>(random() % 1000);
        message next{std::make_unique<long>(value)};
        switch (random() % 4) {
            case 0: {
                auto first = co_await rt::select(tx.send(std::move(next)), other.wait());
                bool sent = first.index() == 0;
                if (sent) mine.sent += value;
                if (sent == (next.value != nullptr)) ++mine.broken;
                break;
            }
            case 1: {
                auto permit = co_await tx.reserve();
                if (random() % 4 == 0) break;
                mine.sent += value;
                if (!permit->send(std::move(next))) ++mine.broken;
                break;
            }
            default:
                (void)co_await tx.send(std::move(next));
                mine.sent += value;
                if (next.value) ++mine.broken;
        }
        if (random() % 16 == 0) co_await rt::yield_now();
    }
}

rt::task<> consume(rt::receiver<message>& rx, rt::notify& other, tally& all, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<message> batch;
    for (;;) {
        switch (random() % 3) {
            case 0: {
                auto first = co_await rt::select(rx.recv(), other.wait());
                if (first.index() == 1) break;
                auto& value = std::get<0>(first);
                if (!value) co_return;
                all.received += *value->value;
                break;
            }
            case 1: {
                batch.clear();
                if (co_await rx.recv_many(batch, 1 + random() % 4) == 0) co_return;
                for (auto& m : batch) all.received += *m.value;
                break;
            }
            default: {
                auto value = co_await rx.recv();
                if (!value) co_return;
                all.received += *value->value;
            }
        }
    }
}

TEST_P(ChannelStress, sums_add_up_with_random_stops_on_both_sides_b31_b46_b54) {
    run([&]() -> rt::task<> {
        std::mt19937 random(46);
        for (std::size_t capacity : {1, 3, 64}) {
            rt::notify other;
            tally all;
            std::vector<tally> each(8);
            auto [tx, rx] = rt::channel<message>(capacity);
            std::vector<rt::join_handle<>> producers;
            for (auto& mine : each)
                producers.push_back(
                    spawn_across(producers.size(), produce(tx, other, mine, random())));
            // One consumer after another, each stopped at some point.
            for (int i = 0; i < 1000; ++i) {
                auto consumer = spawn_across(random() % 4, consume(rx, other, all, random()));
                for (auto turns = random() % 4; turns != 0; --turns) co_await rt::yield_now();
                if (random() % 4 == 0) other.notify_all();
                if (random() % 64 == 0) producers[random() % producers.size()].stop();
                consumer.stop();
                (void)co_await consumer.outcome();
            }
            {
                auto dropped = std::move(tx);
            }
            co_await consume(rx, other, all, random());
            for (auto& producer : producers) (void)co_await producer.outcome();
            for (auto& mine : each) {
                all.sent += mine.sent;
                all.broken += mine.broken;
            }
            EXPECT_EQ(all.sent, all.received);
            EXPECT_EQ(all.broken, 0);
        }
    });
}

TEST_P(ChannelStress, a_permit_and_its_receiver_may_end_on_different_threads_b47_b54) {
    run([&]() -> rt::task<> {
        for (std::size_t i = 0; i < 2000; ++i) {
            auto [tx, rx] = rt::channel<message>(2);
            auto holds = [](rt::sender<message> tx, bool use) -> rt::task<> {
                auto permit = (co_await tx.reserve()).value();
                {
                    auto dropped = std::move(tx);
                }
                if (use) (void)permit.send(message{std::make_unique<long>(1)});
            };
            auto first = spawn_across(1, holds(tx, i % 2 == 0));
            auto second = spawn_across(i % 4, holds(std::move(tx), i % 3 == 0));
            long received = 0;
            while (auto m = co_await rx.recv()) received += *m->value;
            EXPECT_EQ(received, (i % 2 == 0) + (i % 3 == 0));
            co_await first;
            co_await second;
        }
    });
}

}  // namespace
