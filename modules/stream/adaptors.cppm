// map, filter and take: one value of the source at a time.
//
// Over a lossless stream each is lossless itself (:stage says why); f and the predicate run only
// for a value that has been taken, and a value that filter declines is no one's loss. Over a
// coroutine generator, which cannot be withdrawn in the middle, each is a generator too.
module;
#include <coroutine>
#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>
export module rt.stream:adaptors;
import rt.task;
import :generator;
import :part;
import :stage;

export namespace rt {

namespace detail {

template <class S, class F>
using mapped_t = std::remove_cvref_t<std::invoke_result_t<F&, typename S::value_type>>;

template <class S, class F>
struct map_stage {
    using value_type = mapped_t<S, F>;
    using parts = source_part<S>;
    static constexpr auto name = "rt::map";
    static constexpr bool ends = true;
    S from;
    F f;

    bool poll(attempt& now, parts& source, std::optional<value_type>& to) {
        if (!source.ready(now, from)) return false;
        if (auto value = source.take()) to.emplace(std::invoke(f, *std::move(value)));
        return true;
    }
};

template <class S, class F>
stream<mapped_t<S, F>> map_generator(S from, F f) {
    while (auto value = co_await from.next()) co_yield std::invoke(f, *std::move(value));
}

template <class S, class P>
struct filter_stage {
    using value_type = typename S::value_type;
    using parts = source_part<S>;
    static constexpr auto name = "rt::filter";
    static constexpr bool ends = true;
    S from;
    P keep;

    bool poll(attempt& now, parts& source, std::optional<value_type>& to) {
        do {
            if (!source.ready(now, from)) return false;
            auto value = source.take();
            if (!value) return true;
            if (std::invoke(keep, std::as_const(*value))) {
                to.emplace(*std::move(value));
                return true;
            }
        } while (now.go_on());
        return false;
    }
};

template <class S, class P>
stream<typename S::value_type> filter_generator(S from, P keep) {
    while (auto value = co_await from.next()) {
        if (std::invoke(keep, std::as_const(*value))) co_yield *std::move(value);
    }
}

template <class S>
struct take_stage {
    using value_type = typename S::value_type;
    using parts = source_part<S>;
    static constexpr auto name = "rt::take";
    static constexpr bool ends = true;
    S from;
    std::size_t left;

    bool poll(attempt& now, parts& source, std::optional<value_type>& to) {
        if (left == 0) return true;
        if (!source.ready(now, from)) return false;
        --left;
        if (auto value = source.take()) to.emplace(*std::move(value));
        return true;
    }
};

template <class S>
stream<typename S::value_type> take_generator(S from, std::size_t n) {
    for (; n > 0; --n) {
        auto value = co_await from.next();
        if (!value) co_return;
        co_yield *std::move(value);
    }
}

}  // namespace detail

/// f of every value. What f throws comes out of next() once, and ends the stream. f runs in the
/// task that awaits next(). Lossless if the source is.
template <stream_of_values S, class F>
auto map(S from, F f) {
    static_assert(std::is_invocable_v<F&, typename S::value_type>,
                  "rt::map(stream, f): f takes a value of the stream");
    static_assert(!std::is_void_v<std::invoke_result_t<F&, typename S::value_type>>,
                  "rt::map(stream, f): f returns a value; to do something with each, loop: "
                  "while (auto value = co_await stream.next())");
    if constexpr (lossless_stream<S>) {
        return detail::staged(detail::map_stage<S, F>{std::move(from), std::move(f)});
    } else {
        return detail::map_generator(std::move(from), std::move(f));
    }
}

/// The values for which the predicate holds; as map otherwise. A value that it declines is gone,
/// whoever wins the select.
template <stream_of_values S, class P>
auto filter(S from, P keep) {
    static_assert(std::is_invocable_r_v<bool, P&, const typename S::value_type&>,
                  "rt::filter(stream, keep): keep(const value&) returns a bool");
    if constexpr (lossless_stream<S>) {
        return detail::staged(detail::filter_stage<S, P>{std::move(from), std::move(keep)});
    } else {
        return detail::filter_generator(std::move(from), std::move(keep));
    }
}

/// The first n values; the source is not asked for more. Lossless if the source is.
template <stream_of_values S>
auto take(S from, std::size_t n) {
    if constexpr (lossless_stream<S>) {
        return detail::staged(detail::take_stage<S>{std::move(from), n});
    } else {
        return detail::take_generator(std::move(from), n);
    }
}

/// A stream that stays where it is, as a stream to be adapted: take(borrow(rx), 3). It must outlive
/// what is made of it.
template <stream_of_values S>
class [[nodiscard]] borrow {
public:
    using value_type = typename S::value_type;
    explicit borrow(S& from [[clang::lifetimebound]]) noexcept : from_(&from) {}
    auto next() noexcept(noexcept(std::declval<S&>().next())) { return from_->next(); }

private:
    S* from_;
};

/// All values to the end, as a task.
template <stream_of_values S>
task<std::vector<typename S::value_type>> collect(S from) {
    std::vector<typename S::value_type> all;
    while (auto value = co_await from.next()) all.push_back(*std::move(value));
    co_return all;
}

}  // namespace rt
