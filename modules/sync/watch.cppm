// The newest value of something that changes: a configuration, a state, a progress. Receivers see
// the last value, not every one.
//
// The value is read and changed in place under a lock that blocks its thread, so what runs under it
// should be short, and must not use the same watch.
module;
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
export module rt.sync:watch;
import rt.task;
import :channel_ops;
import :sequence;
import :waiters;

export namespace rt {

template <class T>
class watch_sender;
template <class T>
class watch_receiver;

namespace detail {

/// The value is changed under the mutex, and counted after that. So a receiver that reads the count
/// first and the value then has seen at least the change that it has counted: it may be told of a
/// value that it saw already, and never misses one.
template <class T>
struct watch_state final : sequence_core {
    explicit watch_state(T&& first) : value(std::move(first)) {}
    void changed() noexcept {
        claimed_arms woken;
        {
            std::lock_guard guard(lock_);
            advance(woken);
        }
        woken.complete();
    }
    mutable std::shared_mutex mutex;
    T value;  // guarded by mutex
};

template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] changed_op
    : public leaf_op<changed_op<T>> {
public:
    using lossless = void;
    changed_op(watch_receiver<T>& owner, std::source_location where) noexcept
        : owner_(&owner), where_(where) {}
    changed_op(changed_op&& other) noexcept = default;

    bool try_now() const noexcept { return owner_->state(where_).ready(owner_->seen_); }
    bool enlist() noexcept { return owner_->state(where_).ready_or_wait(owner_->seen_, *this); }
    bool delist() noexcept { return owner_->state(where_).forget(*this); }
    /// A last value that was not seen comes before the end.
    [[nodiscard]] std::error_code failure() const noexcept {
        if (owner_->has_changed(where_)) return {};
        return errc::closed;
    }
    result<void> await_resume() noexcept {
        if (auto error = failure()) return error;
        owner_->mark_seen(where_);
        return {};
    }
    const char* what() const noexcept { return "rt::watch_receiver::changed"; }
    std::source_location where() const noexcept { return where_; }

protected:
    watch_receiver<T>* owner_;

private:
    std::source_location where_;
};

/// The same for the stream concept: the changed value; empty at the end.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] watch_next_op : public changed_op<T> {
public:
    using changed_op<T>::changed_op;
    watch_next_op(watch_next_op&& other) noexcept = default;
    std::optional<T> await_resume() {
        if (this->failure()) return std::nullopt;
        return this->owner_->get_and_see(this->where());
    }
};

}  // namespace detail

/// A channel that holds one value, at first this one, which counts as seen.
template <class T>
std::pair<watch_sender<T>, watch_receiver<T>> watch(T first) {
    auto state = std::make_shared<detail::watch_state<T>>(std::move(first));
    watch_receiver<T> receiver(state, 0);
    return {watch_sender<T>(std::move(state)), std::move(receiver)};
}

/// The sending end. Copies change the same value; when the last one has gone, receivers see the
/// end after the last change.
template <class T>
class watch_sender : detail::sending_end<detail::watch_state<T>> {
    using base = detail::sending_end<detail::watch_state<T>>;
    using base::state;

public:
    using value_type = T;

