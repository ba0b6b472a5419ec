// One value, once: an answer to a request that another task has sent along.
//
// The sender never waits. It moves the value into the state that both ends share, outside any lock,
// and then publishes it; the receiver moves it out when its await returns, and not before.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
export module rt.sync:oneshot;
import rt.task;
import :channel_core;
import :channel_ops;
import :waiters;

export namespace rt {

template <class T>
class oneshot_sender;
template <class T>
class oneshot_receiver;

namespace detail {

class oneshot_core {
public:
    oneshot_core() noexcept = default;
    oneshot_core(const oneshot_core&) = delete;
    oneshot_core& operator=(const oneshot_core&) = delete;

    /// The value is in its place; false: the receiver is gone.
    bool publish(std::source_location where) noexcept;
    /// Without having sent: the receiver gets nothing.
    void sender_leaves() noexcept;
    bool closed() noexcept;
    bool closed_or_wait(arm& watcher) noexcept;
    bool forget_watcher(arm& watcher) noexcept;

    // Acquire: pairs with the release in settle_as(); the value is in its place.
    [[nodiscard]] bool ready() const noexcept {
        return state_.load(std::memory_order_acquire) != state::open;
    }
    [[nodiscard]] bool sent() const noexcept {
        return state_.load(std::memory_order_acquire) == state::sent;
    }
    bool ready_or_wait(arm& receiver, std::source_location where) noexcept;
    bool forget_receiver(arm& receiver) noexcept;
    void received() noexcept { state_.store(state::over, std::memory_order_relaxed); }
    void receiver_leaves() noexcept;
    void release() noexcept {
        if (sides_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
    }

protected:
    ~oneshot_core() = default;
    virtual void destroy() noexcept = 0;

private:
    // open -> sent -> over, or open -> over: by the sender, under lock_; sent -> over: by the
    // receiver.
    enum class state : std::uint8_t { open, sent, over };
    arm* settle_as(state final_state) noexcept;

    spin_lock lock_;
    bool receiver_gone_ = false;  // guarded by lock_
    arm* receiving_ = nullptr;    // guarded by lock_
    waiters watching_;            // guarded by lock_
    std::atomic<state> state_{state::open};
    std::atomic<int> sides_{2};
};

template <class T>
class oneshot_state final : public oneshot_core {
public:
    // Both are used by the sender until it has published, and by the receiver afterwards; and by
    // the last to leave.
    std::optional<T> value;

private:
    void destroy() noexcept override {
        try {
            value.reset();
        } catch (...) {
            report_thrown_by_value(std::current_exception());
        }
        delete this;
    }
};

template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] oneshot_op
    : public leaf_op<oneshot_op<T>> {
public:
    using lossless = void;
    oneshot_op(oneshot_state<T>& state, std::source_location where) noexcept
        : state_(&state), where_(where) {}
    oneshot_op(oneshot_op&& other) noexcept = default;

    bool try_now() const noexcept { return state_->ready(); }
    bool enlist() noexcept { return state_->ready_or_wait(*this, where_); }
    bool delist() noexcept { return state_->forget_receiver(*this); }
    std::optional<T> await_resume() {
        if (!state_->sent()) return std::nullopt;
        state_->received();
        return std::exchange(state_->value, std::nullopt);
    }
    const char* what() const noexcept { return "rt::oneshot_receiver::recv"; }
    std::source_location where() const noexcept { return where_; }

private:
    oneshot_state<T>* state_;
    std::source_location where_;
};

}  // namespace detail

/// The two ends of a channel for one value. It is the only allocation.
template <class T>
std::pair<oneshot_sender<T>, oneshot_receiver<T>> oneshot() {
    auto& state = *new detail::oneshot_state<T>;
    return {oneshot_sender<T>(state), oneshot_receiver<T>(state)};
}

/// Dropping it without having sent ends the receiver.
template <class T>
class oneshot_sender : detail::can_be_sent<T> {
public:
    using value_type = T;

    oneshot_sender(oneshot_sender&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    oneshot_sender& operator=(oneshot_sender&& other) noexcept {
        oneshot_sender(std::move(other)).swap(*this);
        return *this;
    }
    ~oneshot_sender() {
        if (state_ == nullptr) return;
        state_->sender_leaves();
        state_->release();
    }

    /// Sends, once, and never waits. Empty when the value was delivered; the value itself when the
    /// receiver is gone.
    [[nodiscard("it holds the value when the receiver is gone")]] std::optional<T> send(
        T value, std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        state.value.emplace(std::move(value));
        state_ = nullptr;
        std::optional<T> refused;
        if (!state.publish(where)) refused = std::exchange(state.value, std::nullopt);
        state.release();
        return refused;
    }
    /// co_await tx.closed(): waits until the receiver is gone, so that nobody wants the value any
    /// more. Resumes on the awaiting task's executor. Withdrawn by a stop; may lose a select.
    auto closed(std::source_location where = std::source_location::current()) {
        return detail::closed_op<detail::oneshot_core>(state(where), where);
    }
    [[nodiscard]] bool is_closed(
        std::source_location where = std::source_location::current()) const {
        return state(where).closed();
    }
    void swap(oneshot_sender& other) noexcept { std::swap(state_, other.state_); }

private:
    friend std::pair<oneshot_sender<T>, oneshot_receiver<T>> oneshot<T>();
    explicit oneshot_sender(detail::oneshot_state<T>& state) noexcept : state_(&state) {}
    detail::oneshot_state<T>& state(std::source_location where) const noexcept {
        if (state_ == nullptr)
            misuse("a oneshot_sender that has sent or was moved from is used", where);
        return *state_;
    }
    detail::oneshot_state<T>* state_;
};

/// Dropping it hands the value back to a later send(), and destroys one that was sent before.
template <class T>
class oneshot_receiver {
public:
    using value_type = T;

    oneshot_receiver(oneshot_receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    oneshot_receiver& operator=(oneshot_receiver&& other) noexcept {
        oneshot_receiver(std::move(other)).swap(*this);
        return *this;
    }
    ~oneshot_receiver() {
        if (state_ == nullptr) return;
        state_->receiver_leaves();
        state_->release();
    }

    /// co_await rx.recv(): waits for the value: std::optional<T>, empty when the sender has gone
    /// without sending, or when the value was received before.
    ///
    /// Resumes on the awaiting task's executor. A stop withdraws it; it may lose a select: the
    /// value stays with the receiver until an await returns it.
    auto recv(std::source_location where = std::source_location::current()) {
        return detail::oneshot_op<T>(state(where), where);
    }
    /// The value if it is there: std::errc::operation_would_block when it may still come,
    /// errc::closed when not.
    result<T> try_recv(std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        if (!state.ready()) return std::make_error_code(std::errc::operation_would_block);
        if (!state.sent()) return errc::closed;
        state.received();
        return *std::exchange(state.value, std::nullopt);
    }
    void swap(oneshot_receiver& other) noexcept { std::swap(state_, other.state_); }

private:
    friend std::pair<oneshot_sender<T>, oneshot_receiver<T>> oneshot<T>();
    explicit oneshot_receiver(detail::oneshot_state<T>& state) noexcept : state_(&state) {}
    detail::oneshot_state<T>& state(std::source_location where) const noexcept {
        if (state_ == nullptr) misuse("a oneshot_receiver that was moved from is used", where);
        return *state_;
    }
    detail::oneshot_state<T>* state_;
};

}  // namespace rt
