// Channels: many senders, one receiver, and values in each sender's order.
//
// Bounded as a rule, because a channel without a bound only moves the memory problem to the night
// in which the receiver is slow. Waiting senders are served in the order of their arrival. The core
// is in :channel_core.
module;
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <system_error>
#include <utility>
#include <vector>
export module rt.sync:channel;
import rt.task;
import :channel_core;
import :channel_ops;

export namespace rt {

template <class T>
class sender;
template <class T>
class receiver;
template <class Sender>
class weak_sender;

/// The two ends of a channel for capacity values, at least 1. It is the channel's only allocation.
template <class T>
std::pair<sender<T>, receiver<T>> channel(
    std::size_t capacity, std::source_location where = std::source_location::current()) {
    auto& state = detail::channel_state<T>::make(capacity, where);
    return {sender<T>(state), receiver<T>(state)};
}

/// A place in a channel, kept free for one value. Until it is used or dropped, it holds the channel
/// open.
template <class T>
class [[nodiscard("a permit that is dropped gives its place back")]] permit {
public:
    permit(permit&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
        permit(std::move(other)).swap(*this);
        return *this;
    }
    ~permit() {
        if (state_ == nullptr) return;
        state_->give_back();
        state_->drop_sender();
    }

    /// Delivers the value without waiting, once; also after receiver::close(). errc::closed when
    /// the receiver has been destroyed: the value then stays with the caller.
    result<void> send(T&& value,
                      std::source_location where = std::source_location::current()) noexcept {
        auto* state = std::exchange(state_, nullptr);
        if (state == nullptr) misuse("a permit is used twice", where);
        bool delivered = state->deliver(std::addressof(value));
        state->drop_sender();
        if (!delivered) return errc::closed;
        return {};
    }
    result<void> send(const T& value, std::source_location where = std::source_location::current())
        requires std::copy_constructible<T>
    {
        return send(T(value), where);
    }
    void swap(permit& other) noexcept { std::swap(state_, other.state_); }

private:
    friend class detail::reserve_op<T>;
    explicit permit(detail::channel_state<T>& state) noexcept : state_(&state) {}
    detail::channel_state<T>* state_;
};

namespace detail {

/// What the senders of bounded and unbounded channels share: their count, and the end.
template <class T>
class channel_sender : can_be_sent<T> {
public:
    using value_type = T;

    channel_sender(const channel_sender& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) state_->add_sender();
    }
    channel_sender(channel_sender&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)) {}
    channel_sender& operator=(channel_sender other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~channel_sender() {
        if (state_ != nullptr) state_->drop_sender();
    }

    /// co_await tx.closed(): waits until the receiver is closed or gone. Withdrawn by a stop; may
    /// lose a select.
    auto closed(std::source_location where = std::source_location::current()) noexcept {
        return closed_op<channel_core>(state(where), where);
    }
    [[nodiscard]] bool is_closed(
        std::source_location where = std::source_location::current()) const noexcept {
        return state(where).closed();
    }

protected:
    explicit channel_sender(channel_state<T>& state) noexcept : state_(&state) {}
    channel_state<T>& state(std::source_location where) const noexcept {
        if (state_ == nullptr) misuse("a sender that was moved from is used", where);
        return *state_;
    }

private:
    channel_state<T>* state_;
};

}  // namespace detail

