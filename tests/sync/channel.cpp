// rt::channel: bounded, many senders, one receiver; order, capacity, ends, and withdrawn
// operations.
//
// The children of a join run one at a time, each to its first suspension before the next one
// starts; see mutex.cpp.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/run.hpp"
import rt;

namespace {

class Channel : public EveryRuntime {};
EVERY_RUNTIME(Channel);

template <class T>
std::vector<T> drain(rt::receiver<T>& rx) {
    std::vector<T> values;
    while (auto value = rx.try_recv()) values.push_back(std::move(*value));
    return values;
}

TEST_P(Channel, values_arrive_in_the_order_of_each_sender_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(2);
        auto sends = [](rt::sender<int> tx, int from) -> rt::task<> {
            for (int i = 0; i < 100; ++i) (co_await tx.send(from + i)).value();
        };
        auto low = rt::spawn(sends, tx, 0);
        auto high = rt::spawn(sends, std::move(tx), 1000);
        int next_low = 0, next_high = 1000;
        while (auto value = co_await rx.recv()) {
            auto& next = *value < 1000 ? next_low : next_high;
            EXPECT_EQ(*value, next++);
        }
        EXPECT_EQ(next_low, 100);
        EXPECT_EQ(next_high, 1100);
    });
}

// The value of the send came into the channel, and the receiver slept on.
TEST_P(Channel, a_dropped_permit_lets_a_waiting_send_in_and_wakes_the_receiver_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto permit = (co_await tx.reserve()).or_throw();
        auto receives = [&, &rx = rx]() -> rt::task<> { EXPECT_EQ(co_await rx.recv(), 7); };
        auto sends = [&, &tx = tx]() -> rt::task<> { (co_await tx.send(7)).value(); };
        auto gives_up = [&]() -> rt::task<> {
            auto dropped = std::move(permit);
            co_return;
        };
        co_await rt::join(receives(), sends(), gives_up());
    });
}

TEST_P(Channel, a_send_waits_while_the_channel_is_full_and_is_served_in_order) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<char>(1);
        auto sends = [&, &tx = tx](char value) -> rt::task<> { (co_await tx.send(value)).value(); };
        std::string order;
        auto receives = [&, &rx = rx]() -> rt::task<> {
            while (order.size() < 4) order += *co_await rx.recv();
        };
        co_await rt::join(sends('a'), sends('b'), sends('c'), sends('d'), receives());
        EXPECT_EQ(order, "abcd");
    });
}

TEST_P(Channel, a_receiver_is_a_stream_of_values) {
    static_assert(rt::stream_of_values<rt::receiver<int>>);
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::unique_ptr<int>>(4);
        (co_await tx.send(std::make_unique<int>(1))).value();
        auto value = co_await rx.next();
        EXPECT_EQ(**value, 1);
    });
}

TEST(ChannelAlone, trying_tells_full_from_empty_from_closed) {
    auto [tx, rx] = rt::channel<std::string>(2);
    EXPECT_EQ(tx.capacity(), 2u);
    EXPECT_EQ(rx.try_recv().error(), std::errc::operation_would_block);
    EXPECT_TRUE(tx.try_send("one"));
    EXPECT_TRUE(tx.try_send("two"));
    std::string kept = "a third one that does not fit into the small buffer of a string";
    EXPECT_EQ(tx.try_send(std::move(kept)).error(), std::errc::operation_would_block);
    EXPECT_EQ(kept.substr(0, 7), "a third");
    EXPECT_EQ(rx.try_recv().value(), "one");
    EXPECT_TRUE(tx.try_send(kept));
    EXPECT_EQ(kept.substr(0, 7), "a third");
    rx.close();
    EXPECT_TRUE(tx.is_closed());
    EXPECT_EQ(tx.try_send("four").error(), rt::errc::closed);
    EXPECT_EQ(drain(rx).size(), 2u);
    EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
}

TEST(ChannelAlone, a_ring_wraps_with_a_capacity_that_is_no_power_of_two) {
    auto [tx, rx] = rt::channel<int>(3);
    for (int i = 0; i < 1000; i += 3) {
        for (int j = 0; j < 3; ++j) EXPECT_TRUE(tx.try_send(i + j));
        EXPECT_FALSE(tx.try_send(-1));
        EXPECT_EQ(drain(rx), (std::vector{i, i + 1, i + 2}));
    }
}

TEST(ChannelAlone, capacity_0_stops_the_program) {
    EXPECT_DEATH(rt::channel<int>(0), "misuse: a channel with capacity 0.*channel.cpp");
}

TEST(ChannelAlone, two_receives_at_once_stop_the_program) {
    auto [tx, rx] = rt::channel<int>(1);
    auto both = [&, &rx = rx] {
        auto first = rx.recv(), second = rx.recv();
        (void)first.enlist();
        (void)second.enlist();
    };
    EXPECT_DEATH(both(), "misuse: two receives at once on one receiver.*channel.cpp");
}

TEST_P(Channel, a_dropped_permit_gives_its_place_to_the_next_sender) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto permit = std::make_optional((co_await tx.reserve()).value());
        auto sends = [&, &tx = tx]() -> rt::task<> { (co_await tx.send(5)).value(); };
        auto drops = [&]() -> rt::task<> {
            permit.reset();
            co_return;
        };
        co_await rt::join(sends(), drops());
        EXPECT_EQ(drain(rx), std::vector{5});
    });
}

TEST(ChannelAlone, a_place_that_was_reserved_and_never_taken_is_given_back) {
    auto [tx, rx] = rt::channel<int>(1);
    {
        auto op = tx.reserve();
        EXPECT_TRUE(op.try_now());
        EXPECT_FALSE(tx.try_send(1));
    }
    EXPECT_TRUE(tx.try_send(1));
}

