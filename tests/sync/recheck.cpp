// What comes while a select tries its arms, and therefore cannot claim it, is found before the
// select sleeps.
//
// A door is an arm of the kind that sockets have: it only wakes the select, which then tries for
// itself. Here the try is the moment in which the test gives the other arm what it waits for.
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>

#include "support/run.hpp"
import rt;

namespace {

class Recheck : public EveryRuntime {};
EVERY_RUNTIME(Recheck);

class door {
public:
    class op : public rt::detail::leaf_op<op> {
    public:
        using lossless = void;
        explicit op(door& owner) : owner_(&owner) {}
        op(op&&) noexcept = default;
        bool try_now() {
            if (auto act = std::exchange(owner_->on_try_, nullptr)) act();
            return false;
        }
        bool enlist() {
            owner_->waiting_ = this;
            return false;
        }
        bool delist() { return std::exchange(owner_->waiting_, nullptr) == this; }
        void await_resume() const {}
        const char* what() const noexcept { return "a door"; }
        std::source_location where() const noexcept { return {}; }

    private:
        door* owner_;
    };

    op knock() { return op(*this); }
    /// Wakes the select, and does this while it tries.
    void open(std::function<void()> on_try) {
        on_try_ = std::move(on_try);
        if (waiting_->claim_to_try()) waiting_->complete();
    }

private:
    std::function<void()> on_try_;
    op* waiting_ = nullptr;
};

template <class Waits>
rt::task<> wins_by_trying_again(Waits waits, std::function<void()> gives) {
    door d;
    std::size_t winner = 99;
    auto selects = [&]() -> rt::task<> {
        auto first = co_await rt::select(rt::biased, waits(), d.knock());
        winner = first.index();
    };
    auto opens = [&]() -> rt::task<> {
        d.open(gives);
        co_return;
    };
    co_await rt::join(selects(), opens());
    EXPECT_EQ(winner, 0u);
}

TEST_P(Recheck, a_lock_that_is_passed_on_b31_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        auto held = co_await mutex.lock();
        co_await wins_by_trying_again([&] { return mutex.lock(); }, [&] { held.unlock(); });
        EXPECT_TRUE(mutex.try_lock());
    });
}

TEST_P(Recheck, a_notification_of_one_b31_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        co_await wins_by_trying_again([&] { return bell.wait(); }, [&] { bell.notify_one(); });
        EXPECT_FALSE(bell.wait().try_now());
    });
}

TEST_P(Recheck, a_notification_of_all_b31_b43) {
    run([&]() -> rt::task<> {
        rt::notify bell;
        co_await wins_by_trying_again([&] { return bell.wait(); }, [&] { bell.notify_all(); });
        EXPECT_FALSE(bell.wait().try_now());
    });
}

TEST_P(Recheck, a_value_and_the_end_of_a_channel_b31_b46) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<int>(1);
        auto& rx = ends.second;
        std::optional<rt::sender<int>> tx(std::move(ends.first));
        auto receives = [&] { return rx.recv(); };
        co_await wins_by_trying_again(receives, [&] { EXPECT_TRUE(tx->try_send(1)); });
        co_await wins_by_trying_again(receives, [&] { tx.reset(); });
    });
}

TEST_P(Recheck, a_place_in_a_channel_and_its_closing_b31_b46) {
    run([&]() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        int value = 1;
        auto sends = [&, &tx = tx] { return tx.send(value); };
        auto frees = [&, &rx = rx] { EXPECT_TRUE(rx.try_recv()); };
        EXPECT_TRUE(tx.try_send(0));
        co_await wins_by_trying_again(sends, frees);
        auto reserves = [&, &tx = tx] { return tx.reserve(); };
        co_await wins_by_trying_again(reserves, frees);  // the permit is dropped at once
        EXPECT_TRUE(tx.try_send(0));
        auto closes = [&, &rx = rx] { rx.close(); };
        co_await wins_by_trying_again(sends, closes);
    });
}

TEST_P(Recheck, the_news_that_a_receiver_is_gone_b31) {
    run([&]() -> rt::task<> {
        auto ends = rt::channel<int>(1);
        std::optional<rt::receiver<int>> rx(std::move(ends.second));
        co_await wins_by_trying_again([&] { return ends.first.closed(); }, [&] { rx.reset(); });
        auto once = rt::oneshot<int>();
        std::optional<rt::oneshot_receiver<int>> answer(std::move(once.second));
        co_await wins_by_trying_again([&] { return once.first.closed(); }, [&] { answer.reset(); });
    });
}

TEST_P(Recheck, a_oneshot_value_and_its_end_b31_b51) {
    run([&]() -> rt::task<> {
        auto once = rt::oneshot<int>();
        auto receives = [&] { return once.second.recv(); };
        co_await wins_by_trying_again(receives, [&] { EXPECT_FALSE(once.first.send(1)); });
        auto never = rt::oneshot<int>();
        std::optional<rt::oneshot_sender<int>> tx(std::move(never.first));
        auto ends = [&] { return never.second.recv(); };
        co_await wins_by_trying_again(ends, [&] { tx.reset(); });
    });
}

TEST_P(Recheck, who_waits_behind_a_select_that_is_trying_is_served_first_b31_b40) {
    run([&]() -> rt::task<> {
        rt::mutex mutex;
        door d;
        bool selected = false, next = false;
        auto held = co_await mutex.lock();
        auto selects = [&]() -> rt::task<> {
            auto first = co_await rt::select(rt::biased, mutex.lock(), d.knock());
            EXPECT_EQ(first.index(), 0u);
            EXPECT_TRUE(next);
            selected = true;
        };
        auto waits = [&]() -> rt::task<> {
            auto guard = co_await mutex.lock();
            EXPECT_FALSE(selected);
            next = true;
        };
        auto opens = [&]() -> rt::task<> {
            d.open([&] { held.unlock(); });
            co_return;
        };
        co_await rt::join(selects(), waits(), opens());
        EXPECT_TRUE(selected);
        EXPECT_TRUE(mutex.try_lock());
    });
}

// A canceller that comes after the grant and before the completion: it must not withdraw what was
// granted.
template <class Op>
void is_not_withdrawn_after(Op op, std::function<void()> gives) {
    rt::environment scope;
    rt::detail::commit_word word;
    op.bind(&scope);
    op.join_select(op, word, 0);
    EXPECT_TRUE(!op.try_now() && !op.enlist());
    gives();
    EXPECT_EQ(word.winner(), 0);
    EXPECT_FALSE(op.delist());
}

TEST(Granted, an_operation_cannot_be_withdrawn_any_more_b31_b40) {
    rt::mutex mutex;
    auto held = mutex.try_lock();
    is_not_withdrawn_after(mutex.lock(), [&] { held.reset(); });
    rt::notify bell, all;
    is_not_withdrawn_after(bell.wait(), [&] { bell.notify_one(); });
    is_not_withdrawn_after(all.wait(), [&] { all.notify_all(); });
    auto [tx, rx] = rt::channel<int>(1);
    int value = 1;
    is_not_withdrawn_after(rx.recv(), [&, &tx = tx] { EXPECT_TRUE(tx.try_send(value)); });
    is_not_withdrawn_after(tx.send(value), [&, &rx = rx] { EXPECT_TRUE(rx.try_recv()); });
    is_not_withdrawn_after(tx.closed(), [&, &rx = rx] { rx.close(); });
    auto [answer, question] = rt::oneshot<int>();
    is_not_withdrawn_after(question.recv(),
                           [&, &answer = answer] { EXPECT_FALSE(answer.send(value)); });
}

}  // namespace
