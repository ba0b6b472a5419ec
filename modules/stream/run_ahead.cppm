// A stream in a task of its own: how a coroutine generator comes to be lossless.
//
// A generator cannot be withdrawn in the middle. So whoever must wait for it and for something else
// at once, merge for one, has it run in a task that sends its values through a channel, and waits
// for the channel.
module;
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <utility>
#include <variant>
export module rt.stream:run_ahead;
import rt.task;
import rt.sync;
import :part;
import :stage;

export namespace rt {

namespace detail {

template <class T>
using value_or_failure = std::variant<T, std::exception_ptr>;

template <class S>
task<> send_all(S from, sender<value_or_failure<typename S::value_type>> to) {
    using item = value_or_failure<typename S::value_type>;
    std::exception_ptr failed;
    try {
        while (auto value = co_await from.next()) {
            if (!co_await to.send(item(std::in_place_index<0>, *std::move(value)))) co_return;
        }
    } catch (...) {
        failed = std::current_exception();
    }
    if (failed) (void)co_await to.send(item(std::in_place_index<1>, std::move(failed)));
}

template <class S>
struct run_ahead_stage {
    using value_type = typename S::value_type;
    using item = value_or_failure<value_type>;
    using parts = source_part<receiver<item>>;
    static constexpr auto name = "rt::run_ahead";
    static constexpr bool ends = true;
    S from;
    std::source_location where;
    std::optional<receiver<item>> values{};
    join_handle<> runs{};

    bool poll(attempt& now, parts& source, std::optional<value_type>& to) {
        if (!values) {
            auto ends = channel<item>(1);
            values.emplace(std::move(ends.second));
            runs = spawn(send_all(std::move(from), std::move(ends.first)), where);
        }
        if (!source.ready(now, *values)) return false;
        auto value = source.take();
        if (!value) return true;
        if (auto* failed = std::get_if<1>(&*value)) std::rethrow_exception(std::move(*failed));
        to.emplace(std::get<0>(*std::move(value)));
        return true;
    }
};

/// The stream itself if it is lossless; else run ahead.
template <stream_of_values S>
auto made_lossless(S from, std::source_location where) {
    if constexpr (lossless_stream<S>) {
        return from;
    } else {
        return staged(run_ahead_stage<S>{std::move(from), where});
    }
}
template <class S>
using made_lossless_t = decltype(made_lossless(std::declval<S>(), std::source_location()));

}  // namespace detail

/// The stream runs in a task of its own, spawned with the first next(), and up to two values ahead
/// of its consumer. next() is lossless, whatever the stream's own is. Values must not throw when
/// they are moved.
///
/// Dropped, it requests the stop of that task and does not wait: the stream must not borrow from
/// a scope that ends with it.
template <stream_of_values S>
auto run_ahead(S from, std::source_location where = std::source_location::current()) {
    return detail::staged(detail::run_ahead_stage<S>{std::move(from), where});
}

}  // namespace rt
