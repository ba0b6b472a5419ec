// A scope within a task: what runs in it is stopped, or is not, apart from the frames around it.
//
// Its body is the only child of its combinator, and whoever awaits it is suspended meanwhile, so it
// needs no strand. The count of the combinator: one for the await until the body has had its first
// turn, one for the body, one for each canceller inside. Whoever takes it to zero completes the
// await, so a canceller never meets a scope that is over. The await itself always delivers: a stop
// of the awaiting scope is handed down to the body (inner_op), or kept waiting until the body has
// ended (shield_op).
module;
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:scope;
import :combine;
import :coroutine;
import :operation;
import :result;
import :spawn;

export namespace rt {

namespace detail {

template <class T>
using optional_of = std::optional<typename stored<T>::type>;

template <class T>
class scope_op : public combinator {
public:
    bool await_ready() const noexcept { return false; }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({what(), where_, depth});
        body_.env.describe(to, depth + 1);
    }

protected:
    explicit scope_op(task<T>&& body) noexcept : body_(std::move(body)) {}
    scope_op(scope_op&& other) noexcept
        : combinator(std::move(other)), body_(std::move(other.body_)) {}
    ~scope_op() = default;

    /// prepare() may already meet cancellers.
    template <class F>
    std::coroutine_handle<> run(promise_base& frame, F prepare) noexcept {
        suspend_in(frame);
        hold();
        prepare();
        body_.start(env_->exec(), env_->identity(), *this, &on_end);
        return drop() ? wake() : env_->arm(*this);
    }
    void stop_body() noexcept {
        if (!hold_unless_over()) return;
        body_.env.request_stop();
        drop_and_post();
    }
    [[nodiscard]] bool failed() const noexcept {
        return body_.outcome.index() == 2 || body_.error();
    }

    virtual const char* what() const noexcept = 0;

    child<T> body_;

private:
    static child_link::next_step on_end(child_link& link, child_link::ending how) noexcept {
        auto& body = static_cast<child<T>&>(link);
        body.was_stopped = how == child_link::ending::stopped;
        body.owner().drop_and_post();
        return {nullptr, std::noop_coroutine()};
    }
};

/// Gives T, or an outcome<T>.
template <class T, class R = T>
class [[nodiscard("it does nothing until it is co_awaited")]] shield_op final : public scope_op<T> {
public:
    explicit shield_op(task<T>&& body, bool then_stops = true) noexcept
        : scope_op<T>(std::move(body)), then_stops_(then_stops) {}
    shield_op(shield_op&&) noexcept = default;

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        return this->run(h.promise(), []() noexcept {});
    }
    R await_resume() {
        if constexpr (std::is_same_v<R, T>) {
            return this->body_.take();
        } else {
            return outcome_of<T>(this->body_, false);
        }
    }
    bool withdraw() noexcept override { return false; }
    std::coroutine_handle<> wake() noexcept override {
        bool stops = then_stops_ && !this->failed() && this->env_->stop_requested();
        return stops ? unwind(*this->frame_) : this->deliver();
    }

private:
    const char* what() const noexcept override {
        return std::is_same_v<R, T> ? "rt::shield" : "rt::with";
    }
    bool then_stops_;
};

/// Gives an optional_of<T>, or an outcome<T>: either can say that the body was stopped.
template <class T, class R>
class [[nodiscard("it does nothing until it is co_awaited")]] inner_op final : public scope_op<T> {
public:
    explicit inner_op(task<T>&& body) noexcept : scope_op<T>(std::move(body)) {}
    inner_op(inner_op&&) noexcept = default;

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        bool stopped = this->env_->stop_requested();
        if constexpr (std::is_same_v<R, optional_of<T>>) {
            // A loop that goes on in spite of its stop ends here: nothing in it need suspend.
            if (stopped && !this->env_->charge()) return unwind(h.promise());
        }
        return this->run(h.promise(), [&]() noexcept {
            if (stopped) this->body_.env.request_stop();  // it does not begin
        });
    }
    R await_resume() {
        if constexpr (std::is_same_v<R, outcome<T>>) {
            return outcome_of<T>(this->body_, this->body_.was_stopped);
        } else {
            if (this->body_.was_stopped) return std::nullopt;
            if constexpr (std::is_void_v<T>) {
                this->body_.take();
                return std::monostate();
            } else {
                return this->body_.take();
            }
        }
    }
    bool withdraw() noexcept override {
        this->stop_body();
        return false;
    }

private:
    const char* what() const noexcept override {
        return std::is_same_v<R, outcome<T>> ? "rt::with" : "rt::as_optional";
    }
};

template <class T>
auto shield_task(task<T>&& body) {
    return shield_op<T>(std::move(body));
}
template <class T>
auto task_as_optional(task<T>&& body) {
    return inner_op<T, optional_of<T>>(std::move(body));
}

}  // namespace detail

/// co_await rt::shield(x): runs a task or operation to its end, whatever stop is requested, before
/// or meanwhile, and gives what it gives. For what must not be left half done.
///
/// A stop takes effect right after: the value is then destroyed. Only a failure, an exception or an
/// error value, is handed over first, so that it does not vanish; the task stops where it next
/// suspends. Inside, rt::this_task::stop_requested() is false, and tasks that are spawned or joined
/// there are not stopped with the caller. Resumes on the task's executor. It delays a stop, a
/// timeout and the end of the runtime until x has ended; in a select it needs allow_loss().
template <class A>
auto shield(A&& awaited) {
    return detail::shield_task(detail::to_task(std::forward<A>(awaited)));
}

/// co_await rt::as_optional(x): what a task or operation gives, in an optional (std::monostate for
/// void); empty when a stop of the calling scope was requested and x was withdrawn, or stopped and
/// taken down. What x throws is rethrown.
///
/// So a task learns of its stop, and says goodbye before it goes. It runs on afterwards until it
/// next suspends, and stops there: what it still has to wait for belongs into rt::shield(). When x
/// has its result, that wins. When the stop was requested before, x does not begin. Resumes on the
/// task's executor; in a select it needs allow_loss().
template <class A>
auto as_optional(A&& awaited) {
    return detail::task_as_optional(detail::to_task(std::forward<A>(awaited)));
}

}  // namespace rt
