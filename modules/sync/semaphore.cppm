// A counted lock: so many may be inside, and a request may take several places at once.
//
// Requests are served in the order of their arrival, whatever their size: a large one at the head
// is not overtaken by small ones behind it, so it cannot starve.
module;
#include <coroutine>
#include <cstddef>
#include <limits>
#include <mutex>
#include <optional>
#include <source_location>
#include <system_error>
#include <utility>
export module rt.sync:semaphore;
import rt.task;
import :waiters;

export namespace rt {

class semaphore;
class semaphore_permit;

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] acquire_op
    : public leaf_op<acquire_op> {
public:
    using lossless = void;
    inline acquire_op(semaphore& wanted, std::size_t count, std::source_location where) noexcept
        : semaphore_(&wanted), count_(count), where_(where) {}
    acquire_op(acquire_op&& other) noexcept = default;
    /// Permits that were granted and are not taken go back. (rt itself never lets it come to that:
    /// a granted operation is always resumed.)
    inline ~acquire_op();

    inline bool try_now() noexcept;
    inline bool enlist() noexcept;
    inline bool delist() noexcept;
    [[nodiscard]] std::error_code failure() const noexcept {
        return refused_ ? make_error_code(errc::closed) : std::error_code();
    }
    inline result<semaphore_permit> await_resume() noexcept;
    const char* what() const noexcept { return "rt::semaphore::acquire"; }
    std::source_location where() const noexcept { return where_; }

private:
    friend class rt::semaphore;
    semaphore* semaphore_;
    std::size_t count_;
    std::source_location where_;
    bool granted_ = false;  // these two are written under the semaphore's lock
    bool refused_ = false;
};

}  // namespace detail

/// Some permits of a semaphore. Its destructor gives them back.
class [[nodiscard("a permit that is dropped is given back at once")]] semaphore_permit {
public:
    semaphore_permit() noexcept = default;
    inline semaphore_permit(semaphore_permit&& other) noexcept
        : semaphore_(std::exchange(other.semaphore_, nullptr)),
          count_(std::exchange(other.count_, 0)) {}
    semaphore_permit& operator=(semaphore_permit&& other) noexcept {
        if (this != &other) {
            release();
            semaphore_ = std::exchange(other.semaphore_, nullptr);
            count_ = std::exchange(other.count_, 0);
        }
        return *this;
    }
    inline ~semaphore_permit() { release(); }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    /// Gives them back now. It is empty then; releasing an empty one does nothing.
    inline void release() noexcept;
    /// Lets them go for good: the semaphore has so many fewer.
    void forget() noexcept { count_ = 0; }
    /// Takes the other's permits over; misuse for those of another semaphore.
    void merge(semaphore_permit&& other,
               std::source_location where = std::source_location::current()) noexcept;
    /// n of its permits as one of their own; empty if it has fewer, and then it keeps all.
    [[nodiscard]] std::optional<semaphore_permit> split(std::size_t n) noexcept;

private:
    friend class semaphore;
    friend class detail::acquire_op;
    inline semaphore_permit(semaphore& of, std::size_t count) noexcept
        : semaphore_(&of), count_(count) {}
    semaphore* semaphore_ = nullptr;
    std::size_t count_ = 0;
};

class semaphore {
public:
    /// More permits than that cannot be counted.
    static constexpr std::size_t max() noexcept {
        return std::numeric_limits<std::size_t>::max() / 2;
    }

    /// Misuse for more than max().
    explicit semaphore(std::size_t permits,
                       std::source_location where = std::source_location::current());
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore();

    /// co_await s.acquire(n): waits for n permits at once, and gives result<semaphore_permit>;
    /// errc::closed when the semaphore was closed. 0 permits are there at once.
    ///
    /// Resumes on the awaiting task's executor. A stop withdraws the request; so does losing a
    /// select, which it may: it has taken nothing then, and those behind it move up.
    inline detail::acquire_op acquire(
        std::size_t n = 1, std::source_location where = std::source_location::current()) noexcept {
        return detail::acquire_op(*this, n, where);
    }
    /// std::errc::operation_would_block when there are too few, or somebody waits for them;
    /// errc::closed when it is closed. Never waits, and needs no runtime.
    [[nodiscard]] result<semaphore_permit> try_acquire(std::size_t n = 1) noexcept;

    /// Adds permits, or gives back what was forgotten. Misuse beyond max(). Any thread.
    void release(std::size_t n = 1,
                 std::source_location where = std::source_location::current()) noexcept;
    /// Takes up to n of the permits that nobody has, for good; tells how many.
    std::size_t forget(std::size_t n) noexcept;
    /// Ends all waiting requests, and those to come, with errc::closed. Permits that are out stay
    /// so.
    void close() noexcept;
    [[nodiscard]] bool is_closed() const noexcept;
    /// How many nobody has; only a hint where others acquire.
    [[nodiscard]] std::size_t available() const noexcept;

private:
    friend class detail::acquire_op;
    bool take(detail::acquire_op& op) noexcept;
    bool take_or_wait(detail::acquire_op& op) noexcept;
    bool take_locked(detail::acquire_op& op) noexcept;
    bool forget_request(detail::acquire_op& op) noexcept;
    bool reachable(const detail::acquire_op& op) const noexcept;
    void serve(detail::claimed_arms& granted) noexcept;

    mutable detail::spin_lock lock_;
    std::size_t available_;    // guarded by lock_
    bool closed_ = false;      // guarded by lock_
    detail::waiters waiting_;  // guarded by lock_
};

inline void semaphore_permit::release() noexcept {
    if (auto n = std::exchange(count_, 0)) semaphore_->release(n);
}

namespace detail {

inline acquire_op::~acquire_op() {
    if (granted_ && count_ != 0) semaphore_->release(count_);
}
inline bool acquire_op::try_now() noexcept { return semaphore_->take(*this); }
inline bool acquire_op::enlist() noexcept { return semaphore_->take_or_wait(*this); }
inline bool acquire_op::delist() noexcept { return semaphore_->forget_request(*this); }
inline result<semaphore_permit> acquire_op::await_resume() noexcept {
    if (refused_) return errc::closed;
    granted_ = false;
    return semaphore_permit(*semaphore_, count_);
}

}  // namespace detail
}  // namespace rt
