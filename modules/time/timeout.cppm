// timeout: anything, with a limit.
module;
#include <chrono>
#include <coroutine>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.time:timeout;
import rt.task;
import :clock;
import :sleep;

export namespace rt {

namespace detail {

template <class A>
auto limited_arm(A&& awaited) {
    if constexpr (lossless_operation<A>) {
        return std::move(awaited);
    } else {
        return allow_loss(std::move(awaited));  // errc::timed_out tells that it was cut off
    }
}

template <class A>
using timeout_result_t = result<result_value_t<await_result_t<A>>>;

template <class A>
task<timeout_result_t<A>> timeout_at(sleep_op limit, A awaited, std::source_location where) {
    using value = await_result_t<A>;
    auto arm = limited_arm(std::move(awaited));
    if constexpr (requires { arm.deadline; })
        arm.deadline = limit.starting_at(co_await this_task::now());
    auto both = make_select<true>(true, make_arm(std::move(arm)), make_arm(std::move(limit)));
    both.set_place(where);
    auto first = co_await std::move(both);
    if (first.index() == 1) co_return errc::timed_out;
    if constexpr (std::is_void_v<value>) {
        co_return {};
    } else {
        co_return std::move(std::get<0>(first));
    }
}

}  // namespace detail

/// Awaits an operation or a task, for so long at most: its value in a result (one result, if it
/// gives one), or errc::timed_out. When it is ready it wins, even with 0. On expiry it is stopped,
/// and has ended, before this returns: an operation that the kernel cannot withdraw delays it. The
/// limit counts from the await. In a task that is limited rt::this_task::deadline() tells it.
template <class Rep, class Period, class A>
auto timeout(std::chrono::duration<Rep, Period> limit, A awaited,
             std::source_location where = std::source_location::current()) {
    return detail::timeout_at(sleep(limit, where), std::move(awaited), where);
}
template <class A>
auto timeout_at(steady_time limit, A awaited,
                std::source_location where = std::source_location::current()) {
    return detail::timeout_at(sleep_until(limit, where), std::move(awaited), where);
}

}  // namespace rt
