// rt::oneshot: one value, or the news that none will come.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "support/run.hpp"
import rt;

namespace {

class Oneshot : public EveryRuntime {};
EVERY_RUNTIME(Oneshot);

TEST_P(Oneshot, a_value_that_was_sent_before_is_there_at_once) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::oneshot<std::unique_ptr<int>>();
        EXPECT_FALSE(tx.send(std::make_unique<int>(7)));
        auto value = co_await rx.recv();
        EXPECT_TRUE(value);
        EXPECT_EQ(**value, 7);
        EXPECT_FALSE(co_await rx.recv());  // it was received before
    });
}

TEST_P(Oneshot, a_receiver_that_waits_is_woken_by_the_value) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::oneshot<int>();
        std::optional<int> got;
        auto waits = [&, &rx = rx]() -> rt::task<> { got = co_await rx.recv(); };
        auto sends = [&, &tx = tx]() -> rt::task<> {
            EXPECT_FALSE(tx.send(51));
            co_return;
        };
        co_await rt::join(waits(), sends());
        EXPECT_EQ(got, 51);
    });
}

TEST_P(Oneshot, a_dropped_sender_ends_the_receiver_b51) {
    run([&]() -> rt::task<> {
        auto ends = rt::oneshot<int>();
        auto tx = std::make_optional(std::move(ends.first));
        auto rx = std::move(ends.second);
        bool ended = false;
        auto waits = [&]() -> rt::task<> { ended = !co_await rx.recv(); };
        auto drops = [&]() -> rt::task<> {
            tx.reset();
            co_return;
        };
        co_await rt::join(waits(), drops());
        EXPECT_TRUE(ended);
        EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
    });
}

TEST(OneshotAlone, send_returns_the_value_when_the_receiver_is_gone_b51) {
    auto [tx, rx] = rt::oneshot<std::string>();
    EXPECT_FALSE(tx.is_closed());
    {
        auto dropped = std::move(rx);
    }
    EXPECT_TRUE(tx.is_closed());
    EXPECT_EQ(tx.send("unwanted"), "unwanted");
}

TEST(OneshotAlone, try_recv_tells_not_yet_from_never) {
    auto [tx, rx] = rt::oneshot<int>();
    EXPECT_EQ(rx.try_recv().error(), std::errc::operation_would_block);
    EXPECT_FALSE(tx.send(3));
    EXPECT_EQ(rx.try_recv().value(), 3);
    EXPECT_EQ(rx.try_recv().error(), rt::errc::closed);
}

TEST(OneshotAlone, a_value_that_nobody_receives_is_destroyed_once) {
    auto value = std::make_shared<int>(1);
    {
        auto [tx, rx] = rt::oneshot<std::shared_ptr<int>>();
        EXPECT_FALSE(tx.send(value));
        EXPECT_EQ(value.use_count(), 2);
        {
            auto dropped = std::move(rx);
        }
        EXPECT_EQ(value.use_count(), 1);
    }
    EXPECT_EQ(value.use_count(), 1);
}

TEST(OneshotAlone, sending_twice_stops_the_program) {
    auto send_twice = [] {
        auto [tx, rx] = rt::oneshot<int>();
        (void)tx.send(1);
        (void)tx.send(2);
    };
    EXPECT_DEATH(send_twice(), "misuse: a oneshot_sender that has sent.*oneshot.cpp");
}

TEST_P(Oneshot, closed_tells_the_sender_that_nobody_wants_the_value) {
    run([&]() -> rt::task<> {
        auto ends = rt::oneshot<int>();
        auto rx = std::make_optional(std::move(ends.second));
        bool told = false;
        auto watches = [&, &tx = ends.first]() -> rt::task<> {
            co_await tx.closed();
            told = true;
        };
        auto drops = [&]() -> rt::task<> {
            EXPECT_FALSE(told);
            rx.reset();
            co_return;
        };
        co_await rt::join(watches(), drops());
        EXPECT_TRUE(told);
    });
}

TEST_P(Oneshot, a_receive_that_loses_a_select_leaves_the_value_b31) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::oneshot<int>();
        rt::notify other;
        auto loser = [&, &rx = rx]() -> rt::task<> {
            auto first = co_await rt::select(rx.recv(), other.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto sends = [&, &tx = tx]() -> rt::task<> {
            other.notify_one();
            EXPECT_FALSE(tx.send(31));
            co_return;
        };
        co_await rt::join(loser(), sends());
        auto value = co_await rx.recv();
        EXPECT_EQ(value, 31);
    });
}

/// On all workers in turn: in thread per core, spawn would stay on one.
template <class T>
rt::join_handle<T> spawn_across(std::size_t i, rt::task<T> body) {
    auto workers = rt::current_executor()->worker_count();
    return rt::spawn_on(static_cast<unsigned>(i % workers), std::move(body));
}

struct count_deleted {
    std::atomic<long>* sum;
    void operator()(int* value) const {
        sum->fetch_add(*value);
        delete value;
    }
};
using counted = std::unique_ptr<int, count_deleted>;

// A receiver that is stopped may drop a value that it has not looked at; but nobody else does.
TEST_P(Oneshot, every_value_is_received_or_comes_back_under_random_stops_b51_b54) {
    run([&]() -> rt::task<> {
        std::mt19937 random(51);
        long sent = 0, received = 0, back = 0;
        std::atomic<long> deleted{0};
        for (int i = 0; i < 2000; ++i) {
            auto [tx, rx] = rt::oneshot<counted>();
            auto answers = [](rt::oneshot_sender<counted> tx, counted value) -> rt::task<bool> {
                if (*value % 3 == 0) co_await rt::yield_now();
                co_return tx.send(std::move(value)).has_value();
            };
            auto asks = [](rt::oneshot_receiver<counted> rx) -> rt::task<bool> {
                co_return (co_await rx.recv()).has_value();
            };
            int value = 1 + static_cast<int>(random() % 1000);
            auto answer =
                spawn_across(1, answers(std::move(tx), counted(new int(value), {&deleted})));
            auto question = spawn_across(random() % 4, asks(std::move(rx)));
            bool stop = random() % 2 == 0;
            if (stop) question.stop();
            sent += value;
            bool refused = co_await answer;
            auto outcome = co_await question.outcome();
            bool got = outcome.has_value() && outcome.value();
            EXPECT_TRUE(got || stop);
            EXPECT_FALSE(got && refused);
            (got ? received : back) += value;
            EXPECT_EQ(deleted.load(), received + back);
        }
        EXPECT_EQ(sent, received + back);
    });
}

}  // namespace
