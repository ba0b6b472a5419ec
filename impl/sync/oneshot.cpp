module;
#include <atomic>
#include <mutex>
#include <source_location>
#include <utility>
module rt.sync;

namespace rt::detail {

/// Under the lock. Returns the receiver, claimed, if it waits.
arm* oneshot_core::settle_as(state final_state) noexcept {
    // Release: pairs with the acquire in ready() and sent().
    state_.store(final_state, std::memory_order_release);
    if (receiving_ == nullptr || !receiving_->claim()) return nullptr;
    return std::exchange(receiving_, nullptr);
}

bool oneshot_core::publish(std::source_location where) noexcept {
    arm* receiver = nullptr;
    {
        std::lock_guard guard(lock_);
        if (!watching_.empty())
            misuse("a oneshot_sender sends while a task waits with it for the receiver's end",
                   where);
        if (receiver_gone_) return false;
        receiver = settle_as(state::sent);
    }
    if (receiver != nullptr) receiver->complete();
    return true;
}

void oneshot_core::sender_leaves() noexcept {
    arm* receiver = nullptr;
    {
        std::lock_guard guard(lock_);
        if (!watching_.empty())
            misuse("a oneshot_sender is destroyed while a task waits with it",
                   watching_.first()->waits_at());
        receiver = settle_as(state::over);
    }
    if (receiver != nullptr) receiver->complete();
}

bool oneshot_core::closed() noexcept {
    std::lock_guard guard(lock_);
    return receiver_gone_;
}

bool oneshot_core::closed_or_wait(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    if (receiver_gone_) return true;
    watching_.push(watcher);
    return false;
}

bool oneshot_core::forget_watcher(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    return watching_.remove(watcher);
}

bool oneshot_core::ready_or_wait(arm& receiver, std::source_location where) noexcept {
    std::lock_guard guard(lock_);
    if (ready()) return true;
    if (receiving_ != nullptr)
        misuse("two receives at once on one oneshot_receiver", receiver.waits_at(where));
    receiving_ = &receiver;
    return false;
}

bool oneshot_core::forget_receiver(arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    if (receiving_ != &receiver) return false;
    receiving_ = nullptr;
    return true;
}

void oneshot_core::receiver_leaves() noexcept {
    claimed_arms told;
    {
        std::lock_guard guard(lock_);
        if (receiving_ != nullptr)
            misuse("a oneshot_receiver is destroyed while a task waits with it",
                   receiving_->waits_at());
        receiver_gone_ = true;
        told.add_all(watching_);
    }
    told.complete();
}

}  // namespace rt::detail