    /// A new value; errc::closed when nobody receives any more: the value is set all the same, for
    /// those who subscribe later.
    result<void> send(T value, std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        {
            std::lock_guard guard(state.mutex);
            std::swap(state.value, value);  // the old one goes outside the lock
        }
        state.changed();
        if (state.closed()) return errc::closed;
        return {};
    }
    /// f(T&) changes the value in place, and all are told. If f throws, nobody is, and the value is
    /// what f has left.
    template <class F>
    void modify(F&& f, std::source_location where = std::source_location::current()) {
        auto always = [&](T& value) {
            std::invoke(f, value);
            return true;
        };
        modify_if(always, where);
    }
    /// As modify, but all are told only if f returns true; so does this then.
    template <class F>
    bool modify_if(F&& f, std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        {
            std::lock_guard guard(state.mutex);
            if (!std::invoke(f, state.value)) return false;
        }
        state.changed();
        return true;
    }
    /// f(const T&), under the lock.
    template <class F>
    decltype(auto) with(F&& f, std::source_location where = std::source_location::current()) const {
        auto& state = this->state(where);
        std::shared_lock guard(state.mutex);
        return std::invoke(std::forward<F>(f), std::as_const(state.value));
    }
    [[nodiscard]] T get(std::source_location where = std::source_location::current()) const {
        return with([](const T& value) { return value; }, where);
    }
    /// Another receiver, for which the present value counts as seen.
    [[nodiscard]] watch_receiver<T> subscribe(
        std::source_location where = std::source_location::current()) const {
        return watch_receiver<T>(this->state_, state(where).add_receiver());
    }
    /// co_await tx.closed(): waits until there is no receiver. Withdrawn by a stop; may lose a
    /// select.
    auto closed(std::source_location where = std::source_location::current()) noexcept {
        return detail::closed_op<detail::sequence_core>(state(where), where);
    }
    [[nodiscard]] bool is_closed(
        std::source_location where = std::source_location::current()) const noexcept {
        return state(where).closed();
    }

private:
    friend std::pair<watch_sender<T>, watch_receiver<T>> watch<T>(T);
    explicit watch_sender(std::shared_ptr<detail::watch_state<T>> state) noexcept
        : base(std::move(state)) {}
};

/// A receiving end: it knows which value it has seen. Copies have seen the same. A stream of
/// values.
template <class T>
class watch_receiver : detail::receiving_end<detail::watch_state<T>> {
    using base = detail::receiving_end<detail::watch_state<T>>;
    using base::seen_;
    using base::state;

public:
    using value_type = T;

    /// co_await rx.changed(): waits until there is a value that was not seen, and marks it seen;
    /// errc::closed when the senders have gone and the last value was seen.
    ///
    /// Resumes on the awaiting task's executor. A stop withdraws it; it may lose a select, and has
    /// marked nothing then.
    auto changed(std::source_location where = std::source_location::current()) noexcept {
        return detail::changed_op<T>(*this, where);
    }
    /// The stream concept: waits as changed() does, and gives the value; empty at the end.
    auto next(std::source_location where = std::source_location::current()) noexcept {
        return detail::watch_next_op<T>(*this, where);
    }
    /// Waits until the predicate holds for the value, which it sees at once, also after the end:
    /// the value, marked seen; errc::closed when the senders have gone before.
    template <class P>
    io_task<T> wait_for(P holds, std::source_location where = std::source_location::current()) {
        for (;;) {
            auto& state = this->state(where);
            bool over = state.ended();  // before the value is looked at
            {
                std::shared_lock guard(state.mutex);
                seen_ = state.count();
                if (std::invoke(holds, std::as_const(state.value))) co_return T(state.value);
            }
            if (over) co_return errc::closed;
            (void)co_await changed(where);
        }
    }
    /// f(const T&), under the lock; marks nothing.
    template <class F>
    decltype(auto) with(F&& f, std::source_location where = std::source_location::current()) const {
        auto& state = this->state(where);
        std::shared_lock guard(state.mutex);
        return std::invoke(std::forward<F>(f), std::as_const(state.value));
    }
    [[nodiscard]] T get(std::source_location where = std::source_location::current()) const {
        return with([](const T& value) { return value; }, where);
    }
    /// The value, marked seen.
    [[nodiscard]] T get_and_see(std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        std::shared_lock guard(state.mutex);
        seen_ = state.count();
        return state.value;
    }
    [[nodiscard]] bool has_changed(
        std::source_location where = std::source_location::current()) const noexcept {
        return state(where).count() != seen_;
    }
    void mark_seen(std::source_location where = std::source_location::current()) noexcept {
        seen_ = state(where).count();
    }
    [[nodiscard]] bool is_closed(
        std::source_location where = std::source_location::current()) const noexcept {
        return state(where).ended();
    }

private:
    friend class watch_sender<T>;
    friend class detail::changed_op<T>;
    friend std::pair<watch_sender<T>, watch_receiver<T>> watch<T>(T);
    watch_receiver(std::shared_ptr<detail::watch_state<T>> state, std::uint64_t seen) noexcept
        : base(std::move(state), seen) {}
};

}  // namespace rt
