// select_any, join_all and try_join_all: select and join of as many as a range has, all of one
// type.
//
// The protocols are those of :select, of which this has the part without task arms, and of :join.
// What select and join keep in a tuple is in a vector here, which is their only allocation.
module;
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <ranges>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:range;
import :combine;
import :coroutine;
import :executor;
import :join;
import :leaf;
import :misuse;
import :operation;
import :result;
import :select;

export namespace rt {

namespace detail {

/// What a loop over a range hands on: a container that is given away gives its elements away.
template <class R>
using element_t =
    std::conditional_t<std::is_lvalue_reference_v<R> || std::ranges::view<std::remove_cvref_t<R>>,
                       std::ranges::range_reference_t<R>, std::ranges::range_rvalue_reference_t<R>>;

template <class Arm>
class [[nodiscard("it does nothing until it is co_awaited")]] select_any_op final : public wait_op {
public:
    using value_type = std::pair<std::size_t, value_or_monostate<typename Arm::value_type>>;

    select_any_op(std::vector<Arm>&& arms, std::source_location where) noexcept
        : arms_(std::move(arms)), where_(where) {}
    select_any_op(select_any_op&& other) noexcept  // before it is awaited
        : wait_op(std::move(other)), arms_(std::move(other.arms_)), where_(other.where_) {}
    ~select_any_op() { delist_all(); }

    bool await_ready() noexcept {
        if (arms_.empty()) misuse("rt::select_any of nothing would wait for ever", where_);
        first_ = env_->exec().random() % arms_.size();
        for (std::size_t i = 0; i < arms_.size(); ++i)
            arms_[i].bind(*this, *env_, commit_, static_cast<std::uint32_t>(i));
        starved_ = !env_->charge();
        if (starved_) return false;
        commit_.start_trying();
        return try_all();
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        suspend_in(h.promise());
        if (!starved_) return begin();
        if (env_->stop_requested()) return unwind(*frame_);
        for (auto& arm : arms_) arm.hold();
        env_->exec().count_forced_yield();
        env_->exec().post_later(*this);
        return std::noop_coroutine();
    }
    value_type await_resume() {
        auto index = static_cast<std::size_t>(commit_.winner());
        if constexpr (std::is_void_v<typename Arm::value_type>) {
            arms_[index].take();
            return {index, {}};
        } else {
            return {index, arms_[index].take()};
        }
    }

    bool withdraw() noexcept override { return commit_.claim_to_stop(); }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({"rt::select_any", where_, depth});
        for (auto& arm : arms_) arm.describe(to, depth + 1);
    }
    std::coroutine_handle<> wake() noexcept override {
        if (starved_) {
            starved_ = false;
            if (env_->stop_requested()) return unwind(*frame_);
            (void)env_->charge();
            commit_.start_trying();
            return try_all() ? deliver() : begin();
        }
        if (!withdrawn_ && commit_.winner() < 0) return wait();  // woken to try
        delist_all();
        return withdrawn_ ? unwind(*frame_) : deliver();
    }

private:
    std::coroutine_handle<> begin() noexcept {
        if (env_->stop_requested()) return unwind(*frame_);
        if (in_turn([](Arm& arm) { return arm.enlist(); })) {
            delist_all();
            return deliver();
        }
        return commit_.reopen() ? env_->arm(*this) : wait();
    }
    std::coroutine_handle<> wait() noexcept {
        do {
            if (try_all()) {
                delist_all();
                return deliver();
            }
        } while (!commit_.reopen());
        return env_->arm(*this);
    }
    bool try_all() noexcept {
        return in_turn([](Arm& arm) { return arm.try_now(); });
    }
    /// While trying: true when an arm has its result.
    template <class F>
    bool in_turn(F attempt) noexcept {
        for (std::size_t i = 0; i < arms_.size(); ++i) {
            auto index = (first_ + i) % arms_.size();
            if (!attempt(arms_[index])) continue;
            commit_.win(static_cast<std::uint32_t>(index));
            return true;
        }
        return false;
    }
    void delist_all() noexcept {
        for (auto& arm : arms_) arm.delist();
    }

