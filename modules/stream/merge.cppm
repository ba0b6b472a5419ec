// Several streams as one: chain, one after another; merge, all at once.
module;
#include <bitset>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
export module rt.stream:merge;
import rt.task;
import :generator;
import :part;
import :run_ahead;
import :stage;

export namespace rt {

namespace detail {

template <class... S>
using common_value_t = std::common_type_t<typename S::value_type...>;

template <class A, class B>
struct chain_stage {
    using value_type = common_value_t<A, B>;
    struct parts {
        source_part<A> first;
        source_part<B> second;
    };
    static constexpr auto name = "rt::chain";
    static constexpr bool ends = true;
    std::optional<A> first;
    B second;

    bool poll(attempt& now, parts& sources, std::optional<value_type>& to) {
        if (first) {
            if (!sources.first.ready(now, *first)) return false;
            if (auto value = sources.first.take()) {
                to.emplace(*std::move(value));
                return true;
            }
            first.reset();
        }
        if (!sources.second.ready(now, second)) return false;
        if (auto value = sources.second.take()) to.emplace(*std::move(value));
        return true;
    }
};

template <class A, class B>
stream<common_value_t<A, B>> chain_generator(A first, B second) {
    while (auto value = co_await first.next()) co_yield *std::move(value);
    while (auto value = co_await second.next()) co_yield *std::move(value);
}

template <class... S>
struct merge_stage {
    using value_type = common_value_t<S...>;
    using parts = std::tuple<source_part<S>...>;
    static constexpr auto name = "rt::merge";
    static constexpr bool ends = true;
    static constexpr auto count = sizeof...(S);
    std::tuple<S...> from;
    std::bitset<count> ended{};
    std::size_t first = 0;  // whose turn it is

    bool poll(attempt& now, parts& sources, std::optional<value_type>& to) {
        return poll_all(now, sources, to, std::make_index_sequence<count>());
    }

private:
    template <std::size_t... I>
    bool poll_all(attempt& now, parts& sources, std::optional<value_type>& to,
                  std::index_sequence<I...>) {
        auto turn_of = first;
        return ((I >= turn_of && poll_one<I>(now, sources, to)) || ...) ||
               ((I < turn_of && poll_one<I>(now, sources, to)) || ...) || ended.all();
    }
    template <std::size_t I>
    bool poll_one(attempt& now, parts& sources, std::optional<value_type>& to) {
        auto& source = std::get<I>(sources);
        if (ended[I] || !source.ready(now, std::get<I>(from))) return false;
        auto value = source.take();
        if (!value) {
            ended.set(I);
            return false;
        }
        first = (I + 1) % count;
        to.emplace(*std::move(value));
        return true;
    }
};

}  // namespace detail

/// All values of the first stream, then all of the second, and so on; a stream is not asked before
/// its turn has come. Lossless if all of them are.
template <stream_of_values S>
auto chain(S only) {
    return only;
}
template <stream_of_values A, stream_of_values B, stream_of_values... Rest>
auto chain(A first, B second, Rest... rest) {
    auto others = chain(std::move(second), std::move(rest)...);
    using others_t = decltype(others);
    if constexpr (lossless_stream<A> && lossless_stream<others_t>) {
        return detail::staged(
            detail::chain_stage<A, others_t>{std::move(first), std::move(others)});
    } else {
        return detail::chain_generator(std::move(first), std::move(others));
    }
}

namespace detail {
template <class... S>
auto merge_at(std::source_location where, S... from) {
    return staged(
        merge_stage<made_lossless_t<S>...>{std::tuple(made_lossless(std::move(from), where)...)});
}
}  // namespace detail

/// The values of all the streams as they come; over when all of them are. Streams that are ready
/// take turns. A failure of one ends them all.
///
/// Lossless: a coroutine generator among them runs in a task of its own (see run_ahead), and must
/// not borrow from a scope that ends with the merged stream.
template <stream_of_values... S>
    requires(sizeof...(S) > 0)
auto merge(S... from) {
    return detail::merge_at(std::source_location::current(), std::move(from)...);
}

}  // namespace rt
