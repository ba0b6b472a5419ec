// Misuse stops the program, with its name and the place: locks and channels.
#include "misuse/helpers.hpp"

#include <memory>
#include <optional>

namespace {

class SyncMisuse : public Misuse {};

TEST_F(SyncMisuse, a_mutex_is_destroyed_while_it_is_locked) {
    EXPECT_MISUSE_IN_TASK("a mutex is destroyed while it is locked", run([]() -> rt::task<> {
                              auto mutex = std::make_unique<rt::mutex>();
                              auto guard = mutex->try_lock();
                              mutex.reset();
                              co_return;
                          }));
}

/// One waits, and then the other goes off.
template <class W, class F>
rt::task<> then(W waits, F f) {
    auto second = [](F& f) -> rt::task<> {
        f();
        co_return;
    };
    co_await rt::join(waits(), second(f));
}

TEST_F(SyncMisuse, a_mutex_is_destroyed_while_a_task_waits_for_it) {
    EXPECT_MISUSE("a mutex is destroyed while a task waits for it", run([]() -> rt::task<> {
                      auto mutex = std::make_unique<rt::mutex>();
                      auto guard = mutex->try_lock();
                      auto waits = [&]() -> rt::task<> { (void)co_await mutex->lock(); };
                      co_await then(waits, [&] { mutex.reset(); });
                  }));
}

TEST_F(SyncMisuse, a_semaphore_is_destroyed_while_a_task_waits_for_it) {
    EXPECT_MISUSE("a semaphore is destroyed while a task waits for it", run([]() -> rt::task<> {
                      auto places = std::make_unique<rt::semaphore>(1);
                      auto waits = [&]() -> rt::task<> { (void)co_await places->acquire(2); };
                      co_await then(waits, [&] { places.reset(); });
                  }));
}

TEST_F(SyncMisuse, a_notify_is_destroyed_while_a_select_waits_for_it) {
    EXPECT_MISUSE("a notify is destroyed while a task waits for it", run([]() -> rt::task<> {
                      auto bell = std::make_unique<rt::notify>();
                      auto waits = [&]() -> rt::task<> {
                          (void)co_await rt::timeout(1h, bell->wait());
                      };
                      co_await then(waits, [&] { bell.reset(); });
                  }));
}

TEST_F(SyncMisuse, a_semaphore_has_more_permits_than_can_be_counted) {
    EXPECT_MISUSE("a semaphore with more than semaphore::max() permits",
                  rt::semaphore(rt::semaphore::max() + 1));
    rt::semaphore one(1), other(1);
    EXPECT_MISUSE("a semaphore gets more than semaphore::max() permits",
                  one.release(rt::semaphore::max()));
    EXPECT_MISUSE("more permits are asked for than a semaphore can have", run([&]() -> rt::task<> {
                      (void)co_await one.acquire(rt::semaphore::max() + 1);
                  }));
    EXPECT_MISUSE("permits of two semaphores are merged",
                  one.try_acquire().value().merge(other.try_acquire().value()));
}

TEST_F(SyncMisuse, a_capacity_of_0) {
    EXPECT_MISUSE("a channel with capacity 0: 1 is the smallest", (void)rt::channel<int>(0));
    EXPECT_MISUSE("a broadcast with capacity 0: 1 is the smallest", (void)rt::broadcast<int>(0));
}

constexpr auto moved_sender = "a sender that was moved from is used";
constexpr auto moved_receiver = "a receiver that was moved from is used";

TEST_F(SyncMisuse, a_sender_that_was_moved_from_is_used) {
    auto [tx, rx] = rt::channel<int>(1);
    auto moved = std::move(tx);
    EXPECT_MISUSE(moved_sender, (void)tx.send(1));
    EXPECT_MISUSE(moved_sender, (void)tx.try_send(1));
    EXPECT_MISUSE(moved_sender, (void)tx.reserve());
    EXPECT_MISUSE(moved_sender, (void)tx.closed());
    EXPECT_MISUSE(moved_sender, (void)tx.is_closed());
    EXPECT_MISUSE(moved_sender, (void)tx.capacity());
    EXPECT_MISUSE(moved_sender, (void)tx.downgrade());
}

TEST_F(SyncMisuse, an_unbounded_sender_that_was_moved_from_is_used) {
    auto [tx, rx] = rt::unbounded_channel<int>();
    auto moved = std::move(tx);
    const int value = 1;
    EXPECT_MISUSE(moved_sender, (void)tx.send(1));
    EXPECT_MISUSE(moved_sender, (void)tx.send(value));
    EXPECT_MISUSE(moved_sender, (void)tx.downgrade());
}

TEST_F(SyncMisuse, a_receiver_that_was_moved_from_is_used) {
    auto [tx, rx] = rt::channel<int>(1);
    auto moved = std::move(rx);
    std::vector<int> values;
    EXPECT_MISUSE(moved_receiver, (void)rx.recv());
    EXPECT_MISUSE(moved_receiver, (void)rx.next());
    EXPECT_MISUSE(moved_receiver, (void)rx.try_recv());
    EXPECT_MISUSE(moved_receiver, (void)rx.recv_many(values, 1));
    EXPECT_MISUSE(moved_receiver, (void)rx.blocking_recv());
    EXPECT_MISUSE(moved_receiver, rx.close());
}

TEST_F(SyncMisuse, a_broadcast_end_that_was_moved_from_is_used) {
    auto [tx, rx] = rt::broadcast<int>(1);
    auto moved = std::move(tx);
    auto moved_rx = std::move(rx);
    EXPECT_MISUSE(moved_sender, (void)tx.send(1));
    EXPECT_MISUSE(moved_sender, (void)tx.subscribe());
    EXPECT_MISUSE(moved_sender, (void)tx.receivers());
    EXPECT_MISUSE(moved_receiver, (void)rx.try_recv());
    EXPECT_MISUSE(moved_receiver, (void)rx.resubscribe());
    EXPECT_MISUSE(moved_receiver, run([&rx = rx]() -> rt::task<> { (void)co_await rx.recv(); }));
}

TEST_F(SyncMisuse, a_watch_end_that_was_moved_from_is_used) {
    auto [tx, rx] = rt::watch(1);
    auto moved = std::move(tx);
    auto moved_rx = std::move(rx);
    EXPECT_MISUSE(moved_sender, (void)tx.send(1));
    EXPECT_MISUSE(moved_sender, tx.modify([](int& n) { ++n; }));
    EXPECT_MISUSE(moved_sender, (void)tx.get());
    EXPECT_MISUSE(moved_sender, (void)tx.subscribe());
    EXPECT_MISUSE(moved_sender, (void)tx.closed());
    EXPECT_MISUSE(moved_sender, (void)tx.is_closed());
    EXPECT_MISUSE(moved_receiver, (void)rx.get());
    EXPECT_MISUSE(moved_receiver, (void)rx.get_and_see());
    EXPECT_MISUSE(moved_receiver, (void)rx.has_changed());
    EXPECT_MISUSE(moved_receiver, rx.mark_seen());
    EXPECT_MISUSE(moved_receiver, (void)rx.is_closed());
    EXPECT_MISUSE(moved_receiver, run([&rx = rx]() -> rt::task<> { (void)co_await rx.next(); }));
    EXPECT_MISUSE(moved_receiver, run([&rx = rx]() -> rt::task<> {
                      (void)co_await rx.wait_for([](int) { return true; });
                  }));
}

TEST_F(SyncMisuse, a_permit_is_used_twice) {
    EXPECT_MISUSE("a permit is used twice", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      auto permit = (co_await tx.reserve()).value();
                      (void)permit.send(1);
                      (void)permit.send(2);
                  }));
}