/// The sending end. Copies send into the same channel; when the last one has gone, and no permit is
/// out, the receiver sees the end after the values. It must outlive the operations that were made
/// with it.
template <class T>
class sender : public detail::channel_sender<T> {
    using detail::channel_sender<T>::state;

public:
    /// co_await tx.send(value): waits for a place, and gives result<void>; errc::closed when the
    /// receiver was closed or is gone.
    ///
    /// send(std::move(x)) takes x when it has its place and not before: closed, stopped or lost in
    /// a select, x is untouched; x must outlive the operation. send(x) makes a copy for the
    /// operation at once, and leaves x alone. Resumes on the awaiting task's executor. A stop
    /// withdraws it; it may lose a select.
    auto send(T&& value [[clang::lifetimebound]],
              std::source_location where = std::source_location::current()) noexcept {
        return detail::send_op<T>(state(where), std::addressof(value), where);
    }
    auto send(const T& value, std::source_location where = std::source_location::current())
        requires std::copy_constructible<T>
    {
        return detail::send_copy_op<T>(state(where), value, where);
    }
    /// Sends if there is a place: std::errc::operation_would_block when there is none, errc::closed
    /// as above. The value is taken only on success.
    result<void> try_send(T&& value,
                          std::source_location where = std::source_location::current()) noexcept {
        detail::space_request request{std::addressof(value)};
        if (!state(where).admit(request))
            return std::make_error_code(std::errc::operation_would_block);
        if (request.verdict == detail::admission::closed) return errc::closed;
        return {};
    }
    result<void> try_send(const T& value,
                          std::source_location where = std::source_location::current())
        requires std::copy_constructible<T>
    {
        return try_send(T(value), where);
    }
    /// co_await tx.reserve(): waits for a place as send does, and keeps it: result<permit<T>>. For
    /// a value that should not be made before it can be sent. Withdrawn, it has reserved nothing;
    /// it may lose a select.
    auto reserve(std::source_location where = std::source_location::current()) noexcept {
        return detail::reserve_op<T>(state(where), nullptr, where);
    }
    /// send(), for a thread that is not the runtime's: it stands still meanwhile. Misuse in a task.
    result<void> blocking_send(T value,
                               std::source_location where = std::source_location::current()) {
        return sync_wait(send(std::move(value), where), where);
    }
    [[nodiscard]] std::size_t capacity(
        std::source_location where = std::source_location::current()) const noexcept {
        return state(where).capacity();
    }
    /// Does not keep the channel open.
    [[nodiscard]] weak_sender<sender> downgrade(
        std::source_location where = std::source_location::current()) const noexcept {
        return weak_sender<sender>(state(where));
    }

private:
    friend class weak_sender<sender>;
    friend std::pair<sender<T>, receiver<T>> channel<T>(std::size_t, std::source_location);
    explicit sender(detail::channel_state<T>& state) noexcept : detail::channel_sender<T>(state) {}
};

/// The sending end of an unbounded channel; as sender, but that a send never waits.
template <class T>
class unbounded_sender : public detail::channel_sender<T> {
    using detail::channel_sender<T>::state;

public:
    /// Sends at once, from any thread: errc::closed when the receiver was closed or is gone, and
    /// the value stays with the caller. Throws std::bad_alloc, and has sent nothing then.
    result<void> send(T&& value, std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        state.prepare();
        detail::space_request request{std::addressof(value)};
        (void)state.admit(request);
        if (request.verdict == detail::admission::closed) return errc::closed;
        return {};
    }
    result<void> send(const T& value, std::source_location where = std::source_location::current())
        requires std::copy_constructible<T>
    {
        return send(T(value), where);
    }
    [[nodiscard]] weak_sender<unbounded_sender> downgrade(
        std::source_location where = std::source_location::current()) const noexcept {
        return weak_sender<unbounded_sender>(state(where));
    }

private:
    friend class weak_sender<unbounded_sender>;
    template <class U>
    friend std::pair<unbounded_sender<U>, receiver<U>> unbounded_channel();
    explicit unbounded_sender(detail::channel_state<T>& state) noexcept
        : detail::channel_sender<T>(state) {}
};

/// Knows a channel without keeping it open: the receiver's end does not wait for it.
template <class Sender>
class weak_sender {
    using state_type = detail::channel_state<typename Sender::value_type>;

public:
    weak_sender(const weak_sender& other) noexcept : weak_sender(*other.state_) {}
    weak_sender& operator=(const weak_sender& other) noexcept {
        other.state_->retain();
        std::exchange(state_, other.state_)->release();
        return *this;
    }
    ~weak_sender() { state_->release(); }

