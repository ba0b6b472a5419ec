// Waiting for an instant.
module;
#include <chrono>
#include <coroutine>
#include <source_location>
#include <utility>
export module rt.time:sleep;
import rt.task;
import :clock;

export namespace rt {

namespace detail {

/// The timers of the runtime that op is awaited in; misuse where it has none.
timer_service& timers_of(wait_op& op, const char* what, std::source_location where) noexcept;

class [[nodiscard("it does nothing until it is co_awaited")]] sleep_op : public leaf_op<sleep_op>,
                                                                         public timer_node {
public:
    using lossless = void;
    inline sleep_op(steady_time deadline, std::chrono::nanoseconds delay,
                    std::source_location where) noexcept
        : deadline_(deadline), delay_(delay), where_(where) {}
    inline sleep_op(sleep_op&& other) noexcept
        : leaf_op(std::move(other)),
          deadline_(other.deadline_),
          delay_(other.delay_),
          where_(other.where_) {}

    /// Its delay counts from then; its deadline.
    steady_time starting_at(steady_time now) noexcept;
    bool try_now() noexcept;
    bool enlist() noexcept;
    inline bool delist() noexcept { return home != nullptr && home->remove(*this); }
    inline void await_resume() const noexcept {}
    inline const char* what() const noexcept { return "rt::sleep"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    steady_time deadline_;            // known at the first try when a delay was given
    std::chrono::nanoseconds delay_;  // negative: deadline_ counts
    std::source_location where_;
};

// At namespace scope: of a local class in a module importers do not find the vtable.
class [[nodiscard("it does nothing until it is co_awaited")]] now_op final
    : public leaf_op<now_op> {
public:
    using lossless = void;
    explicit now_op(std::source_location where) noexcept : where_(where) {}
    now_op(now_op&& other) noexcept = default;
    bool try_now() const noexcept { return true; }
    bool enlist() const noexcept { return true; }
    bool delist() const noexcept { return false; }
    steady_time await_resume() noexcept { return timers_of(*this, what(), where_).now(); }
    const char* what() const noexcept { return "rt::this_task::now"; }
    std::source_location where() const noexcept { return where_; }

private:
    std::source_location where_;
};

}  // namespace detail

/// Waits until the duration has passed, at least: never less, rounded up to 66 µs. 0 and less are
/// ready at once.
///
/// It counts from when it is awaited. Resumes on the task's executor. A stop withdraws it; so does
/// losing a select.
template <class Rep, class Period>
auto sleep(std::chrono::duration<Rep, Period> duration,
           std::source_location where = std::source_location::current()) {
    auto delay = detail::to_nanoseconds(duration);
    return detail::sleep_op({}, delay.count() < 0 ? std::chrono::nanoseconds(0) : delay, where);
}

/// Waits until the runtime's clock has reached the instant; as sleep otherwise.
inline auto sleep_until(steady_time instant,
                        std::source_location where = std::source_location::current()) {
    return detail::sleep_op(instant, std::chrono::nanoseconds(-1), where);
}

namespace this_task {

/// The time of the runtime's clock: co_await rt::this_task::now(). It is ready at once.
inline auto now(std::source_location where = std::source_location::current()) {
    return detail::now_op(where);
}

}  // namespace this_task
}  // namespace rt
