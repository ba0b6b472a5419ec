// Adaptors over whatever models the stream concept: channels' receivers, intervals, listeners,
// generators.
module;
#include <coroutine>
#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
export module rt.stream:adaptors;
import rt.task;
import :generator;

export namespace rt {

/// f of every value.
template <stream_of_values S, class F>
stream<std::remove_cvref_t<std::invoke_result_t<F&, typename S::value_type>>> map(S from, F f) {
    while (auto value = co_await from.next()) co_yield std::invoke(f, *std::move(value));
}

/// The values for which the predicate holds.
template <stream_of_values S, class P>
stream<typename S::value_type> filter(S from, P keep) {
    while (auto value = co_await from.next()) {
        if (std::invoke(keep, std::as_const(*value))) co_yield *std::move(value);
    }
}

/// The first n values; the source is not asked for more.
template <stream_of_values S>
stream<typename S::value_type> take(S from, std::size_t n) {
    for (; n > 0; --n) {
        auto value = co_await from.next();
        if (!value) co_return;
        co_yield *std::move(value);
    }
}

}  // namespace rt
