// How a channel ends, from either side: nobody hangs, and nothing is lost or destroyed twice.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/run.hpp"
import rt;

namespace {

class ChannelEnd : public EveryRuntime {};
EVERY_RUNTIME(ChannelEnd);

TEST_P(ChannelEnd, the_end_comes_after_the_values_when_the_last_sender_goes_b46) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<int>(4);
        std::optional<rt::sender<int>> first(std::move(ends.first)), second(first);
        std::vector<int> got;
        bool ended = false;
        auto receives = [&]() -> rt::task<> {
            while (auto value = co_await ends.second.recv()) got.push_back(*value);
            ended = true;
        };
        auto drops = [&]() -> rt::task<> {
            first.reset();
            co_await rt::yield_now();
            EXPECT_FALSE(ended);
            EXPECT_TRUE(second->try_send(7));
            second.reset();
        };
        co_await rt::join(receives(), drops());
        EXPECT_EQ(got, std::vector{7});
        EXPECT_TRUE(ended);
        EXPECT_FALSE(co_await ends.second.recv());
    });
}

TEST_P(ChannelEnd, a_closed_receiver_still_drains_reserved_permits_included_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(3);
        (co_await tx.send(1)).value();
        auto permit = (co_await tx.reserve()).value();
        auto unused = std::make_optional((co_await tx.reserve()).value());
        rt::result<void> refused;
        auto waits = [&, &tx = tx]() -> rt::task<> { refused = co_await tx.send(4); };
        std::vector<int> got;
        auto drains = [&, &rx = rx]() -> rt::task<> {
            rx.close();
            while (auto value = co_await rx.recv()) got.push_back(*value);
        };
        auto uses = [&, &tx = tx]() -> rt::task<> {
            EXPECT_EQ((co_await tx.reserve()).error(), rt::errc::closed);
            co_await rt::yield_now();
            EXPECT_TRUE(permit.send(2));
            co_await rt::yield_now();
            EXPECT_EQ(got, (std::vector{1, 2}));
            unused.reset();
        };
        co_await rt::join(waits(), drains(), uses());
        EXPECT_EQ(got, (std::vector{1, 2}));
        EXPECT_EQ(refused.error(), rt::errc::closed);
    });
}

TEST_P(ChannelEnd, a_permit_holds_the_channel_open_and_dropping_the_last_one_ends_it_b46_b47) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<int>(1);
        std::optional<rt::sender<int>> tx(std::move(ends.first));
        auto permit = std::make_optional((co_await tx->reserve()).value());
        tx.reset();
        bool ended = false;
        auto receives = [&]() -> rt::task<> { ended = !co_await ends.second.recv(); };
        auto drops = [&]() -> rt::task<> {
            co_await rt::yield_now();
            EXPECT_FALSE(ended);
            permit.reset();
        };
        co_await rt::join(receives(), drops());
        EXPECT_TRUE(ended);
    });
}

TEST(ChannelEndAlone, a_permit_of_a_destroyed_receiver_leaves_the_value_with_the_caller) {
    auto ends = rt::channel<std::string>(1);
    auto op = ends.first.reserve();
    EXPECT_TRUE(op.try_now());
    auto permit = op.await_resume().value();
    {
        auto dropped = std::move(ends.second);
    }
    std::string value = "kept";
    EXPECT_EQ(permit.send(std::move(value)).error(), rt::errc::closed);
    EXPECT_EQ(value, "kept");
}

TEST_P(ChannelEnd, a_closed_or_dropped_receiver_refuses_those_that_wait_and_tells_who_watches) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<std::string>(1);
        auto& tx = ends.first;
        std::optional<rt::receiver<std::string>> rx(std::move(ends.second));
        EXPECT_TRUE(tx.try_send("first"));
        std::string kept = "kept";
        bool refused = false, told = false;
        auto sends = [&]() -> rt::task<> {
            refused = (co_await tx.send(std::move(kept))).error() == rt::errc::closed;
        };
        auto watches = [&]() -> rt::task<> {
            co_await tx.closed();
            told = true;
        };
        auto drops = [&]() -> rt::task<> {
            rx.reset();
            co_return;
        };
        co_await rt::join(sends(), watches(), drops());
        EXPECT_TRUE(refused);
        EXPECT_TRUE(told);
        EXPECT_EQ(kept, "kept");
    });
}

struct sends_when_destroyed {
    std::shared_ptr<rt::sender<sends_when_destroyed>> tx;
    int* refused;
    sends_when_destroyed(std::shared_ptr<rt::sender<sends_when_destroyed>> to, int* count)
        : tx(std::move(to)), refused(count) {}
    sends_when_destroyed(sends_when_destroyed&& other) noexcept = default;
    ~sends_when_destroyed() {
        if (!tx) return;
        auto to = std::move(tx);
        if (to->try_send(sends_when_destroyed(nullptr, refused)).error() == rt::errc::closed)
            ++*refused;
    }
};

TEST(ChannelEndAlone, dropping_the_receiver_destroys_items_once_also_when_they_send_b49) {
    int refused = 0;
    auto ends = rt::channel<sends_when_destroyed>(4);
    auto tx = std::make_shared<rt::sender<sends_when_destroyed>>(std::move(ends.first));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(tx->try_send(sends_when_destroyed(tx, &refused)));
    {
        auto dropped = std::move(ends.second);
    }
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(tx.use_count(), 1);
}

struct throws_when_destroyed {
    int* destroyed;
    explicit throws_when_destroyed(int* count) noexcept : destroyed(count) {}
    throws_when_destroyed(throws_when_destroyed&& other) noexcept
        : destroyed(std::exchange(other.destroyed, nullptr)) {}
    ~throws_when_destroyed() noexcept(false) {
        if (destroyed == nullptr) return;
        ++*destroyed;
        throw std::string("thrown by a destructor");
    }
};

TEST(ChannelEndAlone, dropping_the_receiver_destroys_items_once_also_when_they_throw_b49) {
    int destroyed = 0;
    auto [tx, rx] = rt::channel<throws_when_destroyed>(4);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(tx.try_send(throws_when_destroyed(&destroyed)));
    {
        auto dropped = std::move(rx);
    }
    EXPECT_EQ(destroyed, 3);
}

TEST_P(ChannelEnd, a_consumer_that_ends_before_its_producer_does_not_hang_it) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto produces = [](rt::sender<int> tx) -> rt::task<int> {
            int sent = 0;
            while (co_await tx.send(sent)) ++sent;
            co_return sent;
        };
        auto producer = rt::spawn(produces, std::move(tx));
        {
            auto mine = std::move(rx);
            for (int i = 0; i < 10; ++i) EXPECT_EQ(co_await mine.recv(), i);
        }
        EXPECT_GE(co_await producer, 10);
    });
}

}  // namespace
