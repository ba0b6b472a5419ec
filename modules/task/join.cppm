// join: several things at once, within one task, until all have ended.
module;
#include <coroutine>
#include <cstddef>
#include <exception>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:join;
import :combine;
import :coroutine;
import :executor;
import :operation;
import :result;

export namespace rt {

namespace detail {

/// A join, whatever it keeps its children in: Self has each_child(f).
template <class Self, bool StopOnFailure>
class joining : public combinator {
public:
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        suspend_in(h.promise());
        strand_.bind(env_->exec());
        hold();
        strand_.enter();
        self().each_child([this](auto& c) {
            c.start(strand_, env_->identity(), *this,
                    &on_end<std::remove_reference_t<decltype(c)>>);
        });
        strand_.leave();
        if (drop()) return wake();
        return env_->arm(*this);
    }
    /// The children end first, whatever they wait for; then this is resumed or unwound.
    bool withdraw() noexcept override {
        stop_all();
        return false;
    }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({Self::name, where_, depth});
        self().each_child([&](auto& c) { c.env.describe(to, depth + 1); });
    }
    std::coroutine_handle<> wake() noexcept override {
        bool stopped = false;
        if (!failed_ && !error_)
            self().each_child([&](auto& c) { stopped = stopped || c.was_stopped; });
        return stopped ? unwind(*frame_) : deliver();
    }

protected:
    joining() noexcept = default;
    joining(joining&& other) noexcept : combinator(std::move(other)) {}  // before it is awaited
    ~joining() = default;

    strand strand_{*this};
    std::exception_ptr failed_;
    std::error_code error_;

private:
    Self& self() noexcept { return static_cast<Self&>(*this); }
    template <class Child>
    static child_link::next_step on_end(child_link& link, child_link::ending how) noexcept {
        auto& c = static_cast<Child&>(link);
        auto& join = static_cast<joining&>(c.owner());
        c.was_stopped = how == child_link::ending::stopped;
        if (!join.failed_ && !join.error_) {  // the strand runs one child at a time
            if (auto* threw = std::get_if<2>(&c.outcome)) join.failed_ = std::move(*threw);
            if constexpr (StopOnFailure) {
                join.error_ = c.error();
                if (join.failed_ || join.error_) join.stop_all();
            }
        }
        join.drop_and_post();
        return {nullptr, std::noop_coroutine()};
    }
    void stop_all() noexcept {
        if (!hold_unless_over()) return;
        self().each_child([](auto& c) { c.env.request_stop(); });
        drop_and_post();
    }
};

template <bool StopOnFailure, class... Ts>
class [[nodiscard("it does nothing until it is co_awaited")]] join_children final
    : public joining<join_children<StopOnFailure, Ts...>, StopOnFailure> {
public:
    static constexpr const char* name = StopOnFailure ? "rt::try_join" : "rt::join";
    explicit join_children(task<Ts>&&... bodies) : children_(std::move(bodies)...) {}
    join_children(join_children&&) noexcept = default;

    bool await_ready() const noexcept { return false; }
    auto await_resume() {
        if (this->failed_) std::rethrow_exception(std::move(this->failed_));
        if constexpr (StopOnFailure) {
            using values = std::tuple<value_or_monostate<result_value_t<Ts>>...>;
            if (this->error_) return result<values>(this->error_);
            return result<values>(
                std::apply([](auto&... c) { return values{inner(c)...}; }, children_));
        } else {
            using values = std::tuple<value_or_monostate<Ts>...>;
            return std::apply([](auto&... c) { return values{whole(c)...}; }, children_);
        }
    }
    template <class F>
    void each_child(F f) {
        std::apply([&](auto&... c) { (f(c), ...); }, children_);
    }

private:
    template <class T>
    static value_or_monostate<T> whole(child<T>& c) {
        if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            return c.take();
        }
    }
    template <class T>
    static value_or_monostate<result_value_t<T>> inner(child<T>& c) {
        if constexpr (std::is_void_v<result_value_t<T>>) {
            return {};
        } else if constexpr (is_result<T>) {
            return *c.take();
        } else {
            return c.take();
        }
    }

    std::tuple<child<Ts>...> children_;
};

template <bool StopOnFailure, class... Ts>
auto make_join(task<Ts>... bodies) {
    return join_children<StopOnFailure, Ts...>(std::move(bodies)...);
}

}  // namespace detail

/// Runs tasks and operations concurrently, within the calling task, and waits for all: a tuple of
/// what they give (std::monostate for void). They take turns and never run at the same time, under
/// either flavor. If one throws, the others run to their end; then the first exception is rethrown.
/// A stop stops all.
template <class... As>
auto join(As&&... awaited) {
    return detail::make_join<false>(detail::to_task(std::forward<As>(awaited))...);
}

/// As join, but the first failure, an exception or an error value, stops the others; once all have
/// ended it is rethrown, or returned: result<std::tuple<...>> of the values inside the results.
template <class... As>
auto try_join(As&&... awaited) {
    return detail::make_join<true>(detail::to_task(std::forward<As>(awaited))...);
}

}  // namespace rt
