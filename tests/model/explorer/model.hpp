// An explorer of interleavings: runs a few threads through every order of their atomic operations,
// up to so many preemptions, and through every value that a load may see by the rules of release
// and acquire.
//
// The threads are real (the code under test has thread-locals), but one runs at a time: at each
// operation here it is decided who goes on. Decisions are made in the order of a depth-first
// search: an execution repeats those of the one before up to the last that has another choice.
//
// Memory: each atomic object keeps all its values in modification order. A thread may read any that
// is not older than one that it has read or written, or that happens before its present; which is
// told by vector clocks. An acquire that reads a release gets the clock of that. A
// read-modify-write reads the last value, and hands the release before it on. seq_cst operations
// are ordered as they are executed: such a load reads nothing older than the last seq_cst store.
// cell is plain memory, and tells of two accesses of which neither happens before the other.
//
// A spinning thread gives way (yield) until another one has done something, and reads the newest
// values afterwards: what is stored is seen at last.
#pragma once
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace model {

inline constexpr int most_threads = 6;
using clock = std::array<std::uint32_t, most_threads>;

/// One location of the execution that runs.
struct location {
    struct value {
        std::uint64_t bits = 0;
        clock released{};
        int thread = -1;
        std::uint32_t stamp = 0;
    };
    std::vector<value> values;
    std::array<std::uint32_t, most_threads> seen{};
    std::uint32_t last_sc = 0;
};

/// What every atomic object has; its plain value counts where nothing is explored.
class object {
public:
    explicit object(std::uint64_t bits) noexcept : bits_(bits) {}
    object(const object&) = delete;
    ~object() { alive_ = false; }

protected:
    using order = std::memory_order;
    std::uint64_t load(order o) const;
    void store(std::uint64_t bits, order o);
    /// change: the new bits from the old ones.
    std::uint64_t update(const std::function<std::uint64_t(std::uint64_t)>& change, order o);
    bool compare_exchange(std::uint64_t& expected, std::uint64_t bits, order success,
                          order failure);

private:
    location& here() const;
    mutable std::uint64_t execution_ = 0;
    mutable location* location_ = nullptr;
    std::uint64_t bits_;
    bool alive_ = true;
};

template <class T>
class atomic : object {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
    static std::uint64_t bits(T v) noexcept {
        std::uint64_t b = 0;
        std::memcpy(&b, &v, sizeof v);
        return b;
    }
    static T value(std::uint64_t b) noexcept {
        T v;
        std::memcpy(&v, &b, sizeof v);
        return v;
    }
    static order failure_of(order o) noexcept {
        return o == order::acq_rel ? order::acquire : o == order::release ? order::relaxed : o;
    }

public:
    atomic(T v = T{}) noexcept : object(bits(v)) {}
    T load(order o = order::seq_cst) const noexcept { return value(object::load(o)); }
    void store(T v, order o = order::seq_cst) noexcept { object::store(bits(v), o); }
    operator T() const noexcept { return load(); }
    T exchange(T v, order o = order::seq_cst) noexcept {
        return value(update([&](auto) { return bits(v); }, o));
    }
    bool compare_exchange_strong(T& expected, T v, order success, order failure) noexcept {
        auto seen = bits(expected);
        bool done = compare_exchange(seen, bits(v), success, failure);
        expected = value(seen);
        return done;
    }
    bool compare_exchange_strong(T& expected, T v, order o = order::seq_cst) noexcept {
        return compare_exchange_strong(expected, v, o, failure_of(o));
    }
    bool compare_exchange_weak(T& expected, T v, order success, order failure) noexcept {
        return compare_exchange_strong(expected, v, success, failure);
    }
    bool compare_exchange_weak(T& expected, T v, order o = order::seq_cst) noexcept {
        return compare_exchange_strong(expected, v, o);
    }
    T fetch_add(T n, order o = order::seq_cst) noexcept
        requires std::is_integral_v<T>
    {
        return value(update([&](auto b) { return bits(static_cast<T>(value(b) + n)); }, o));
    }
    T fetch_sub(T n, order o = order::seq_cst) noexcept
        requires std::is_integral_v<T>
    {
        return value(update([&](auto b) { return bits(static_cast<T>(value(b) - n)); }, o));
    }
    T fetch_or(T n, order o = order::seq_cst) noexcept
        requires std::is_integral_v<T>
    {
        return value(update([&](auto b) { return bits(static_cast<T>(value(b) | n)); }, o));
    }
    T fetch_and(T n, order o = order::seq_cst) noexcept
        requires std::is_integral_v<T>
    {
        return value(update([&](auto b) { return bits(static_cast<T>(value(b) & n)); }, o));
    }
};

/// A lock whose holder is waited for, not spun for. Sound: no bug is put into it.
class mutex {
public:
    mutex() noexcept = default;
    explicit mutex(bool sound) noexcept : sound_(sound) {}
    mutex(const mutex&) = delete;
    void lock() noexcept;
    bool try_lock() noexcept;
    void unlock() noexcept;

private:
    clock released_{};
    bool held_ = false;
    bool sound_ = false;
};

/// Readers keep each other out, too.
class shared_mutex : public mutex {
public:
    void lock_shared() noexcept { lock(); }
    bool try_lock_shared() noexcept { return try_lock(); }
    void unlock_shared() noexcept { unlock(); }
};

class condition_variable {
public:
    template <class Lock, class Holds>
    void wait(Lock& lock, Holds holds) {
        while (!holds()) {
            auto before = told_;
            lock.unlock();
            block([this, before] { return told_ != before; });
            lock.lock();
        }
    }
    void notify_one() noexcept { ++told_; }
    void notify_all() noexcept { ++told_; }

private:
    static void block(const std::function<bool()>& until);
    std::uint64_t told_ = 0;  // changed under the lock
};

/// Plain memory that tells of races.
template <class T>
class cell {
public:
    explicit cell(T v = T{}) : value_(v) {}
    T get() const {
        access(false);
        return value_;
    }
    void set(T v) {
        access(true);
        value_ = v;
    }

private:
    void access(bool writes) const;
    T value_;
    mutable clock reads_{}, writes_{};
};
void check_access(clock& reads, clock& writes, bool writes_now);
template <class T>
void cell<T>::access(bool writes) const {
    check_access(reads_, writes_, writes);
}

/// Gives way until another thread has done something.
void yield() noexcept;
/// Waits until it holds; it looks at plain memory that others change.
void wait_until(const std::function<bool()>& holds);
/// One of 0 to n - 1, and each is tried; in setup(), too.
unsigned choose(unsigned n);
/// Ends the exploration, which has failed.
void check(bool holds, const char* what);

/// Bugs to be put into whatever is explored.
enum class seeded {
    none,
    no_release,   ///< every release is relaxed
    no_acquire,   ///< every acquire is relaxed
    no_order,     ///< that of the locks, too: they do no more than keep others out
    no_seq_cst,   ///< seq_cst is no more than acquire and release
    torn_update,  ///< others may come between the two halves of a read-modify-write
    no_lock       ///< locks keep nobody out
};
struct options {
    unsigned preemptions = 2;
    seeded bug = seeded::none;
    std::uint64_t most_executions = 2'000'000;
};
struct report {
    bool failed = false;
    bool complete = false;  ///< every execution within the bounds was tried
    std::uint64_t executions = 0;
    std::uint64_t operations = 0;
    std::string failure;  ///< what was wrong, and the operations that led there
};
/// Each execution calls setup(), in which run() names the threads, and ends with all of them; then
/// what setup() returned is called. In a child process: a failure of any kind ends only that.
using after = std::function<void()>;
report explore(const std::function<after()>& setup, options how = {});
/// A thread of the execution; only in setup().
void run(std::function<void()> body);

}  // namespace model
