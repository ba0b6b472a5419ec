// A bell: wakes tasks without giving them anything, for conditions that are kept elsewhere.
//
// notify_one() before anybody waits is remembered, once, so a task may look at its condition and
// then wait without missing what happened in between. notify_all() is not remembered: it wakes
// exactly those whose wait() has been called. wait() takes part from the call on, not from the
// co_await:
//     auto changed = bell.wait();
//     if (!condition()) co_await std::move(changed);
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <utility>
export module rt.sync:notify;
import rt.task;
import :waiters;

export namespace rt {

class notify;

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] notified_op
    : public leaf_op<notified_op> {
public:
    using lossless = void;
    inline notified_op(notify& bell, std::source_location where) noexcept;
    notified_op(notified_op&& other) noexcept = default;
    /// A notification that was given to one and is not taken goes to the next. (rt itself never
    /// lets it come to that: a notified operation is always resumed.)
    inline ~notified_op();

    inline bool try_now() noexcept;
    inline bool enlist() noexcept;
    inline bool delist() noexcept;
    inline void await_resume() noexcept { has_stored_ = false; }
    const char* what() const noexcept { return "rt::notify::wait"; }
    std::source_location where() const noexcept { return where_; }

private:
    friend class rt::notify;
    notify* bell_;
    std::uint64_t round_;
    std::source_location where_;
    bool has_stored_ = false;  // it holds the notification of one notify_one(); set under the lock
};

}  // namespace detail

class notify {
public:
    notify() noexcept = default;
    notify(const notify&) = delete;
    notify& operator=(const notify&) = delete;
    ~notify();

    /// Wakes the task that has waited longest; if nobody waits, the next one to wait does not.
    /// Several notifications that nobody waits for are one. Any thread.
    void notify_one() noexcept;
    /// Wakes all that wait, and stores nothing. Any thread.
    void notify_all() noexcept;

    /// co_await n.wait(): waits for a notification of either kind.
    ///
    /// Resumes on the awaiting task's executor, with what the notifier wrote before it notified. A
    /// stop withdraws it; so does losing a select, which it may: a notify_one() then goes to the
    /// next. It cannot fail.
    inline detail::notified_op wait(
        std::source_location where = std::source_location::current()) noexcept {
        return detail::notified_op(*this, where);
    }

private:
    friend class detail::notified_op;
    bool take(detail::notified_op& op) noexcept;
    bool take_or_wait(detail::notified_op& op) noexcept;
    bool take_locked(detail::notified_op& op) noexcept;
    bool forget(detail::notified_op& op) noexcept;

    detail::spin_lock lock_;
    std::atomic<bool> stored_{false};  // written under lock_
    detail::waiters waiting_;          // guarded by lock_
    // Counts the calls of notify_all(), under lock_; read without it by wait(). An operation that
    // was made before the last of them has been notified: so learns a select that could not be
    // claimed at that moment.
    std::atomic<std::uint64_t> rounds_{0};
};

namespace detail {

// Acquire: pairs with the release in notify_all(); who misses that call sees what came before it.
inline notified_op::notified_op(notify& bell, std::source_location where) noexcept
    : bell_(&bell), round_(bell.rounds_.load(std::memory_order_acquire)), where_(where) {}
inline notified_op::~notified_op() {
    if (has_stored_) bell_->notify_one();
}
inline bool notified_op::try_now() noexcept {
    // Alone it looks again in enlist(). A select that tries again has to wait for the lock: whoever
    // could not claim it is about to store the notification.
    if (!selected() && !bell_->stored_.load(std::memory_order_relaxed) &&
        round_ == bell_->rounds_.load(std::memory_order_relaxed))
        return false;
    return bell_->take(*this);
}
inline bool notified_op::enlist() noexcept { return bell_->take_or_wait(*this); }
inline bool notified_op::delist() noexcept { return bell_->forget(*this); }

}  // namespace detail
}  // namespace rt
