module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
module rt.sync;

namespace rt::detail {

void sequence_core::drop_sender() noexcept {
    // Release and acquire: whoever is last sees the others' sends as done.
    if (senders_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        ended_.store(true, std::memory_order_release);
        woken.add_all(waiting_);
    }
    woken.complete();
}

std::uint64_t sequence_core::add_receiver() noexcept {
    std::lock_guard guard(lock_);
    ++receivers_;
    return count_.load(std::memory_order_relaxed);
}

void sequence_core::drop_receiver() noexcept {
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        if (--receivers_ == 0) woken.add_all(watching_);
    }
    woken.complete();
}

std::size_t sequence_core::receivers() noexcept {
    std::lock_guard guard(lock_);
    return receivers_;
}

void sequence_core::advance(claimed_arms& woken) noexcept {
    count_.fetch_add(1, std::memory_order_release);
    woken.add_all(waiting_);
}

bool sequence_core::ready_or_wait(std::uint64_t seen, arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    if (ready(seen)) return true;
    waiting_.push(receiver);
    return false;
}

bool sequence_core::forget(arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    return waiting_.remove(receiver);
}

bool sequence_core::closed_or_wait(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    if (receivers_ == 0) return true;
    watching_.push(watcher);
    return false;
}

bool sequence_core::forget_watcher(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    return watching_.remove(watcher);
}

}  // namespace rt::detail
