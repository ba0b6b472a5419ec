// Streams and the clock: throttle slows one down, timeout_each tells when it is late.
//
// The instant that counts is kept in the adaptor: a next() that is withdrawn and made again does
// not begin the wait anew.
module;
#include <chrono>
#include <coroutine>
#include <optional>
#include <source_location>
#include <utility>
export module rt.stream:pace;
import rt.task;
import rt.time;
import :generator;
import :part;
import :run_ahead;
import :stage;

export namespace rt {

namespace detail {

template <class S>
struct timeout_stage {
    using value_type = result<result_value_t<typename S::value_type>>;
    struct parts {
        source_part<S> source;
        timer_part limit;
    };
    static constexpr auto name = "rt::timeout_each";
    static constexpr bool ends = true;
    S from;
    std::chrono::nanoseconds limit;
    std::source_location where;
    std::optional<steady_time> deadline{};

    bool poll(attempt& now, parts& all, std::optional<value_type>& to) {
        if (!deadline) deadline = saturating_add(now.now(name, where), limit);
        if (all.source.ready(now, from)) {
            if (auto value = all.source.take()) to.emplace(*std::move(value));
        } else if (all.limit.ready(now, *deadline)) {
            to.emplace(errc::timed_out);
        } else {
            return false;
        }
        deadline.reset();
        return true;
    }
};

template <class S>
struct throttle_stage {
    using value_type = typename S::value_type;
    struct parts {
        source_part<S> source;
        timer_part pause;
        bool over = false;  // the pause
    };
    static constexpr auto name = "rt::throttle";
    static constexpr bool ends = true;
    S from;
    std::chrono::nanoseconds period;
    std::source_location where;
    std::optional<steady_time> next{};  // not before

    bool poll(attempt& now, parts& all, std::optional<value_type>& to) {
        all.over = all.over || !next || all.pause.ready(now, *next);
        if (!all.over || !all.source.ready(now, from)) return false;
        if (auto value = all.source.take()) to.emplace(*std::move(value));
        next = saturating_add(now.now(name, where), period);
        return true;
    }
};

template <class S>
stream<typename S::value_type> throttle_generator(S from, std::chrono::nanoseconds period,
                                                  std::source_location where) {
    while (auto value = co_await from.next()) {
        auto next = saturating_add(co_await this_task::now(where), period);
        co_yield *std::move(value);
        co_await sleep_until(next, where);
    }
}

}  // namespace detail

/// Each next() waits for its value so long at most: result<T> (one result, if the values are
/// results), errc::timed_out when it did not come in time. The stream goes on after that, and the
/// limit counts from the following next(). A value that is there wins.
///
/// Always lossless: nothing is lost with a timeout either, because a coroutine generator runs in a
/// task of its own (see run_ahead).
template <stream_of_values S, class Rep, class Period>
auto timeout_each(S from, std::chrono::duration<Rep, Period> limit,
                  std::source_location where = std::source_location::current()) {
    using source = detail::made_lossless_t<S>;
    return detail::staged(detail::timeout_stage<source>{
        detail::made_lossless(std::move(from), where), detail::to_nanoseconds(limit), where});
}

/// At least a period between a value and the next one; values that come faster wait in the source.
/// The first one does not wait. Lossless if the source is.
template <stream_of_values S, class Rep, class Period>
auto throttle(S from, std::chrono::duration<Rep, Period> period,
              std::source_location where = std::source_location::current()) {
    if constexpr (lossless_stream<S>) {
        return detail::staged(
            detail::throttle_stage<S>{std::move(from), detail::to_nanoseconds(period), where});
    } else {
        return detail::throttle_generator(std::move(from), detail::to_nanoseconds(period), where);
    }
}

}  // namespace rt
