// What runs work, as the rest of rt sees it: an interface at the bottom, so that nothing needs to
// look up.
//
// A work item is an intrusive node that lives in whoever waits (an awaiter, a task's header):
// posting one never allocates. The scheduler implements executor; reactor, wheel and blocking pool
// are handed out through it as services, and their own modules know the types behind these
// interfaces.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <source_location>
#include <string_view>
#include <system_error>
export module rt.task:executor;

export namespace rt {

/// Real or paused: every instant that rt compares comes from the runtime's clock, in this type.
using steady_time = std::chrono::steady_clock::time_point;

struct work_item {
    work_item* next = nullptr;
    void (*run)(work_item&) noexcept = nullptr;
};

class timer_service;

/// One deadline in a wheel. It lives in its awaiter.
struct timer_node {
    timer_node* prev = nullptr;
    timer_node* next = nullptr;
    std::uint64_t tick = 0;
    timer_service* home = nullptr;  // the wheel that it was inserted in
    /// Called at most once, by the wheel and under its lock: claim, complete, and nothing else.
    void (*fired)(timer_node&) noexcept = nullptr;
};

class timer_service {
public:
    virtual steady_time now() noexcept = 0;
    /// Fires at or after the deadline, never before; a deadline that has passed fires at the next
    /// turn.
    virtual void insert(timer_node& node, steady_time deadline) noexcept = 0;
    /// True: it had not fired, and now never will. Any thread.
    virtual bool remove(timer_node& node) noexcept = 0;

protected:
    ~timer_service() = default;
};

/// The reactor behind it is rt.io's: the base only carries it across the module boundary.
class io_service {
protected:
    ~io_service() = default;
};

/// A call that blocks its thread. It lives in its awaiter.
struct blocking_job : work_item {
    blocking_job* prev = nullptr;
    blocking_job* following = nullptr;
    bool queued = false;
};

class blocking_service {
public:
    /// False when the pool is closed or has no thread to give: the job will not run.
    virtual bool submit(blocking_job& job) noexcept = 0;
    /// True when the job had not started, and now never will.
    virtual bool withdraw(blocking_job& job) noexcept = 0;

protected:
    ~blocking_service() = default;
};

class task_state;

/// A task that nobody awaits failed: what the unhandled hook is told.
struct unhandled_failure {
    std::uint64_t task_id = 0;
    std::string_view task_name;
    std::source_location spawned_at;
    std::exception_ptr exception;  ///< null when it ended with an error value
    std::error_code error;
};

class executor {
public:
    /// Runs the item soon, on a worker of this executor. Any thread.
    virtual void post(work_item& item) noexcept = 0;
    /// As post, but after what is ready now, and after the reactor and the timers have had a turn.
    virtual void post_later(work_item& item) noexcept = 0;

    [[nodiscard]] virtual unsigned worker_count() const noexcept = 0;
    /// The executor whose items run on that worker (thread per core), or on any (work stealing).
    virtual executor& on_worker(unsigned worker) noexcept = 0;

    /// Services of the calling worker; null where the runtime has none.
    virtual timer_service* timers() noexcept = 0;
    virtual io_service* io() noexcept = 0;
    virtual blocking_service* blocking() noexcept = 0;
    virtual std::uint64_t random() noexcept = 0;

    /// closing: the task is born stopped. ended: nobody will run it, so it ends where it is
    /// spawned.
    enum class adoption : std::uint8_t { adopted, closing, ended };
    /// Every spawned task is known to its runtime from spawn to end, so that shutdown can stop it.
    virtual adoption adopt(task_state& task) noexcept = 0;
    virtual void abandon(task_state& task) noexcept = 0;
    virtual void unhandled(const unhandled_failure& failure) noexcept = 0;
    virtual void count_forced_yield() noexcept {}
    /// Where new tasks go; another one only for executors that live in a frame.
    virtual executor& root() noexcept { return *this; }

protected:
    ~executor() = default;
};

/// The executor of the calling worker thread, or the one that a block_on on this thread has
/// entered; else null.
executor* current_executor() noexcept;

namespace detail {

void set_current_executor(executor* current) noexcept;

/// Tells stderr of a failure, if it is an exception.
void print_unhandled(const unhandled_failure& failure) noexcept;

/// What breaks ties: xorshift64*, from any seed.
class random_bits {
public:
    inline explicit random_bits(std::uint64_t seed) noexcept {
        // splitmix64: neighbouring seeds have nothing in common.
        seed = (seed + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
        seed = (seed ^ (seed >> 29)) * 0x94d049bb133111eb;
        state_ = (seed ^ (seed >> 32)) | 1;
    }
    inline std::uint64_t next() noexcept {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1d >> 16;
    }

private:
    std::uint64_t state_;
};

/// For critical sections of a few instructions that are uncontended as a rule. It yields when they
/// are not.
class spin_lock {
public:
    inline void lock() noexcept {
        if (held_.exchange(true, std::memory_order_acquire)) lock_slowly();
    }
    inline bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
    // Release: pairs with the acquire in lock(); what the section wrote is seen by the next holder.
    inline void unlock() noexcept { held_.store(false, std::memory_order_release); }

private:
    void lock_slowly() noexcept;
    std::atomic<bool> held_{false};
};

/// For what is one thread's in some flavors and shared in others: no lock where it is not needed.
class optional_spin_lock {
public:
    inline explicit optional_spin_lock(bool needed) noexcept : needed_(needed) {}
    inline void lock() noexcept {
        if (needed_) lock_.lock();
    }
    inline void unlock() noexcept {
        if (needed_) lock_.unlock();
    }

private:
    const bool needed_;
    spin_lock lock_;
};

}  // namespace detail
}  // namespace rt