    /// A sender again; empty when the last one has gone.
    [[nodiscard]] std::optional<Sender> upgrade() const noexcept {
        if (!state_->add_sender_if_any()) return std::nullopt;
        return Sender(*state_);
    }

private:
    friend Sender;
    explicit weak_sender(state_type& state) noexcept : state_(&state) { state.retain(); }
    state_type* state_;
};

/// The receiving end; a stream of values. One receive at a time. Destroying it closes the channel
/// and destroys what nobody has received, on this thread, under no lock; what a destructor throws
/// there is reported as unhandled.
template <class T>
class receiver {
public:
    using value_type = T;

    receiver(receiver&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    receiver& operator=(receiver&& other) noexcept {
        receiver(std::move(other)).swap(*this);
        return *this;
    }
    ~receiver() {
        if (state_ == nullptr) return;
        state_->receiver_leaves();
        state_->drop_values();
        state_->release();
    }

    /// co_await rx.recv(): waits for the next value: std::optional<T>, empty at the end, which
    /// comes after the last value when all senders and permits have gone, or after close().
    ///
    /// Resumes on the awaiting task's executor. A stop withdraws it; it may lose a select: the
    /// value stays in the channel until the await returns it.
    auto recv(std::source_location where = std::source_location::current()) noexcept {
        return detail::recv_op<T>(state(where), where);
    }
    /// recv(), for whoever takes any stream.
    auto next(std::source_location where = std::source_location::current()) noexcept {
        return recv(where);
    }
    /// The next value if it is there: std::errc::operation_would_block when it is not, errc::closed
    /// at the end.
    result<T> try_recv(std::source_location where = std::source_location::current()) {
        auto& state = this->state(where);
        if (auto value = state.take()) return std::move(*value);
        if (!state.ready()) return std::make_error_code(std::errc::operation_would_block);
        if (auto value = state.take()) return std::move(*value);  // it came between the two
        return errc::closed;
    }
    /// co_await rx.recv_many(values, n): waits for at least one value, appends those that are
    /// there, n at most, and gives their number; 0 at the end, or at once if n is 0. values must
    /// outlive it. As recv otherwise.
    auto recv_many(std::vector<T>& values, std::size_t n,
                   std::source_location where = std::source_location::current()) noexcept {
        return detail::recv_many_op<T>(state(where), values, n, where);
    }
    /// recv(), for a thread that is not the runtime's: it stands still meanwhile. Misuse in a task.
    std::optional<T> blocking_recv(std::source_location where = std::source_location::current()) {
        return sync_wait(recv(where), where);
    }
    /// Refuses further sends; waiting ones end with errc::closed. What is queued can be received,
    /// and what permits still send; then comes the end.
    void close(std::source_location where = std::source_location::current()) noexcept {
        state(where).close();
    }
    void swap(receiver& other) noexcept { std::swap(state_, other.state_); }

private:
    friend std::pair<sender<T>, receiver<T>> channel<T>(std::size_t, std::source_location);
    template <class U>
    friend std::pair<unbounded_sender<U>, receiver<U>> unbounded_channel();
    explicit receiver(detail::channel_state<T>& state) noexcept : state_(&state) {}
    detail::channel_state<T>& state(std::source_location where) const noexcept {
        if (state_ == nullptr) misuse("a receiver that was moved from is used", where);
        return *state_;
    }
    detail::channel_state<T>* state_;
};

/// The two ends of a channel that takes any number of values: its memory follows the receiver's
/// delay. For values whose number is bounded elsewhere, and for senders that cannot wait.
template <class T>
std::pair<unbounded_sender<T>, receiver<T>> unbounded_channel() {
    auto& state = detail::channel_state<T>::make_unbounded();
    return {unbounded_sender<T>(state), receiver<T>(state)};
}

}  // namespace rt
