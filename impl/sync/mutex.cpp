module;
#include <atomic>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <utility>
module rt.sync;

namespace rt {

mutex::~mutex() {
    {
        // Who has freed it may still be about to give the lock back.
        std::lock_guard out(lock_);
    }
    // Who waits for it tells more than that it is locked, as it is then.
    if (!waiting_.empty())
        misuse("a mutex is destroyed while a task waits for it", waiting_.first()->waits_at());
    if (state_.load(std::memory_order_acquire) & held)
        misuse("a mutex is destroyed while it is locked", {});
}

bool mutex::take_wanted() noexcept {
    std::lock_guard guard(lock_);
    auto seen = state_.load(std::memory_order_relaxed);
    while ((seen & held) == 0) {
        if (state_.compare_exchange_weak(seen, seen | held, std::memory_order_acquire,
                                         std::memory_order_relaxed))
            return true;
    }
    return false;
}

bool mutex::take_or_wait(detail::lock_op& op) noexcept {
    std::lock_guard guard(lock_);
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        bool is_free = (seen & held) == 0;
        if (!state_.compare_exchange_weak(seen, seen | (is_free ? held : wanted),
                                          std::memory_order_acquire, std::memory_order_relaxed))
            continue;
        if (is_free) return op.granted_ = true;
        waiting_.push(op);
        return false;
    }
}

bool mutex::forget(detail::lock_op& op) noexcept {
    std::lock_guard guard(lock_);
    bool waited = waiting_.remove(op);
    if (waiting_.empty()) state_.fetch_and(~wanted, std::memory_order_relaxed);
    return waited;
}

void mutex::pass_to_next() noexcept {
    detail::arm* next = nullptr;
    {
        std::lock_guard guard(lock_);
        next = waiting_.claim_first();
        if (next != nullptr) static_cast<detail::lock_op&>(*next).granted_ = true;
        // Nobody else moves it now: it is held, and here is the lock.
        state_.store((next != nullptr ? held : 0) | (waiting_.empty() ? 0 : wanted),
                     std::memory_order_release);
    }
    if (next != nullptr) next->complete();
}

}  // namespace rt
