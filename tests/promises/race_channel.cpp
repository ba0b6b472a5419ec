// Channels: a value is received once, or still there; a message is sent, or still its sender's.
#include <memory>
#include <vector>

#include "promises/race.hpp"

namespace {

/// How a value comes out of the channel.
template <class Ends, class Waits>
struct recv_row : race::row {
    Ends ends = Ends();
    int sent = 0;
    std::vector<int> values;

    auto op() { return Waits()(*this); }
    void take(std::optional<int> value) { EXPECT_EQ(value, sent); }
    void take(rt::result<int> value) { EXPECT_EQ(value, rt::result<int>(sent)); }
    void take(std::optional<rt::result<int>> value) { take(*std::move(value)); }
    void take(std::size_t count) {
        EXPECT_EQ(count, 1u);
        EXPECT_EQ(values, std::vector{sent});
        values.clear();
    }
    void give() { ends.send(++sent); }
};
struct bounded {
    std::pair<rt::sender<int>, rt::receiver<int>> both = rt::channel<int>(2);
    void send(int value) { EXPECT_TRUE(both.first.try_send(value)); }
};
struct unbounded {
    std::pair<rt::unbounded_sender<int>, rt::receiver<int>> both = rt::unbounded_channel<int>();
    void send(int value) { EXPECT_TRUE(both.first.send(value)); }
};
struct broadcasting {
    std::pair<rt::broadcast_sender<int>, rt::broadcast_receiver<int>> both = rt::broadcast<int>(2);
    void send(int value) { EXPECT_TRUE(both.first.send(value)); }
};
/// The value comes by way of a permit, while its sender's count goes up and down.
struct by_permit {
    std::pair<rt::sender<int>, rt::receiver<int>> both = rt::channel<int>(1);
    void send(int value) {
        auto place = both.first.reserve();
        EXPECT_TRUE(place.try_now());
        EXPECT_TRUE(place.await_resume().value().send(value));
    }
};
using receives = decltype([](auto& row) { return row.ends.both.second.recv(); });
using receives_many =
    decltype([](auto& row) { return row.ends.both.second.recv_many(row.values, 3); });
using nexts = decltype([](auto& row) { return row.ends.both.second.next(); });

RACE(a_value_of_a_channel_b31_b46, "sync/channel_ops:recv_op", recv_row<bounded, receives>)
RACE(values_of_a_channel_b31_b48, "sync/channel_ops:recv_many_op", recv_row<bounded, receives_many>)
RACE(a_value_by_a_permit_b31_b46, "sync/channel_ops:recv_op", recv_row<by_permit, receives>)
RACE(a_value_of_an_unbounded_channel_b31_b46, "sync/channel_ops:recv_op",
     recv_row<unbounded, receives>)
RACE(a_value_of_a_broadcast_b31_b52, "sync/broadcast:broadcast_recv_op",
     recv_row<broadcasting, receives>)
RACE(a_next_value_of_a_broadcast_b31_b52, "sync/broadcast:broadcast_next_op",
     recv_row<broadcasting, nexts>)

/// The channel is full, and the unit is a place in it.
struct place_row : race::row {
    static constexpr bool shared = true;
    std::pair<rt::sender<int>, rt::receiver<int>> ends = rt::channel<int>(1);

    place_row() { EXPECT_TRUE(ends.first.try_send(1)); }
    rt::task<> reset() {
        EXPECT_FALSE(ends.first.try_send(2)) << "a send has won, and its value is not there";
        co_return;
    }
    void give() { EXPECT_EQ(ends.second.try_recv(), rt::result<int>(1)); }
};
struct send_row : place_row {
    static constexpr int one = 1;  // a copy is made of what has a name
    auto op() { return ends.first.send(one); }
    void take(rt::result<> sent) { EXPECT_TRUE(sent); }
};
RACE(a_place_for_a_copy_b31_b46, "sync/channel_ops:send_copy_op", send_row)

struct reserve_row : place_row {
    auto op() { return ends.first.reserve(); }
    void take(rt::result<rt::permit<int>> place) { EXPECT_TRUE(place.value().send(1)); }
};
RACE(a_reserved_place_b31_b46, "sync/channel_ops:reserve_op", reserve_row)

/// The message is its sender's until it is in the channel; they come in order, each once.
struct send_message_row : race::row {
    using message = std::unique_ptr<int>;
    std::pair<rt::sender<message>, rt::receiver<message>> ends = rt::channel<message>(1);
    message mine;
    int made = 0, received = 0;

    rt::task<> reset() {
        if (made == 0) EXPECT_TRUE(ends.first.try_send(std::make_unique<int>(++made)));
        mine = std::make_unique<int>(++made);
        co_return;
    }
    auto op() {
        EXPECT_TRUE(mine) << "it was withdrawn, and has taken the message";
        return ends.first.send(std::move(mine));
    }
    void take(rt::result<> sent) {
        EXPECT_TRUE(sent);
        EXPECT_FALSE(mine);
    }
    void give() { EXPECT_EQ(*ends.second.try_recv().value(), ++received); }
};
RACE(a_message_is_sent_or_still_its_senders_b31_b46, "sync/channel_ops:send_op", send_message_row)

}  // namespace