    std::vector<Arm> arms_;
    std::source_location where_;
    commit_word commit_;
    std::size_t first_ = 0;
    bool starved_ = false;
};

template <bool StopOnFailure, class T>
class [[nodiscard("it does nothing until it is co_awaited")]] join_range_op final
    : public joining<join_range_op<StopOnFailure, T>, StopOnFailure> {
    using inner_type = std::conditional_t<StopOnFailure, result_value_t<T>, T>;
    static constexpr bool gives_nothing = std::is_void_v<inner_type>;
    using values =
        std::conditional_t<gives_nothing, void, std::vector<value_or_monostate<inner_type>>>;

public:
    using value_type = std::conditional_t<StopOnFailure, result<values>, values>;
    static constexpr const char* name = StopOnFailure ? "rt::try_join_all" : "rt::join_all";

    explicit join_range_op(std::vector<child<T>>&& children) noexcept
        : children_(std::move(children)) {}
    join_range_op(join_range_op&&) noexcept = default;

    bool await_ready() const noexcept { return children_.empty(); }
    value_type await_resume() {
        if (this->failed_) std::rethrow_exception(std::move(this->failed_));
        if constexpr (StopOnFailure) {
            if (this->error_) return this->error_;
        }
        if constexpr (!gives_nothing) {
            values all;
            all.reserve(children_.size());
            for (auto& c : children_) {
                if constexpr (StopOnFailure && is_result<T>) {
                    all.push_back(*c.take());
                } else {
                    all.push_back(c.take());
                }
            }
            return all;
        } else if constexpr (StopOnFailure) {
            return {};
        }
    }
    template <class F>
    void each_child(F f) {
        for (auto& c : children_) f(c);
    }

private:
    std::vector<child<T>> children_;
};

template <bool StopOnFailure, class R>
auto make_join_range(R&& range) {
    using body = decltype(to_task(std::declval<element_t<R>>()));
    std::vector<child<typename body::value_type>> children;
    if constexpr (std::ranges::sized_range<R>) children.reserve(std::ranges::size(range));
    for (auto&& each : range) children.emplace_back(to_task(static_cast<element_t<R>&&>(each)));
    return join_range_op<StopOnFailure, typename body::value_type>(std::move(children));
}

}  // namespace detail

/// co_await rt::select_any(range): waits for the first of operations, or join_handles, of one type:
/// a pair of its index and its value (std::monostate for void).
///
/// As select: exactly one wins, in random order where several are ready; the others have taken
/// nothing; a stop withdraws all; resumes on the task's executor. It costs one allocation, and
/// looks at each: tasks that come and go belong into a join_set. An empty range is misuse.
///     auto [i, value] = co_await rt::select_any(handles);
///     auto [i, value] = co_await rt::select_any(receivers | std::views::transform(
///         [](auto& rx) { return rx.recv(); }));
template <std::ranges::input_range R>
auto select_any(R&& range, std::source_location where = std::source_location::current()) {
    static_assert(!is_task<std::remove_cvref_t<detail::element_t<R>>> &&
                      !detail::is_allowed_loss<std::remove_cvref_t<detail::element_t<R>>>,
                  "rt::select_any takes operations and join_handles: put tasks into an "
                  "rt::join_set, and await its next()");
    std::vector<detail::arm_t<detail::element_t<R>>> arms;
    if constexpr (std::ranges::sized_range<R>) arms.reserve(std::ranges::size(range));
    for (auto&& each : range)
        arms.push_back(detail::make_arm(static_cast<detail::element_t<R>&&>(each)));
    return detail::select_any_op(std::move(arms), where);
}

/// As join, of a range of tasks or operations of one type: a std::vector of what they give, in the
/// order of the range; void of void.
template <std::ranges::input_range R>
auto join_all(R&& range) {
    return detail::make_join_range<false>(std::forward<R>(range));
}

/// As try_join, of a range: a std::vector of the values inside, or void, in a result.
template <std::ranges::input_range R>
auto try_join_all(R&& range) {
    return detail::make_join_range<true>(std::forward<R>(range));
}

}  // namespace rt
