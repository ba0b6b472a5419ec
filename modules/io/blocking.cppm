// Calls that block go to threads of their own, so that no worker waits in them.
//
// The pool grows to its limit while jobs would wait, and threads that found nothing to do for its
// keep-alive go. A job lives in the frame of its task: a stop withdraws it if it has not started;
// once started it cannot be withdrawn, and delays the stop until it ends.
module;
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.io:blocking;
import rt.task;

export namespace rt {

class blocking_pool final : public blocking_service {
public:
    struct depth {
        std::size_t queued, running, threads, idle;
    };
    /// on_idle is called, on a thread of the pool, whenever the last job has ended.
    blocking_pool(std::size_t limit, std::chrono::nanoseconds keep_alive,
                  std::function<void()> on_idle = {});
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;
    ~blocking_pool();

    bool submit(blocking_job& job) noexcept override;
    bool withdraw(blocking_job& job) noexcept override;
    /// Takes no more jobs and waits for the threads, no longer than that (negative: without limit);
    /// returns how many jobs still run.
    [[nodiscard]] std::size_t close(std::chrono::nanoseconds limit) noexcept;
    [[nodiscard]] depth depths() const noexcept;

private:
    struct shared;
    std::shared_ptr<shared> shared_;
};

namespace detail {

template <class F>
class blocking_op final : public wait_op, public blocking_job {
public:
    using value = std::invoke_result_t<F&>;
    blocking_op(F&& f, std::source_location where) : f_(std::move(f)), where_(where) {
        blocking_job::run = [](work_item& job) noexcept {
            auto& self = static_cast<blocking_op&>(static_cast<blocking_job&>(job));
            detail::set_current_executor(&self.env_->exec().root());
            auto* outside = detail::exchange_scope(self.env_);  // it waits until the job has run
            self.call();
            detail::exchange_scope(outside);
            detail::set_current_executor(nullptr);
            self.env_->complete(self);
        };
    }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        suspend_in(h.promise());
        pool_ = env_->exec().blocking();
        if (!pool_) misuse("rt::spawn_blocking on an executor that has no blocking pool", where_);
        if (!pool_->submit(*this)) {
            outcome_.template emplace<2>(std::make_exception_ptr(
                std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                                  "rt::spawn_blocking: no thread could be started")));
            return h;
        }
        return env_->arm(*this);
    }
    value await_resume() {
        if (auto* failed = std::get_if<2>(&outcome_)) std::rethrow_exception(std::move(*failed));
        if constexpr (!std::is_void_v<value>) return std::move(*std::get_if<1>(&outcome_));
    }
    bool withdraw() noexcept override { return pool_->withdraw(*this); }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({"rt::spawn_blocking", where_, depth});
    }

private:
    void call() noexcept {
        try {
            if constexpr (std::is_void_v<value>) {
                f_();
                outcome_.template emplace<1>();
            } else {
                outcome_.template emplace<1>(f_());
            }
        } catch (...) {
            outcome_.template emplace<2>(std::current_exception());
        }
    }
    struct nothing {};
    using stored = std::conditional_t<std::is_void_v<value>, std::monostate, value>;
    F f_;
    blocking_service* pool_ = nullptr;
    std::variant<nothing, stored, std::exception_ptr> outcome_;
    std::source_location where_;
};

template <class F>
task<std::invoke_result_t<F&>> run_blocking(F f, std::source_location where) {
    co_return co_await blocking_op<F>(std::move(f), where);
}

}  // namespace detail

/// Calls f() on a thread of the blocking pool; the handle gives what it returns or throws.
///
/// Stopping or dropping the handle withdraws the job if it has not started; if it has, the task
/// ends when the job does. co_await rt::timeout(200ms, rt::spawn_blocking(f)) returns in time all
/// the same: it waits for the handle, drops it, and leaves the job to itself; but the runtime's end
/// waits for the job. Inside f the runtime is current: rt::spawn works, and
/// rt::this_task::stop_requested() and stop_token() tell of the job's own stop, which is that of
/// its handle. Arguments go into f's captures.
template <class F>
    requires std::is_invocable_v<F&>
auto spawn_blocking(F f, std::source_location where = std::source_location::current()) {
    return spawn(detail::run_blocking(std::move(f), where), where);
}

}  // namespace rt
