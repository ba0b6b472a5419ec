// Every value to every receiver: a ring of the newest values, in which each receiver has its place.
//
// A sender never waits for a slow receiver: it overwrites the oldest value, and the receiver is
// told how many it has missed. Values are shared until a receiver copies its own, outside the lock;
// a send is one allocation, whatever the number of receivers.
module;
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <system_error>
#include <utility>
#include <vector>
export module rt.sync:broadcast;
import rt.task;
import :sequence;
import :waiters;

export namespace rt {

template <class T>
class broadcast_sender;
template <class T>
class broadcast_receiver;

namespace detail {

template <class T>
class broadcast_state final : public sequence_core {
public:
    explicit broadcast_state(std::size_t capacity) : ring_(capacity) {}

    /// How many receivers will get it; 0: none, and it was not taken.
    std::size_t send(T& value) {
        auto count = receivers();
        if (count == 0) return 0;
        auto shared = std::make_shared<const T>(std::move(value));
        claimed_arms woken;
        {
            std::lock_guard guard(lock_);
            shared.swap(ring_[this->count() % ring_.size()]);
            advance(woken);
        }
        woken.complete();
        return count;
    }
    /// The value at that place; empty: it is not there yet, or has been overwritten: then place
    /// becomes that of the oldest, and missed tells how many lay between.
    std::shared_ptr<const T> at(std::uint64_t& place, std::uint64_t& missed) noexcept {
        std::lock_guard guard(lock_);
        auto sent = count();
        if (sent - place > ring_.size()) {
            missed = sent - ring_.size() - place;
            place += missed;
            return nullptr;
        }
        return sent == place ? nullptr : ring_[place % ring_.size()];
    }

private:
    std::vector<std::shared_ptr<const T>> ring_;  // guarded by lock_
};

template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] broadcast_recv_op
    : public leaf_op<broadcast_recv_op<T>> {
public:
    using lossless = void;
    broadcast_recv_op(broadcast_receiver<T>& owner, std::source_location where) noexcept
        : owner_(&owner), where_(where) {}
    broadcast_recv_op(broadcast_recv_op&& other) noexcept = default;

    bool try_now() const noexcept { return owner_->state(where_).ready(owner_->seen_); }
    bool enlist() noexcept { return owner_->state(where_).ready_or_wait(owner_->seen_, *this); }
    bool delist() noexcept { return owner_->state(where_).forget(*this); }
    /// For or_return(): known before the value is taken.
    [[nodiscard]] std::error_code failure() noexcept {
        if (!settled_) {
            settled_ = true;
            value_ = owner_->settle(error_, where_);
        }
        return error_;
    }
    result<T> await_resume() {
        if (auto error = failure()) return error;
        auto value = std::exchange(value_, nullptr);
        return T(*value);
    }
    const char* what() const noexcept { return "rt::broadcast_receiver::recv"; }
    std::source_location where() const noexcept { return where_; }

private:
    broadcast_receiver<T>* owner_;
    std::source_location where_;
    bool settled_ = false;
    std::error_code error_;
    std::shared_ptr<const T> value_;
};

/// The same for the stream concept: empty at the end.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] broadcast_next_op
    : public broadcast_recv_op<T> {
public:
    using broadcast_recv_op<T>::broadcast_recv_op;
    broadcast_next_op(broadcast_next_op&& other) noexcept = default;
    std::optional<result<T>> await_resume() {
        auto value = broadcast_recv_op<T>::await_resume();
        if (!value && value.error() == errc::closed) return std::nullopt;
        return value;
    }
};

}  // namespace detail

/// A channel that keeps the newest `capacity` values, at least 1, for all its receivers.
template <std::copy_constructible T>
std::pair<broadcast_sender<T>, broadcast_receiver<T>> broadcast(
    std::size_t capacity, std::source_location where = std::source_location::current()) {
    if (capacity == 0) misuse("a broadcast with capacity 0: 1 is the smallest", where);
    auto state = std::make_shared<detail::broadcast_state<T>>(capacity);
    broadcast_receiver<T> first(state, 0);
    return {broadcast_sender<T>(std::move(state)), std::move(first)};
}

