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

template <bool StopOnFailure, class... Ts>
class [[nodiscard("it does nothing until it is co_awaited")]] join_children final
    : public combinator {
public:
    explicit join_children(task<Ts>&&... bodies) : children_(std::move(bodies)...) {}
    join_children(join_children&& other) noexcept
        : combinator(std::move(other)), children_(std::move(other.children_)) {}

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        suspend_in(h.promise());
        strand_.bind(env_->exec());
        hold();
        strand_.enter();
        std::apply([this](auto&... c) { (this->start(c), ...); }, children_);
        strand_.leave();
        if (drop()) return wake();
        return env_->arm(*this);
    }
    auto await_resume() {
        if (failed_) std::rethrow_exception(std::move(failed_));
        if constexpr (StopOnFailure) {
            using values = std::tuple<value_or_monostate<result_value_t<Ts>>...>;
            if (error_) return result<values>(error_);
            return result<values>(
                std::apply([](auto&... c) { return values{inner(c)...}; }, children_));
        } else {
            using values = std::tuple<value_or_monostate<Ts>...>;
            return std::apply([](auto&... c) { return values{whole(c)...}; }, children_);
        }
    }
    /// The children end first, whatever they wait for; then this is resumed or unwound.
    bool withdraw() noexcept override {
        stop_all();
        return false;
    }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({"rt::join", where_, depth});
        std::apply([&](auto&... c) { (c.env.describe(to, depth + 1), ...); }, children_);
    }
    std::coroutine_handle<> wake() noexcept override {
        bool stopped = !failed_ && !error_ &&
                       std::apply([](auto&... c) { return (c.was_stopped || ...); }, children_);
        return stopped ? unwind(*frame_) : deliver();
    }

private:
    template <class T>
    void start(child<T>& c) noexcept {
        c.start(strand_, env_->identity(), *this, &on_end<T>);
    }
    template <class T>
    static child_link::next_step on_end(child_link& link, child_link::ending how) noexcept {
        auto& c = static_cast<child<T>&>(link);
        auto& self = static_cast<join_children&>(c.owner());
        c.was_stopped = how == child_link::ending::stopped;
        auto* threw = std::get_if<2>(&c.outcome);
        if (!self.failed_ && !self.error_) {  // the strand runs one child at a time
            if (threw) self.failed_ = std::move(*threw);
            if constexpr (StopOnFailure) {
                self.error_ = c.error();
                if (self.failed_ || self.error_) self.stop_all();
            }
        }
        self.drop_and_post();
        return {nullptr, std::noop_coroutine()};
    }
    void stop_all() noexcept {
        if (!hold_unless_over()) return;
        std::apply([](auto&... c) { (c.env.request_stop(), ...); }, children_);
        drop_and_post();
    }
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
    strand strand_{*this};
    std::exception_ptr failed_;
    std::error_code error_;
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
