// The one face of all reactors: completion-shaped requests, plus readiness for the arms of a
// select.
//
// A request lives in its awaiter and lends the kernel a buffer; it completes exactly once, after
// the kernel has let go. epoll imitates io_uring: it makes the call itself when the descriptor is
// ready, and completes with the result. As an arm of a select a request waits for readiness only
// and makes one non-blocking call when it may claim, so that a loser has taken nothing from the
// kernel.
//
// Who polls has the reactor's turn, a lock: the driving thread or, while that is kept elsewhere, a
// helper. A wake-up that a helper has taken is owed to the driving thread: its next poll() does not
// wait.
module;
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
export module rt.io:reactor;
import rt.task;

export namespace rt {

enum class reactor_kind : std::uint8_t { automatic, io_uring, epoll };

[[nodiscard]] std::string_view to_string(reactor_kind kind) noexcept;

/// A file descriptor.
using native_handle = std::intptr_t;

namespace detail {

class io_object;
class reactor;

enum class io_kind : std::uint8_t {
    receive,  // data, size, flags
    send,
    receive_vectored,  // data: an io_vector, size: how many of its slices
    send_vectored,
    accept,   // data: a buffer for the address, size: its room and then its length; result:
              // descriptor
    connect,  // data, size: the address
    read,     // for pipes and the like
    write,
    readable,  // readiness alone; result 0
    writable,
};
[[nodiscard]] constexpr bool takes_input(io_kind kind) noexcept {
    return kind == io_kind::receive || kind == io_kind::receive_vectored ||
           kind == io_kind::accept || kind == io_kind::read || kind == io_kind::readable;
}

struct io_slice {
    void* data;
    std::size_t size;
};

/// Several buffers of one call. More than 16 make a short read or write, as the kernel's own limit
/// would.
struct io_vector {
    static constexpr std::size_t most = 16;
    alignas(8) std::byte header[64];  // the system's message header
    io_slice slices[most];
};

/// The result of a request that this side has taken back: -ECANCELED.
constexpr std::int64_t withdrawn = -static_cast<std::int64_t>(std::errc::operation_canceled);

/// What a kernel is asked.
struct io_request {
    io_object* object = nullptr;
    void* data = nullptr;
    std::size_t size = 0;
    std::int64_t result = 0;  // >= 0, or -errno
    int flags = 0;
    io_kind kind = io_kind::readable;
    bool began = false;  // connect: the kernel is at it
    // epoll: a canceller came while the call was being made; guarded by the object's lock.
    // io_uring: its cancel has left the queue; the ring's thread only.
    bool cancel_seen = false;
    bool cancelled = false;  // io_uring: a cancel was submitted; the ring's thread only
    std::atomic<std::uint8_t> cancel_state{0};
    arm* who = nullptr;       // whom to complete
    reactor* home = nullptr;  // who holds it
    io_request* next_cancel = nullptr;

    io_request() = default;
    inline io_request(io_object* object, io_kind kind, void* data, std::size_t size,
                      int flags = 0) noexcept
        : object(object), data(data), size(size), flags(flags), kind(kind) {}
    inline io_request(io_request&& other) noexcept  // before it is awaited
        : object(other.object),
          data(other.data),
          size(other.size),
          flags(other.flags),
          kind(other.kind) {}
};

class reactor : public io_service {
public:
    reactor() = default;
    reactor(const reactor&) = delete;
    reactor& operator=(const reactor&) = delete;
    virtual ~reactor();

    [[nodiscard]] virtual reactor_kind kind() const noexcept = 0;
    /// The calling thread drives it from now on.
    inline virtual void attach() noexcept {}
    /// Completes what is complete, waiting for it no longer than that (negative: without limit).
    /// Returns how many.
    std::size_t poll(std::chrono::nanoseconds timeout) noexcept;
    /// A poll(0) in place of the driving thread, which is kept elsewhere; nothing if that is inside
    /// poll() itself. Any thread, of reactors that are shared.
    std::size_t help() noexcept;
    /// Ends a poll() that waits, or the next one. Any thread.
    virtual void wake() noexcept = 0;

    /// Makes the call now if it need not wait; true: the result is in place.
    virtual bool try_now(io_request& request, bool selected) noexcept = 0;
    /// Begins to wait. selecting: the arm to be woken to try; else the request completes by itself.
    virtual bool enlist(io_request& request, arm* selecting) noexcept = 0;
    /// True: nobody will complete it. False: its completion has come or will come, after a cancel
    /// if need be.
    virtual bool delist(io_request& request, arm* selecting) noexcept = 0;
    /// Ends what is in flight on the object with -ECANCELED, and what comes after.
    virtual void close(io_object& object) noexcept = 0;
    /// Nobody refers to the object any more: frees it as soon as that is safe.
    virtual void retire(io_object& object) noexcept = 0;
    /// All tasks have ended: takes back what the kernel still holds for objects. The driving
    /// thread.
    virtual void drain() noexcept {}
    /// Its runtime has ended: operations on objects that are registered here fail.
    inline virtual void stop() noexcept { stopped_.store(true, std::memory_order_release); }
    [[nodiscard]] inline bool stopped() const noexcept {
        return stopped_.load(std::memory_order_acquire);
    }