/// The sending end. Copies send into the same channel; when the last one has gone, the receivers
/// see the end after the values that are kept.
template <class T>
class broadcast_sender : detail::sending_end<detail::broadcast_state<T>> {
    using base = detail::sending_end<detail::broadcast_state<T>>;

public:
    using value_type = T;

    /// Sends at once, from any thread: how many receivers it goes to; errc::closed when there is
    /// none, and then the value stays with the caller.
    result<std::size_t> send(T&& value,
                             std::source_location where = std::source_location::current()) {
        auto count = this->state(where).send(value);
        if (count == 0) return errc::closed;
        return count;
    }
    result<std::size_t> send(const T& value,
                             std::source_location where = std::source_location::current()) {
        return send(T(value), where);
    }
    /// Another receiver, which gets what is sent from now on.
    [[nodiscard]] broadcast_receiver<T> subscribe(
        std::source_location where = std::source_location::current()) const {
        return broadcast_receiver<T>(this->state_, this->state(where).add_receiver());
    }
    [[nodiscard]] std::size_t receivers(
        std::source_location where = std::source_location::current()) const noexcept {
        return this->state(where).receivers();
    }

private:
    friend std::pair<broadcast_sender<T>, broadcast_receiver<T>> broadcast<T>(std::size_t,
                                                                              std::source_location);
    explicit broadcast_sender(std::shared_ptr<detail::broadcast_state<T>> state) noexcept
        : base(std::move(state)) {}
};

/// A receiving end; a stream of result<T>. One receive at a time.
template <class T>
class broadcast_receiver : detail::receiving_end<detail::broadcast_state<T>> {
    using base = detail::receiving_end<detail::broadcast_state<T>>;

public:
    using value_type = result<T>;

    broadcast_receiver(broadcast_receiver&& other) noexcept = default;
    broadcast_receiver& operator=(broadcast_receiver&& other) noexcept = default;

    /// co_await rx.recv(): waits for the next value: a copy. errc::lagged, once, when values were
    /// overwritten before they were received: missed() tells how many, and the next receive gives
    /// the oldest that is kept. errc::closed at the end, after all values. A copy that throws loses
    /// that one value.
    ///
    /// Resumes on the awaiting task's executor. A stop withdraws it; it may lose a select: its
    /// place moves when the await returns.
    auto recv(std::source_location where = std::source_location::current()) noexcept {
        return detail::broadcast_recv_op<T>(*this, where);
    }
    /// The next value if it is there: std::errc::operation_would_block when it is not.
    result<T> try_recv(std::source_location where = std::source_location::current()) {
        std::error_code error;
        if (!this->state(where).ready(this->seen_))
            return std::make_error_code(std::errc::operation_would_block);
        auto value = settle(error, where);
        if (error) return error;
        return T(*value);
    }
    /// The stream concept: empty at the end.
    auto next(std::source_location where = std::source_location::current()) noexcept {
        return detail::broadcast_next_op<T>(*this, where);
    }
    /// How many values the last errc::lagged stood for.
    [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }
    /// Another receiver of the same channel, which gets what is sent from now on.
    [[nodiscard]] broadcast_receiver resubscribe(
        std::source_location where = std::source_location::current()) const {
        return broadcast_receiver(this->state_, this->state(where).add_receiver());
    }

private:
    friend class broadcast_sender<T>;
    friend class detail::broadcast_recv_op<T>;
    friend std::pair<broadcast_sender<T>, broadcast_receiver<T>> broadcast<T>(std::size_t,
                                                                              std::source_location);
    broadcast_receiver(std::shared_ptr<detail::broadcast_state<T>> state,
                       std::uint64_t place) noexcept
        : base(std::move(state), place) {}

    /// Once ready: moves on by a value, over what is lost, or not at all.
    std::shared_ptr<const T> settle(std::error_code& error, std::source_location where) noexcept {
        std::uint64_t missed = 0;
        auto value = this->state(where).at(this->seen_, missed);
        if (value) {
            ++this->seen_;
        } else if (missed != 0) {
            missed_ = missed;
            error = errc::lagged;
        } else {
            error = errc::closed;
        }
        return value;
    }
    std::uint64_t missed_ = 0;
};

}  // namespace rt