TEST_F(SyncMisuse, two_receives_at_once) {
    EXPECT_MISUSE("two receives at once on one receiver", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      co_await rt::join(rx.recv(), rx.recv());
                  }));
    EXPECT_MISUSE("two receives at once on one receiver", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      std::vector<int> values;
                      co_await rt::join(rx.recv_many(values, 1), rx.recv_many(values, 1));
                  }));
    EXPECT_MISUSE("two receives at once on one oneshot_receiver", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::oneshot<int>();
                      co_await rt::join(rx.recv(), rx.recv());
                  }));
}

TEST_F(SyncMisuse, the_last_sender_goes_while_a_task_waits_with_it) {
    constexpr auto what = "a channel's last sender is destroyed while a task waits with it";
    EXPECT_MISUSE(what, run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      std::optional sends(std::move(tx));
                      (void)sends->try_send(1);
                      auto waits = [&]() -> rt::task<> { (void)co_await sends->send(2); };
                      co_await then(waits, [&] { sends.reset(); });
                  }));
    EXPECT_MISUSE(what, run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      std::optional sends(std::move(tx));
                      auto waits = [&]() -> rt::task<> { co_await sends->closed(); };
                      co_await then(waits, [&] { sends.reset(); });
                  }));
}

TEST_F(SyncMisuse, a_receiver_goes_while_a_task_waits_with_it) {
    EXPECT_MISUSE("a receiver is destroyed while a task waits with it", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      std::optional receives(std::move(rx));
                      auto waits = [&]() -> rt::task<> { (void)co_await receives->recv(); };
                      co_await then(waits, [&] { receives.reset(); });
                  }));
    EXPECT_MISUSE("a oneshot_receiver is destroyed while a task waits with it",
                  run([]() -> rt::task<> {
                      auto [tx, rx] = rt::oneshot<int>();
                      std::optional receives(std::move(rx));
                      auto waits = [&]() -> rt::task<> { (void)co_await receives->recv(); };
                      co_await then(waits, [&] { receives.reset(); });
                  }));
}

TEST_F(SyncMisuse, a_oneshot_end_is_used_that_has_nothing_left) {
    auto [tx, rx] = rt::oneshot<int>();
    (void)tx.send(1);
    auto moved = std::move(rx);
    constexpr auto spent = "a oneshot_sender that has sent or was moved from is used";
    EXPECT_MISUSE(spent, (void)tx.send(2));
    EXPECT_MISUSE(spent, (void)tx.closed());
    EXPECT_MISUSE(spent, (void)tx.is_closed());
    EXPECT_MISUSE("a oneshot_receiver that was moved from is used", (void)rx.recv());
    EXPECT_MISUSE("a oneshot_receiver that was moved from is used", (void)rx.try_recv());
}

TEST_F(SyncMisuse, a_oneshot_sender_sends_or_goes_while_a_task_waits_with_it) {
    EXPECT_MISUSE("a oneshot_sender sends while a task waits with it for the receiver's end",
                  run([]() -> rt::task<> {
                      auto [tx, rx] = rt::oneshot<int>();
                      auto waits = [&tx = tx]() -> rt::task<> { co_await tx.closed(); };
                      co_await then(waits, [&tx = tx] { (void)tx.send(1); });
                  }));
    EXPECT_MISUSE("a oneshot_sender is destroyed while a task waits with it",
                  run([]() -> rt::task<> {
                      auto [tx, rx] = rt::oneshot<int>();
                      std::optional sends(std::move(tx));
                      auto waits = [&]() -> rt::task<> { co_await sends->closed(); };
                      co_await then(waits, [&] { sends.reset(); });
                  }));
}

}  // namespace
