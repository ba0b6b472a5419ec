module;
#include <atomic>
#include <mutex>
#include <source_location>
#include <utility>
module rt.sync;

namespace rt {

notify::~notify() {
    if (!waiting_.empty())
        misuse("a notify is destroyed while a task waits for it", waiting_.first()->waits_at());
}

void notify::notify_one() noexcept {
    detail::arm* woken = nullptr;
    {
        std::lock_guard guard(lock_);
        woken = waiting_.claim_first();
        if (woken != nullptr) {
            static_cast<detail::notified_op&>(*woken).has_stored_ = true;
        } else {
            stored_.store(true, std::memory_order_relaxed);
        }
    }
    if (woken != nullptr) woken->complete();
}

void notify::notify_all() noexcept {
    detail::claimed_arms woken;
    {
        std::lock_guard guard(lock_);
        rounds_.fetch_add(1, std::memory_order_release);
        woken.add_all(waiting_);
    }
    woken.complete();
}

bool notify::take_locked(detail::notified_op& op) noexcept {
    // One that notify_all() has woken leaves the stored notification to the next.
    if (op.round_ != rounds_.load(std::memory_order_relaxed)) return true;
    if (!stored_.load(std::memory_order_relaxed)) return false;
    stored_.store(false, std::memory_order_relaxed);
    return op.has_stored_ = true;
}

bool notify::take(detail::notified_op& op) noexcept {
    std::lock_guard guard(lock_);
    return take_locked(op);
}

bool notify::take_or_wait(detail::notified_op& op) noexcept {
    std::lock_guard guard(lock_);
    if (take_locked(op)) return true;
    waiting_.push(op);
    return false;
}

bool notify::forget(detail::notified_op& op) noexcept {
    std::lock_guard guard(lock_);
    return waiting_.remove(op);
}

}  // namespace rt
