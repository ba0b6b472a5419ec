module;
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <mutex>
#include <source_location>
#include <utility>
module rt.sync;

namespace rt::detail {

// --- Under the lock

bool channel_core::end_if_over() noexcept {
    if (!closed_ || reserved_ != 0) return false;
    // Release: pairs with the acquire in ended().
    ended_.store(true, std::memory_order_release);
    return true;
}

void channel_core::hand_out(std::size_t count, claimed_arms& granted) noexcept {
    for (; count != 0; --count) {
        auto* waiter = sending_.claim_first();
        if (waiter == nullptr) break;
        grant(request_of(*waiter), virtual_put());
        granted.add(*waiter);
    }
    free_ += count;
}

// --- Senders

void channel_core::drop_sender() noexcept {
    // Release and acquire: whoever is last sees the others' sends as done.
    if (senders_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    arm* receiver = nullptr;
    {
        std::lock_guard guard(lock_);
        if (auto* waiter = sending_.empty() ? watching_.first() : sending_.first())
            misuse("a channel's last sender is destroyed while a task waits with it",
                   waiter->waits_at());
        ended_.store(true, std::memory_order_release);
        receiver = claim_receiver();
    }
    if (receiver != nullptr) receiver->complete();
    release();
}

bool channel_core::add_sender_if_any() noexcept {
    auto seen = senders_.load(std::memory_order_relaxed);
    while (seen != 0) {
        if (senders_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
}

bool channel_core::admit_or_wait(space_request& request, arm& waiter) noexcept {
    arm* receiver = nullptr;
    {
        std::lock_guard guard(lock_);
        if (!admit_locked(request, virtual_put())) {
            sending_.push(waiter);
            return false;
        }
        if (request.value != nullptr) receiver = claim_receiver();
    }
    if (receiver != nullptr) receiver->complete();
    return true;
}

bool channel_core::forget_sender(arm& waiter) noexcept {
    std::lock_guard guard(lock_);
    return sending_.remove(waiter);
}

bool channel_core::deliver(void* value) noexcept {
    arm* receiver = nullptr;
    {
        std::lock_guard guard(lock_);
        --reserved_;
        if (receiver_gone_) return false;
        put_at_tail(value, virtual_put());
        end_if_over();
        receiver = claim_receiver();
    }
    if (receiver != nullptr) receiver->complete();
    return true;
}

void channel_core::give_back() noexcept {
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        --reserved_;
        hand_out(1, woken);  // perhaps to a waiting send, whose value is in the ring now
        if (end_if_over() || has_value()) {
            if (auto* receiver = claim_receiver()) woken.add(*receiver);
        }
    }
    woken.complete();
}

bool channel_core::closed() noexcept {
    std::lock_guard guard(lock_);
    return closed_;
}

bool channel_core::closed_or_wait(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    if (closed_) return true;
    watching_.push(watcher);
    return false;
}

bool channel_core::forget_watcher(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    return watching_.remove(watcher);
}

// --- The receiver

bool channel_core::ready_or_wait(arm& receiver, std::source_location where) noexcept {
    std::lock_guard guard(lock_);
    if (ready()) return true;
    if (receiving_ != nullptr)
        misuse("two receives at once on one receiver", receiver.waits_at(where));
    receiving_ = &receiver;
    return false;
}

bool channel_core::forget_receiver(arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    if (receiving_ != &receiver) return false;
    receiving_ = nullptr;
    return true;
}

void channel_core::popped_for_senders(std::size_t count,
                                      std::unique_lock<spin_lock> guard) noexcept {
    claimed_arms granted;
    hand_out(count, granted);
    guard.unlock();
    granted.complete();
}

void channel_core::close() noexcept {
    claimed_arms refused;
    {
        std::lock_guard guard(lock_);
        closed_ = true;
        while (auto* waiter = sending_.claim_first()) {
            request_of(*waiter).verdict = admission::closed;
            refused.add(*waiter);
        }
        refused.add_all(watching_);
        if (end_if_over()) {
            if (auto* receiver = claim_receiver()) refused.add(*receiver);
        }
    }
    refused.complete();
}

void channel_core::receiver_leaves() noexcept {
    {
        std::lock_guard guard(lock_);
        if (receiving_ != nullptr)
            misuse("a receiver is destroyed while a task waits with it", receiving_->waits_at());
        receiver_gone_ = true;
    }
    close();
}

void channel_core::release() noexcept {
    if (sides_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
}

void report_thrown_by_value(std::exception_ptr exception) noexcept {
    if (auto* exec = current_executor()) {
        unhandled_failure failure;
        failure.task_id = this_task::id();
        failure.task_name = this_task::name();
        failure.spawned_at = this_task::spawned_at();
        failure.exception = std::move(exception);
        exec->unhandled(failure);
    } else {
        std::fputs("rt: a value that was left in a channel threw from its destructor\n", stderr);
    }
}

}  // namespace rt::detail
