// with: a resource whose close is asynchronous, which a destructor cannot be.
//
// The body runs in a scope of its own, so that its end, by a stop too, comes back here as a value;
// the close runs in a shielded one. Only then does this frame go on, rethrow or unwind.
module;
#include <coroutine>
#include <exception>
#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>
export module rt.task:with;
import :coroutine;
import :result;
import :scope;
import :spawn;

export namespace rt {

namespace detail {

template <class F, class R>
using applied_t = std::invoke_result_t<F&, R&>;

/// What f itself throws is the task's exception.
template <class F, class R>
applied_t<F, R> apply_to(F& f, R& resource) {
    auto place = co_await own_place();
    co_return co_await std::invoke(f, resource).enter(place);
}

/// T, in a result if C is one.
template <class T, class C>
using with_result_t = std::conditional_t<is_result<C>, result<result_value_t<T>>, T>;

/// Of the running task, where it cannot be returned.
void report_unhandled(std::exception_ptr exception, std::error_code error) noexcept;

}  // namespace detail

/// Runs body(resource), and then close(resource), both of them callables that give a task: close
/// once, on whichever way body ends: return, error value, exception, or a stop, before it began
/// too.
///
/// close runs shielded. A stop that ended body takes effect after it. What body had when a stop
/// came is handed over, and the task stops where it next suspends. The value is body's, in a result
/// if close gives one. The first failure, an exception or an error value, of body, else of close,
/// is rethrown or returned, also when a stop was requested; a failure of close after one of body
/// goes to on_unhandled. The resource moves into the frame (std::ref(x) leaves it outside); before
/// with() is awaited nothing runs, close neither.
template <class R, class F, class C>
    requires is_task<detail::applied_t<F, R>> && is_task<detail::applied_t<C, R>>
auto with(R resource, F body, C close)
    -> task<detail::with_result_t<typename detail::applied_t<F, R>::value_type,
                                  typename detail::applied_t<C, R>::value_type>> {
    using body_value = typename detail::applied_t<F, R>::value_type;
    using close_value = typename detail::applied_t<C, R>::value_type;

    auto place = co_await detail::own_place();
    auto guarded =
        detail::inner_op<body_value, outcome<body_value>>(detail::apply_to(body, resource));
    guarded.set_place(place);
    auto ended = co_await std::move(guarded);
    auto failed = ended.exception() != nullptr;
    if constexpr (is_result<body_value>)
        failed = failed || (ended.has_value() && !ended.value().has_value());

    // Where body was stopped, this scope was: it goes on from here only with a failure of close.
    auto closing = detail::shield_op<close_value, outcome<close_value>>(
        detail::apply_to(close, resource), ended.stopped());
    closing.set_place(place);
    auto closed = co_await std::move(closing);
    std::error_code error;
    if constexpr (is_result<close_value>) {
        if (closed.has_value()) error = closed.value().error();
    }
    if (failed) {
        if (closed.exception() || error) detail::report_unhandled(closed.exception(), error);
    } else {
        if (closed.exception()) std::rethrow_exception(closed.exception());
        if constexpr (is_result<close_value>) {
            if (error) co_return error;
        }
    }
    if (ended.exception()) std::rethrow_exception(ended.exception());
    if constexpr (!std::is_void_v<body_value>) {
        co_return std::move(ended.value());
    } else if constexpr (is_result<close_value>) {
        co_return {};
    }
}

}  // namespace rt