    /// Counted: its runtime is one owner (made_reactor), each object that is registered another.
    inline void retain() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
    inline void release() noexcept {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    [[nodiscard]] inline std::uint64_t in_flight() const noexcept {
        return in_flight_.load(std::memory_order_relaxed);
    }

    /// On the driving thread: a poll that does not wait would find nothing.
    [[nodiscard]] inline bool quiet() const noexcept {
        return in_flight_.load(std::memory_order_relaxed) == 0 &&
               watched_.load(std::memory_order_relaxed) == 0;
    }

protected:
    /// What poll() does, with the turn.
    virtual std::size_t take_turn(std::chrono::nanoseconds timeout) noexcept = 0;
    spin_lock turn_;

    inline void count_in_flight(int change) noexcept {
        in_flight_.fetch_add(static_cast<std::uint64_t>(static_cast<std::int64_t>(change)),
                             std::memory_order_relaxed);
        count_operations(change);
    }

    /// Objects whose readiness shows without an operation in flight.
    inline void count_watched(int change) noexcept {
        watched_.fetch_add(static_cast<std::uint64_t>(static_cast<std::int64_t>(change)),
                           std::memory_order_relaxed);
    }

private:
    bool helped_ = false;  // guarded by turn_
    std::atomic<std::uint64_t> in_flight_{0}, watched_{0};
    std::atomic<std::uint32_t> owners_{1};
    std::atomic<bool> stopped_{false};
};

[[noreturn]] void no_reactor(const char* what, std::source_location where) noexcept;
/// The reactor of the calling task's worker; misuse where there is none.
inline reactor& reactor_of(wait_op& op, const char* what, std::source_location where) noexcept {
    auto* io = op.env()->exec().io();
    if (!io) [[unlikely]]
        no_reactor(what, where);
    return static_cast<reactor&>(*io);
}
/// True: the result is in place. Misuse for no object, and for one that has waited in a runtime
/// with a reactor of another kind.
bool try_now(io_request& request, reactor& here, bool selected,
             std::source_location where) noexcept;
void retain(io_object& object) noexcept;
void release(io_object& object) noexcept;
/// Only this side withdraws.
[[nodiscard]] inline bool was_withdrawn(const io_request& request) noexcept {
    return request.result == withdrawn;
}
/// A stop unwinds, so what is seen of what was withdrawn is a close.
[[nodiscard]] inline std::error_code error_of(const io_request& request) noexcept {
    if (request.result >= 0) return {};
    if (was_withdrawn(request)) return errc::closed;
    return {static_cast<int>(-request.result), std::system_category()};
}

/// The base of every operation on a descriptor. Derived gives await_resume(), what() and where();
/// one whose buffer is in itself says where that is in prepare(), once it moves no more.
template <class Derived>
class io_op : public leaf_op<Derived>, public io_request {
public:
    using lossless = void;
    io_op(io_object* object, io_kind kind, void* data, std::size_t size, int flags = 0) noexcept
        : io_request(object, kind, data, size, flags) {}
    io_op(io_op&& other) noexcept
        : leaf_op<Derived>(std::move(other)), io_request(std::move(other)) {}

    bool try_now() noexcept {
        prepare_buffer();
        return detail::try_now(*this, here(), this->selected(), self().where());
    }
    bool enlist() noexcept {
        who = this;
        hold();
        prepare_buffer();
        return here().enlist(*this, this->selected() ? this : nullptr);
    }
    bool delist() noexcept {
        return home != nullptr && home->delist(*this, this->selected() ? this : nullptr);
    }
    std::coroutine_handle<> wake() noexcept override {
        if (withdrawn_by_stop()) return unwind(*this->frame_);
        return leaf_op<Derived>::wake();
    }
    [[nodiscard]] std::error_code failure() const noexcept { return error_of(*this); }

    /// Keeps the object while the operation waits, for the reactor, for its turn, or for its
    /// select: whoever owns the descriptor may close it meanwhile.
    void hold() noexcept {
        if (object && !std::exchange(this->holding_, true)) retain(*object);
    }

protected:
    ~io_op() {
        if (this->holding_) release(*object);
    }
    /// The kernel has given it back because of a stop. (Withdrawn without a stop: closed.)
    [[nodiscard]] bool withdrawn_by_stop() const noexcept {
        return was_withdrawn(*this) && this->env_->stop_requested();
    }

private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }
    void prepare_buffer() noexcept {
        if constexpr (requires { self().prepare(); }) self().prepare();
    }
    reactor& here() noexcept { return reactor_of(self(), self().what(), self().where()); }
};

/// Why a reactor was not to be had.
struct reactor_refusal {
    std::error_code error;
    std::string reason;  // names the likely cause, and what to change
};
struct made_reactor {
    std::shared_ptr<reactor> made;
    reactor_refusal refusal;  // of io_uring, when automatic fell back to epoll
};
/// Who drives a reactor: one thread for ever; one after another, as they block on the runtime; or
/// one, for which others may help() out.
enum class reactor_use : std::uint8_t { one_thread, one_at_a_time, shared };
made_reactor make_reactor(reactor_kind kind, reactor_use use);

}  // namespace detail
}  // namespace rt