TEST_P(Channel, a_send_that_loses_a_select_keeps_its_message_with_the_caller_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::unique_ptr<int>>(1);
        rt::notify other;
        EXPECT_TRUE(tx.try_send(std::make_unique<int>(1)));
        auto message = std::make_unique<int>(2);
        auto loser = [&, &tx = tx]() -> rt::task<> {
            auto first = co_await rt::select(tx.send(std::move(message)), other.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto receives = [&, &rx = rx]() -> rt::task<> {
            other.notify_one();
            EXPECT_EQ(drain(rx).size(), 1u);
            co_return;
        };
        co_await rt::join(loser(), receives());
        EXPECT_TRUE(message && *message == 2);
        EXPECT_EQ(drain(rx).size(), 0u);
    });
}

TEST_P(Channel, a_send_that_is_stopped_keeps_its_message_with_the_caller_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::unique_ptr<int>>(1);
        rt::notify stop;
        EXPECT_TRUE(tx.try_send(std::make_unique<int>(1)));
        auto message = std::make_unique<int>(2);
        bool returned = false;
        auto sends = [&, &tx = tx]() -> rt::task<> {
            (void)co_await tx.send(std::move(message));
            returned = true;
        };
        auto stopped = [&]() -> rt::task<> {
            (void)co_await rt::select(rt::biased, rt::allow_loss(sends()), stop.wait());
        };
        auto receives = [&, &rx = rx]() -> rt::task<> {
            stop.notify_one();
            co_await rt::yield_now();
            EXPECT_EQ(drain(rx).size(), 1u);
        };
        co_await rt::join(stopped(), receives());
        EXPECT_FALSE(returned);
        EXPECT_TRUE(message && *message == 2);
        EXPECT_EQ(drain(rx).size(), 0u);
    });
}

TEST_P(Channel, a_receive_that_loses_a_select_leaves_the_value_b31) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        rt::notify other;
        auto loser = [&, &rx = rx]() -> rt::task<> {
            auto first = co_await rt::select(rx.recv(), other.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto sends = [&, &tx = tx]() -> rt::task<> {
            other.notify_one();
            EXPECT_TRUE(tx.try_send(31));
            co_return;
        };
        co_await rt::join(loser(), sends());
        auto value = co_await rx.recv();
        EXPECT_EQ(value, 31);
    });
}

TEST_P(Channel, recv_many_appends_what_is_there_and_n_at_most_b48) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<int>(8);
        auto& rx = ends.second;
        std::optional<rt::sender<int>> tx(std::move(ends.first));
        std::vector<int> values{-1};
        EXPECT_EQ(co_await rx.recv_many(values, 0), 0u);  // at once, although nothing is there
        for (int i = 0; i < 5; ++i) EXPECT_TRUE(tx->try_send(i));
        EXPECT_EQ(co_await rx.recv_many(values, 3), 3u);
        EXPECT_EQ(values, (std::vector{-1, 0, 1, 2}));
        EXPECT_EQ(co_await rx.recv_many(values, 100), 2u);
        EXPECT_EQ(values, (std::vector{-1, 0, 1, 2, 3, 4}));
        auto sends = [&]() -> rt::task<> {
            EXPECT_TRUE(tx->try_send(5));
            tx.reset();
            co_return;
        };
        auto receives = [&]() -> rt::task<> { EXPECT_EQ(co_await rx.recv_many(values, 9), 1u); };
        co_await rt::join(receives(), sends());
        EXPECT_EQ(co_await rx.recv_many(values, 9), 0u);
        EXPECT_EQ(values, (std::vector{-1, 0, 1, 2, 3, 4, 5}));
    });
}

TEST_P(Channel, recv_many_wakes_as_many_senders_as_it_makes_room_for) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(2);
        int sent = 0;
        auto sends = [&, &tx = tx](int value) -> rt::task<> {
            (co_await tx.send(value)).value();
            ++sent;
        };
        auto receives = [&, &rx = rx]() -> rt::task<> {
            std::vector<int> values;
            EXPECT_EQ(co_await rx.recv_many(values, 9), 2u);
            co_await rt::yield_now();
            EXPECT_EQ(sent, 4);
            EXPECT_EQ(co_await rx.recv_many(values, 9), 2u);
            EXPECT_EQ(values, (std::vector{1, 2, 3, 4}));
        };
        co_await rt::join(sends(1), sends(2), sends(3), sends(4), receives());
    });
}

TEST_P(Channel, or_return_of_a_refused_send_or_reserve_ends_the_coroutine) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::string>(1);
        auto uses = [&, &tx = tx]() -> rt::io_task<> {
            std::string copied = "copied";
            auto permit = co_await tx.reserve().or_return();
            (void)permit.send(copied);
            co_await tx.send(std::move(copied)).or_return();
            co_return {};
        };
        auto copies = [&, &tx = tx]() -> rt::io_task<> {
            std::string copied = "copied";
            co_await tx.send(copied).or_return();
            co_return {};
        };
        auto receives = [&, &rx = rx]() -> rt::task<> {
            EXPECT_EQ(co_await rx.recv(), "copied");
            EXPECT_EQ(co_await rx.recv(), "copied");
            EXPECT_EQ(co_await rx.recv(), "copied");
            rx.close();
        };
        auto [used, copied, done] = co_await rt::join(uses(), copies(), receives());
        EXPECT_TRUE(used);
        EXPECT_TRUE(copied);
        EXPECT_EQ((co_await uses()).error(), rt::errc::closed);
        EXPECT_EQ((co_await copies()).error(), rt::errc::closed);
    });
}

}  // namespace
