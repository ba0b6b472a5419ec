// Giving way: to the others that are ready, and to the reactor and the timers.
module;
#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>
export module rt.task:yield;
import :coroutine;
import :leaf;
import :operation;

export namespace rt {

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] yield_op final : public wait_op {
public:
    inline explicit yield_op(std::source_location where) noexcept : where_(where) {}
    inline bool await_ready() const noexcept {
        if (env_ == nullptr) awaited_outside("rt::yield_now", where_);
        return false;
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        if constexpr (std::is_base_of_v<promise_base, Promise>) suspend_in(h.promise());
        if (env_->stop_requested()) return unwind(*frame_);
        env_->exec().post_later(*this);
        return std::noop_coroutine();
    }
    inline void await_resume() const noexcept {}
    inline bool withdraw() noexcept override { return false; }
    inline void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({"rt::yield_now", where_, depth});
    }
    inline std::coroutine_handle<> wake() noexcept override {
        return env_->stop_requested() ? unwind(*frame_) : deliver();
    }

private:
    std::source_location where_;
};

class [[nodiscard("it does nothing until it is co_awaited")]] budget_op final
    : public leaf_op<budget_op> {
public:
    using lossless = void;
    inline explicit budget_op(std::source_location where) noexcept : where_(where) {}
    budget_op(budget_op&&) noexcept = default;
    inline bool try_now() const noexcept { return true; }
    inline bool enlist() const noexcept { return true; }
    inline bool delist() const noexcept { return false; }
    inline void await_resume() const noexcept {}
    inline const char* what() const noexcept { return "rt::consume_budget"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    std::source_location where_;
};

/// Lifts the budget of the running task, and puts it back when the frame goes. It counts, because
/// the children of a join may do so in turns.
class budget_lift {
public:
    inline budget_lift() noexcept : task_(current_identity()) { ++task_->unbudgeted; }
    budget_lift(const budget_lift&) = delete;
    budget_lift& operator=(const budget_lift&) = delete;
    inline ~budget_lift() { --task_->unbudgeted; }

private:
    task_identity* task_;
};

}  // namespace detail

/// Resumes after what is ready now, and after the reactor and the timers have had a turn.
/// A stop takes effect here.
inline auto yield_now(std::source_location where = std::source_location::current()) {
    return detail::yield_op(where);
}

/// Counts as one operation: a loop over something that is always ready gives way every 128 of
/// these.
inline auto consume_budget(std::source_location where = std::source_location::current()) {
    return detail::budget_op(where);
}

/// Runs a task without a budget: it gives way only where it waits.
template <class T>
task<T> unbudgeted(task<T> body) {
    detail::budget_lift lift;
    co_return co_await std::move(body);
}

}  // namespace rt
