// Locks, permits and bells, and who waits behind the one that is withdrawn.
#include "promises/race.hpp"

namespace {

struct lock_row : race::row {
    static constexpr bool shared = true;
    rt::mutex mutex;
    rt::mutex_guard held = *mutex.try_lock();

    auto op() { return mutex.lock(); }
    void take(rt::mutex_guard turn) { held = std::move(turn); }
    void give() { rt::mutex_guard(std::move(held)).unlock(); }
};
RACE(a_lock_is_passed_on_b31_b40, "sync/mutex:lock_op", lock_row)

struct permit_row : race::row {
    static constexpr bool shared = true;
    rt::semaphore permits{0};

    auto op() { return permits.acquire(); }
    void take(rt::result<rt::semaphore_permit> one) {
        EXPECT_EQ(one->count(), 1u);
        one->forget();
    }
    void give() { permits.release(); }
};
RACE(a_permit_goes_to_one_b31_b42, "sync/semaphore:acquire_op", permit_row)

/// One permit is free, and three are asked for. Behind waits who wants that one.
struct large_request_row : race::row {
    static constexpr bool aside = true;
    rt::semaphore permits{3};
    rt::semaphore_permit held;

    rt::task<> reset() {
        EXPECT_EQ(permits.available(), 3u);
        held = permits.try_acquire(2).value();
        co_return;
    }
    auto op() { return permits.acquire(3); }
    auto behind() { return permits.acquire(1); }
    void take(rt::result<rt::semaphore_permit> all) { EXPECT_EQ(all->count(), 3u); }
    void give() { held.release(); }
};
RACE(a_large_request_that_goes_serves_those_behind_b31_b42, "sync/semaphore:acquire_op",
     large_request_row)

struct one_notification_row : race::row {
    static constexpr bool shared = true;
    rt::notify bell;

    auto op() { return bell.wait(); }
    void take() {}
    void give() { bell.notify_one(); }
};
RACE(a_notification_of_one_is_handed_on_b31_b43, "sync/notify:notified_op", one_notification_row)

/// Whoever waits gets it; a witness does, always.
struct all_notified_row : race::row {
    static constexpr bool late = true;
    rt::notify bell;
    struct witness_op final : decltype(bell.wait()){
        explicit witness_op(rt::notify & bell) : decltype(bell.wait())(bell.wait()){}
    };
    std::optional<witness_op> witness;

    rt::task<> reset() {
        witness.emplace(bell);
        co_return;
    }
    auto op() { return bell.wait(); }
    void take() {}
    void give() { bell.notify_all(); }
    rt::task<> rest() { co_await *std::move(witness); }
};
RACE(a_notification_of_all_misses_nobody_b31_b43, "sync/notify:notified_op", all_notified_row)

struct oneshot_row : race::row {
    std::optional<rt::oneshot_sender<int>> tx;
    std::optional<rt::oneshot_receiver<int>> rx;
    int sent = 0;

    rt::task<> reset() {
        auto [t, r] = rt::oneshot<int>();
        tx.emplace(std::move(t));
        rx.emplace(std::move(r));
        co_return;
    }
    auto op() { return rx->recv(); }
    void take(std::optional<int> value) { EXPECT_EQ(value, sent); }
    void give() { EXPECT_FALSE(tx->send(++sent)); }
};
RACE(the_value_of_a_oneshot_b31_b51, "sync/oneshot:oneshot_op", oneshot_row)

/// A sender learns that its receiver is gone.
template <auto Make>
struct closed_row : race::row {
    using ends = decltype(Make());
    std::optional<typename ends::first_type> tx;
    std::optional<typename ends::second_type> rx;

    rt::task<> reset() {
        auto both = Make();
        tx.emplace(std::move(both.first));
        rx.emplace(std::move(both.second));
        co_return;
    }
    auto op() { return tx->closed(); }
    void take() {}
    void give() { rx.reset(); }
};
RACE(the_end_of_a_channels_receiver_b31, "sync/channel_ops:closed_op",
     closed_row<[] { return rt::channel<int>(1); }>)
RACE(the_end_of_a_oneshots_receiver_b31, "sync/channel_ops:closed_op",
     closed_row<[] { return rt::oneshot<int>(); }>)
RACE(the_end_of_a_watchs_receivers_b31, "sync/channel_ops:closed_op",
     closed_row<[] { return rt::watch(0); }>)

/// The value of a watch counts up; each change is seen once.
template <class Waits>
struct watch_row : race::row {
    std::pair<rt::watch_sender<int>, rt::watch_receiver<int>> ends = rt::watch(0);
    int sent = 0;

    auto op() { return Waits()(ends.second); }
    void take(rt::result<> changed) {
        EXPECT_TRUE(changed);
        EXPECT_EQ(ends.second.get(), sent);
    }
    void take(std::optional<int> value) { EXPECT_EQ(value, sent); }
    void give() { EXPECT_TRUE(ends.first.send(++sent)); }
};
RACE(a_change_of_a_watch_b31_b53, "sync/watch:changed_op",
     watch_row<decltype([](auto& rx) { return rx.changed(); })>)
RACE(a_changed_value_of_a_watch_b31_b53, "sync/watch:watch_next_op",
     watch_row<decltype([](auto& rx) { return rx.next(); })>)

struct wait_for_row : race::row {
    std::pair<rt::watch_sender<int>, rt::watch_receiver<int>> ends = rt::watch(0);
    int sent = 0, expected = 0;

    rt::task<> reset() {
        expected = sent + 2;
        co_return;
    }
    rt::task<> act() {
        auto value = co_await ends.second.wait_for([this](int v) { return v == expected; });
        EXPECT_EQ(value.value(), expected);
    }
    void give() {
        EXPECT_TRUE(ends.first.send(++sent));
        EXPECT_TRUE(ends.first.send(++sent));
    }
};
RACE(a_value_of_a_watch_that_was_waited_for_b53, "sync/watch:wait_for", wait_for_row)

}  // namespace
