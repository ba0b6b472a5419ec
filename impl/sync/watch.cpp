// The value is changed under the mutex of watch_state, and counted after that. So a receiver that
// reads the count first and the value then has seen at least the change that it has counted: it may
// be told of a value that it saw already, and never misses one.
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
module rt.sync;

namespace rt::detail {

void watch_core::drop_sender() noexcept {
    if (senders_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        ended_.store(true, std::memory_order_release);
        woken.add_all(waiting_);
    }
    woken.complete();
}

void watch_core::add_receiver() noexcept {
    std::lock_guard guard(lock_);
    ++receivers_;
}

void watch_core::drop_receiver() noexcept {
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        if (--receivers_ == 0) woken.add_all(watching_);
    }
    woken.complete();
}

void watch_core::changed() noexcept {
    claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        version_.fetch_add(1, std::memory_order_release);
        woken.add_all(waiting_);
    }
    woken.complete();
}

bool watch_core::ready_or_wait(std::uint64_t seen, arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    if (ready(seen)) return true;
    waiting_.push(receiver);
    return false;
}

bool watch_core::forget(arm& receiver) noexcept {
    std::lock_guard guard(lock_);
    return waiting_.remove(receiver);
}

bool watch_core::closed() noexcept {
    std::lock_guard guard(lock_);
    return receivers_ == 0;
}

bool watch_core::closed_or_wait(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    if (receivers_ == 0) return true;
    watching_.push(watcher);
    return false;
}

bool watch_core::forget_watcher(arm& watcher) noexcept {
    std::lock_guard guard(lock_);
    return watching_.remove(watcher);
}

}  // namespace rt::detail
