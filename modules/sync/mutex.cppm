// A lock that may be held across co_await: who waits for it suspends, and no thread stands still.
//
// The turn is handed from guard to waiter, in the order of arrival: a task that unlocks and locks
// again at once goes behind those that wait, so nobody starves. A critical section without a
// co_await in it is better served by std::mutex.
//
// The mutex's word (mutex::state_) has two bits:
//   held     somebody has the turn, or it goes from hand to hand
//   wanted   arms are linked: only who holds lock_ moves the word then
// 0 -> held: who takes a free mutex (acquire). held -> 0: who unlocks one that nobody wants
// (release: pairs with it). Under lock_: an arm is linked by the step that sets wanted, and only
// while held is set; so who unlocks either has freed it before, and the arm takes it, or fails and
// finds the arm. wanted without held: those that are linked could not be claimed, so it may be
// taken.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>
export module rt.sync:mutex;
import rt.task;
import :waiters;

export namespace rt {

class mutex;
class mutex_guard;

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] lock_op : public leaf_op<lock_op> {
public:
    using lossless = void;
    inline lock_op(mutex& wanted, std::source_location where) noexcept
        : mutex_(&wanted), where_(where) {}
    lock_op(lock_op&& other) noexcept = default;
    /// A turn that was granted and is not taken is passed on. (rt itself never lets it come to
    /// that: a granted operation is always resumed.)
    inline ~lock_op();

    inline bool try_now() noexcept;
    inline bool enlist() noexcept;
    inline bool delist() noexcept;
    inline mutex_guard await_resume() noexcept;
    const char* what() const noexcept { return "rt::mutex::lock"; }
    std::source_location where() const noexcept { return where_; }

private:
    friend class rt::mutex;
    mutex* mutex_;
    std::source_location where_;
    bool granted_ = false;  // set under the mutex's lock, by whoever gives the turn
};

}  // namespace detail

/// The turn of a mutex. Its destructor passes the turn on; so does unlock(), earlier.
class [[nodiscard("a guard that is dropped unlocks at once")]] mutex_guard {
public:
    mutex_guard() noexcept = default;
    inline mutex_guard(mutex_guard&& other) noexcept
        : mutex_(std::exchange(other.mutex_, nullptr)) {}
    mutex_guard& operator=(mutex_guard&& other) noexcept {
        if (this != &other) {
            unlock();
            mutex_ = std::exchange(other.mutex_, nullptr);
        }
        return *this;
    }
    inline ~mutex_guard() { unlock(); }

    /// Passes the turn on now. The guard is empty then; unlocking an empty guard does nothing.
    inline void unlock() noexcept;
    [[nodiscard]] bool owns_lock() const noexcept { return mutex_ != nullptr; }
    explicit operator bool() const noexcept { return owns_lock(); }

private:
    friend class mutex;
    friend class detail::lock_op;
    inline explicit mutex_guard(mutex& locked) noexcept : mutex_(&locked) {}
    mutex* mutex_ = nullptr;
};

/// At most one task has its turn. A task that locks it twice waits for itself, for ever.
class mutex {
public:
    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex();

    /// co_await m.lock(): waits for its turn, and gives a mutex_guard.
    ///
    /// Resumes on the awaiting task's executor; from unlock() on the turn is the waiter's. A stop
    /// withdraws the request; so does losing a select, which it may: the turn then goes to the
    /// next. It cannot fail.
    inline detail::lock_op lock(
        std::source_location where = std::source_location::current()) noexcept {
        return detail::lock_op(*this, where);
    }
    /// The guard if nobody has the turn; never waits, and needs no runtime.
    [[nodiscard]] inline std::optional<mutex_guard> try_lock() noexcept {
        if (!take()) return std::nullopt;
        return mutex_guard(*this);
    }

private:
    friend class mutex_guard;
    friend class detail::lock_op;

    static constexpr std::uint32_t held = 1, wanted = 2;

    inline bool take() noexcept {
        std::uint32_t seen = 0;
        // Wanted, it is looked at under the lock though it be held: who could not claim a select
        // that tries its arms frees the mutex after that, and before it gives the lock back.
        if (state_.compare_exchange_strong(seen, held, std::memory_order_acquire)) return true;
        return (seen & wanted) != 0 && take_wanted();
    }
    inline void pass_on() noexcept {
        auto seen = held;
        if (!state_.compare_exchange_strong(seen, 0, std::memory_order_release,
                                            std::memory_order_relaxed)) [[unlikely]]
            pass_to_next();
    }
    bool take_wanted() noexcept;
    bool take_or_wait(detail::lock_op& op) noexcept;
    bool forget(detail::lock_op& op) noexcept;
    void pass_to_next() noexcept;

    std::atomic<std::uint32_t> state_{0};
    detail::spin_lock lock_;
    detail::waiters waiting_;  // guarded by lock_
};

inline void mutex_guard::unlock() noexcept {
    if (auto* locked = std::exchange(mutex_, nullptr)) locked->pass_on();
}

namespace detail {

inline lock_op::~lock_op() {
    if (granted_) mutex_->pass_on();
}
inline bool lock_op::try_now() noexcept { return granted_ = mutex_->take(); }
inline bool lock_op::enlist() noexcept { return mutex_->take_or_wait(*this); }
inline bool lock_op::delist() noexcept { return mutex_->forget(*this); }
inline mutex_guard lock_op::await_resume() noexcept {
    granted_ = false;
    return mutex_guard(*mutex_);
}

}  // namespace detail
}  // namespace rt
