// Every value to every receiver: a ring of the newest values, in which each receiver has its place.
//
// A sender never waits for a slow receiver: it overwrites the oldest value, and the receiver is
// told how many it has missed. Values are shared until a receiver copies its own, outside the lock;
// a send is one allocation, whatever the number of receivers.
module;
#include <atomic>
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
import :waiters;

export namespace rt {

template <class T>
class broadcast_sender;
template <class T>
class broadcast_receiver;

namespace detail {

/// Numbers of values, counted from 0 for ever, and who waits for the next.
class broadcast_core {
public:
    broadcast_core(const broadcast_core&) = delete;
    broadcast_core& operator=(const broadcast_core&) = delete;

    void add_sender() noexcept { senders_.fetch_add(1, std::memory_order_relaxed); }
    /// The last one ends the channel.
    void drop_sender() noexcept;
    /// Its first value is the next one to be sent.
    std::uint64_t add_receiver() noexcept;
    void drop_receiver() noexcept;
    [[nodiscard]] std::size_t receivers() noexcept;

    // Acquire: pairs with the releases of sent_ and ended_; what they tell of is in place.
    [[nodiscard]] bool ready(std::uint64_t place) const noexcept {
        return sent_.load(std::memory_order_acquire) != place || ended();
    }
    [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }
    bool ready_or_wait(std::uint64_t place, arm& receiver) noexcept;
    bool forget(arm& receiver) noexcept;

protected:
    explicit broadcast_core(std::size_t capacity, std::source_location where) noexcept;
    ~broadcast_core() = default;

    mutable spin_lock lock_;
    const std::size_t capacity_;
    std::atomic<std::uint64_t> sent_{0};  // written under lock_
    std::size_t receivers_ = 1;           // guarded by lock_
    waiters waiting_;                     // guarded by lock_

private:
    std::atomic<bool> ended_{false};  // written under lock_, once
    std::atomic<std::size_t> senders_{1};
};

template <class T>
class broadcast_state final : public broadcast_core {
public:
    broadcast_state(std::size_t capacity, std::source_location where)
        : broadcast_core(capacity, where), ring_(capacity) {}

    /// How many receivers will get it; 0: none, and it was not taken.
    std::size_t send(T& value) {
        if (receivers() == 0) return 0;
        auto shared = std::make_shared<const T>(std::move(value));
        std::size_t count;
        claimed_arms woken;
        {
            std::lock_guard guard(lock_);
            count = receivers_;
            auto place = sent_.load(std::memory_order_relaxed);
            shared.swap(ring_[place % capacity_]);
            sent_.store(place + 1, std::memory_order_release);
            woken.add_all(waiting_);
        }
        woken.complete();
        return count;
    }
    /// The value at that place; empty: it is not there yet, or has been overwritten: then place
    /// becomes that of the oldest, and missed tells how many lay between.
    std::shared_ptr<const T> at(std::uint64_t& place, std::uint64_t& missed) noexcept {
        std::lock_guard guard(lock_);
        auto sent = sent_.load(std::memory_order_relaxed);
        if (sent - place > capacity_) {
            missed = sent - capacity_ - place;
            place += missed;
            return nullptr;
        }
        return sent == place ? nullptr : ring_[place % capacity_];
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

    bool try_now() const noexcept { return owner_->state().ready(owner_->place_); }
    bool enlist() noexcept { return owner_->state().ready_or_wait(owner_->place_, *this); }
    bool delist() noexcept { return owner_->state().forget(*this); }
    /// For or_return(): known before the value is taken.
    [[nodiscard]] std::error_code failure() noexcept {
        if (!settled_) {
            settled_ = true;
            value_ = owner_->settle(error_);
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
    auto state = std::make_shared<detail::broadcast_state<T>>(capacity, where);
    broadcast_receiver<T> first(state, 0);
    return {broadcast_sender<T>(std::move(state)), std::move(first)};
}

/// The sending end. Copies send into the same channel; when the last one has gone, the receivers
/// see the end after the values that are kept.
template <class T>
class broadcast_sender {
public:
    using value_type = T;

    broadcast_sender(const broadcast_sender& other) noexcept : state_(other.state_) {
        if (state_) state_->add_sender();
    }
    broadcast_sender(broadcast_sender&& other) noexcept = default;
    broadcast_sender& operator=(broadcast_sender other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~broadcast_sender() {
        if (state_) state_->drop_sender();
    }

    /// Sends at once, from any thread: how many receivers it goes to; errc::closed when there is
    /// none, and then the value stays with the caller.
    result<std::size_t> send(T&& value) {
        auto count = state().send(value);
        if (count == 0) return errc::closed;
        return count;
    }
    result<std::size_t> send(const T& value) { return send(T(value)); }
    /// Another receiver, which gets what is sent from now on.
    [[nodiscard]] broadcast_receiver<T> subscribe() const {
        return broadcast_receiver<T>(state_, state().add_receiver());
    }
    [[nodiscard]] std::size_t receivers() const noexcept { return state().receivers(); }

private:
    friend std::pair<broadcast_sender<T>, broadcast_receiver<T>> broadcast<T>(std::size_t,
                                                                              std::source_location);
    explicit broadcast_sender(std::shared_ptr<detail::broadcast_state<T>> state) noexcept
        : state_(std::move(state)) {}
    detail::broadcast_state<T>& state() const noexcept {
        if (!state_) misuse("a sender that was moved from is used");
        return *state_;
    }
    std::shared_ptr<detail::broadcast_state<T>> state_;
};

/// A receiving end; a stream of result<T>. One receive at a time.
template <class T>
class broadcast_receiver {
public:
    using value_type = result<T>;

    broadcast_receiver(broadcast_receiver&& other) noexcept = default;
    broadcast_receiver& operator=(broadcast_receiver&& other) noexcept {
        broadcast_receiver(std::move(other)).swap(*this);
        return *this;
    }
    ~broadcast_receiver() {
        if (state_) state_->drop_receiver();
    }

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
    result<T> try_recv() {
        std::error_code error;
        if (!state().ready(place_)) return std::make_error_code(std::errc::operation_would_block);
        auto value = settle(error);
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
    [[nodiscard]] broadcast_receiver resubscribe() const {
        return broadcast_receiver(state_, state().add_receiver());
    }
    void swap(broadcast_receiver& other) noexcept {
        std::swap(state_, other.state_);
        std::swap(place_, other.place_);
        std::swap(missed_, other.missed_);
    }

private:
    friend class broadcast_sender<T>;
    friend class detail::broadcast_recv_op<T>;
    friend std::pair<broadcast_sender<T>, broadcast_receiver<T>> broadcast<T>(std::size_t,
                                                                              std::source_location);
    broadcast_receiver(std::shared_ptr<detail::broadcast_state<T>> state,
                       std::uint64_t place) noexcept
        : state_(std::move(state)), place_(place) {}

    /// Once ready: moves on by a value, over what is lost, or not at all.
    std::shared_ptr<const T> settle(std::error_code& error) noexcept {
        std::uint64_t missed = 0;
        auto value = state().at(place_, missed);
        if (value) {
            ++place_;
        } else if (missed != 0) {
            missed_ = missed;
            error = errc::lagged;
        } else {
            error = errc::closed;
        }
        return value;
    }
    detail::broadcast_state<T>& state() const noexcept {
        if (!state_) misuse("a receiver that was moved from is used");
        return *state_;
    }
    std::shared_ptr<detail::broadcast_state<T>> state_;
    std::uint64_t place_;
    std::uint64_t missed_ = 0;
};

}  // namespace rt
