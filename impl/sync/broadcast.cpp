module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <source_location>
module rt.sync;

namespace rt::detail {

broadcast_core::broadcast_core(std::size_t capacity, std::source_location where) noexcept
    : capacity_(capacity) {
    if (capacity == 0) misuse("a broadcast with capacity 0: 1 is the smallest", where);
}

void broadcast_core::drop_sender() noexcept {
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

std::uint64_t broadcast_core::add_receiver() noexcept {
    std::lock_guard guard(lock_);
    ++receivers_;
    return sent_.load(std::memory_order_relaxed);
}

void broadcast_core::drop_receiver() noexcept {
    std::lock_guard guard(lock_);
    --receivers_;
}

std::size_t broadcast_core::receivers() noexcept {
    std::lock_guard guard(lock_);
    return receivers_;
}

bool broadcast_core::ready_or_wait(std::uint64_t place, arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    if (ready(place)) return true;
    waiting_.push(receiver);
    return false;
}

bool broadcast_core::forget(arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    return waiting_.remove(receiver);
}

}  // namespace rt::detail
