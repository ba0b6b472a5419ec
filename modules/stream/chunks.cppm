// Several values as one: a vector of n of them, or of those that came in time.
//
// A chunk that is not full yet is kept in the adaptor, so that nothing is lost with a next() that
// is withdrawn.
module;
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>
export module rt.stream:chunks;
import rt.task;
import rt.time;
import :generator;
import :part;
import :run_ahead;
import :stage;

export namespace rt {

namespace detail {

template <class S>
struct chunks_stage {
    using value_type = std::vector<typename S::value_type>;
    struct parts {
        source_part<S> source;
        timer_part limit;
    };
    static constexpr auto name = "rt::chunks";
    static constexpr bool ends = true;
    S from;
    std::size_t size;
    std::source_location where;
    std::optional<std::chrono::nanoseconds> wait{};  // from the first value of a chunk
    value_type kept{};
    steady_time deadline{};

    bool poll(attempt& now, parts& all, std::optional<value_type>& to) {
        while (all.source.ready(now, from)) {
            auto value = all.source.take();
            if (!value) return kept.empty() || deliver(to);
            if (wait && kept.empty()) deadline = saturating_add(now.now(name, where), *wait);
            kept.push_back(*std::move(value));
            if (kept.size() == size) return deliver(to);
            if (!now.go_on()) break;
        }
        return wait && !kept.empty() && all.limit.ready(now, deadline) && deliver(to);
    }

private:
    bool deliver(std::optional<value_type>& to) {
        to.emplace(std::exchange(kept, {}));
        return true;
    }
};

template <class S>
stream<std::vector<typename S::value_type>> chunks_generator(S from, std::size_t size) {
    std::vector<typename S::value_type> kept;
    while (auto value = co_await from.next()) {
        kept.push_back(*std::move(value));
        if (kept.size() == size) co_yield std::exchange(kept, {});
    }
    if (!kept.empty()) co_yield std::move(kept);
}

inline void check_chunk(std::size_t size, std::source_location where) {
    if (size == 0) misuse("chunks of 0 values: 1 is the smallest", where);
}

}  // namespace detail

/// n values at a time, n being 1 at least, as a std::vector; the last one may be shorter. After an
/// exception a chunk that was not full is gone. Lossless if the source is: what has come of a chunk
/// is kept.
template <stream_of_values S>
auto chunks(S from, std::size_t n, std::source_location where = std::source_location::current()) {
    detail::check_chunk(n, where);
    if constexpr (lossless_stream<S>) {
        return detail::staged(detail::chunks_stage<S>{std::move(from), n, where});
    } else {
        return detail::chunks_generator(std::move(from), n);
    }
}

/// As chunks, but a chunk whose first value came that long ago is delivered as it is: at the latest
/// then, if somebody waits. Always lossless: a coroutine generator runs in a task of its own (see
/// run_ahead).
template <stream_of_values S, class Rep, class Period>
auto chunks_timeout(S from, std::size_t n, std::chrono::duration<Rep, Period> wait,
                    std::source_location where = std::source_location::current()) {
    detail::check_chunk(n, where);
    using source = detail::made_lossless_t<S>;
    return detail::staged(detail::chunks_stage<source>{
        detail::made_lossless(std::move(from), where), n, where, detail::to_nanoseconds(wait)});
}

}  // namespace rt
