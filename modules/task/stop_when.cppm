// Bridges between a scope's stop and stop tokens, those of std and those of rt.
//
// In, a callback of the token is one more canceller of the body, which needs a scope of its own for
// that; it does not touch the scope once its count is zero, and one that is running on another
// thread is waited for by its destructor. Out, a token of the scope has a callback that requests
// the stop of a source.
module;
#include <concepts>
#include <coroutine>
#include <functional>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
export module rt.task:stop_when;
import :combine;
import :coroutine;
import :operation;
import :result;
import :scope;
import :stop;

export namespace rt {

namespace detail {

template <class Token, class F>
using callback_of = std::conditional_t<std::is_same_v<Token, std::stop_token>,
                                       std::stop_callback<F>, stop_callback<F>>;

template <class T, class Token>
class [[nodiscard("it does nothing until it is co_awaited")]] stop_when_op final
    : public scope_op<T> {
public:
    using value_type = result<result_value_t<T>>;
    stop_when_op(Token token, task<T>&& body) noexcept
        : scope_op<T>(std::move(body)), token_(std::move(token)) {}
    stop_when_op(stop_when_op&& other) noexcept  // before it is awaited
        : scope_op<T>(std::move(other)), token_(std::move(other.token_)) {}

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        return this->run(h.promise(), [this]() noexcept {
            if (this->env_->stop_requested()) this->body_.env.request_stop();
            callback_.emplace(std::move(token_), stops_body{this});
        });
    }
    value_type await_resume() {
        if (this->body_.was_stopped) return errc::stopped;
        if constexpr (std::is_void_v<T>) {
            this->body_.take();
            return {};
        } else {
            return this->body_.take();
        }
    }
    bool withdraw() noexcept override {
        this->stop_body();
        return false;
    }
    std::coroutine_handle<> wake() noexcept override {
        bool stopped = this->body_.was_stopped && this->env_->stop_requested();
        return stopped ? unwind(*this->frame_) : this->deliver();
    }

private:
    const char* what() const noexcept override { return "rt::stop_when"; }
    struct stops_body {
        stop_when_op* self;
        void operator()() const noexcept { self->stop_body(); }
    };
    Token token_;
    std::optional<callback_of<Token, stops_body>> callback_;
};

template <class Token, class T>
auto make_stop_when(Token token, task<T>&& body) {
    return stop_when_op<T, Token>(std::move(token), std::move(body));
}

/// What a body is given: a token of std where it takes one.
template <class F>
using token_for =
    std::conditional_t<std::invocable<F&, std::stop_token>, std::stop_token, stop_token>;
template <class F>
using following_t = std::invoke_result_t<F&, token_for<F>>;

}  // namespace detail

/// co_await rt::stop_when(token, x): runs a task or operation until it ends, or a stop is requested
/// at the token: its value in a result (one result, if it gives one), or errc::stopped.
///
/// The token's request stops x as a handle's stop() would, on the task's executor, and x has ended
/// when this returns; when the request came first, x does not begin. What x throws is rethrown. A
/// stop of the calling scope stops x, too, and takes effect. In a select it needs allow_loss().
template <class A>
auto stop_when(std::stop_token token, A&& awaited) {
    return detail::make_stop_when(std::move(token), detail::to_task(std::forward<A>(awaited)));
}
template <class A>
auto stop_when(stop_token token, A&& awaited) {
    return detail::make_stop_when(token, detail::to_task(std::forward<A>(awaited)));
}

/// Runs body(token), a callable that gives a task: its value. The token is a std::stop_token if
/// body takes one, else an rt::stop_token; a stop of the calling scope is requested there, and
/// stops body as ever.
///
/// For what rt cannot withdraw, and asks a token: another library's thread. Callbacks of the token
/// run on the thread that requests the stop, within that request: they do not wait.
template <class F>
    requires is_task<detail::following_t<F>>
task<typename detail::following_t<F>::value_type> with_stop_token(F body) {
    auto token = this_task::stop_token();
    if constexpr (std::same_as<detail::token_for<F>, stop_token>) {
        co_return co_await std::invoke(body, std::move(token));
    } else {
        std::stop_source source;
        stop_callback hands_on(std::move(token), [&]() noexcept { source.request_stop(); });
        co_return co_await std::invoke(body, source.get_token());
    }
}

}  // namespace rt
