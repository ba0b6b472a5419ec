// A range as a stream.
module;
#include <coroutine>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>
export module rt.stream:range;
import rt.task;
import :part;
import :stage;

export namespace rt {

namespace detail {

template <class R>
struct range_stage {
    using value_type = std::ranges::range_value_t<R>;
    struct parts {};
    static constexpr auto name = "rt::from_range";
    static constexpr bool ends = true;
    // Where it stays while the stream is moved: an iterator may point into it.
    struct state {
        R range;
        std::ranges::iterator_t<R> at;
        explicit state(R&& r) : range(std::move(r)), at(std::ranges::begin(range)) {}
    };
    std::unique_ptr<state> all;

    bool poll(attempt&, parts&, std::optional<value_type>& to) {
        if (all->at == std::ranges::end(all->range)) return true;
        if constexpr (std::ranges::view<R>) {  // the values are somebody else's
            to.emplace(*all->at);
        } else {
            to.emplace(std::ranges::iter_move(all->at));
        }
        ++all->at;
        return true;
    }
};

}  // namespace detail

/// The values of a range, in order, always ready: from_range(std::vector{1, 2, 3}),
/// from_range(std::views::iota(0)). A container is moved or copied into the stream, and its values
/// move out of it; a view must outlive the stream's use of what it shows. What its iterators throw
/// ends the stream. Lossless.
template <std::ranges::input_range R>
auto from_range(R range) {
    using state = typename detail::range_stage<R>::state;
    return detail::staged(detail::range_stage<R>{std::make_unique<state>(std::move(range))});
}

}  // namespace rt
