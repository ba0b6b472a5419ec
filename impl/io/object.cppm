// What the reactors keep of a descriptor, and the calls that both make.
//
// Counts: `handles` are the owners; when the last goes the object closes. `references` are the
// handles, every operation that waits, and every poll that a kernel holds; when the last goes the
// descriptor is closed and the object retires. Each direction has at most one waiter: a request
// that completes (op), or the arm of a select (waiter). The lock guards both, and the flags beside
// them. The readiness word (epoll): bit 0 ready, bit 1 sticky (the peer has closed: always ready),
// from bit 2 a count of events. A task clears ready only if no event came since it looked:
// compare-exchange on the whole word.
module;
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <source_location>
module rt.io:object;
import rt.task;
import rt.io;

namespace rt::detail {

struct io_direction {
    static constexpr std::uint32_t ready = 1, sticky = 2, event = 4;
    std::atomic<std::uint32_t> readiness{
        ready};  // unknown counts as ready: the first call will tell
    // epoll: an edge will set it again. Set once, under the lock, when the kernel knows.
    std::atomic<bool> watched{false};
    bool polling = false;  // io_uring: poll is in flight
    bool trying = false;   // epoll: the reactor makes the call of an op that it has unlinked
    io_request* op = nullptr;
    arm* waiter = nullptr;
    std::unique_ptr<io_request> poll;  // io_uring: the readiness request of select arms

    [[nodiscard]] inline bool is_ready() const noexcept {
        return (readiness.load(std::memory_order_acquire) & (ready | sticky)) != 0;
    }
    inline void set_ready(bool for_good) noexcept {
        auto seen = readiness.load(std::memory_order_relaxed);
        while (!readiness.compare_exchange_weak(
            seen, (seen + event) | ready | (for_good ? sticky : 0), std::memory_order_acq_rel)) {
        }
    }
    inline void clear_if(std::uint32_t seen) noexcept {
        readiness.compare_exchange_strong(seen, seen & ~ready, std::memory_order_acq_rel);
    }
};

class io_object {
public:
    io_object(int fd, descriptor_kind kind) noexcept
        : fd(fd),
          listener(kind == descriptor_kind::listener),
          blocking_known(kind != descriptor_kind::unknown) {}
    ~io_object();

    inline io_direction& direction(io_kind kind) noexcept { return takes_input(kind) ? in : out; }
    inline void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
    /// True: the caller retires it.
    [[nodiscard]] inline bool release() noexcept {
        return references.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }

    /// Under the lock.
    inline void settle_in(reactor& reactor) noexcept {
        if (home.load(std::memory_order_relaxed)) return;
        reactor.retain();
        home.store(&reactor, std::memory_order_release);
    }

    int fd;
    bool listener;
    bool nonblocking = false;  // what the descriptor was set to; guarded by being set before use
    bool blocking_known;
    std::atomic<std::uint32_t> handles{1};
    std::atomic<std::uint32_t> references{1};
    std::atomic<bool> closing{false};
    spin_lock lock;
    io_direction in, out;
    // Whose it is, and it keeps it alive; epoll: where it is registered. Set once, under the lock.
    std::atomic<reactor*> home{nullptr};
    io_object* next_retired = nullptr;
};

/// Frees it, and what it keeps alive: perhaps the reactor that calls this.
inline void destroy(io_object* object) noexcept {
    auto* home = object->home.load(std::memory_order_relaxed);
    delete object;
    if (home) home->release();
}

/// Two requests in one direction, as the misuse that it is.
[[noreturn]] inline void two_at_once(const io_request& r) noexcept {
    misuse(takes_input(r.kind)
               ? "two tasks read from one stream, or accept from one listener, at once"
               : "two tasks write to one stream at once",
           r.who ? r.who->waits_at() : std::source_location());
}

inline void set_blocking(io_object& object, bool nonblocking) noexcept {
    if (object.blocking_known && object.nonblocking == nonblocking) return;
    auto flags = ::fcntl(object.fd, F_GETFL);
    if (flags >= 0)
        ::fcntl(object.fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    object.nonblocking = nonblocking;
    object.blocking_known = true;
}

/// The message header of a vectored request, in the request's own storage.
inline msghdr* message_of(io_request& r) noexcept {
    static_assert(sizeof(iovec) == sizeof(io_slice) && sizeof(msghdr) <= sizeof(io_vector::header));
    auto& vector = *static_cast<io_vector*>(r.data);
    auto* message = ::new (vector.header) msghdr{};
    message->msg_iov = reinterpret_cast<iovec*>(vector.slices);
    message->msg_iovlen = r.size;
    return message;
}

/// One non-blocking call; -EAGAIN: it would have to wait.
inline std::int64_t perform(io_request& r) noexcept {
    auto fd = r.object->fd;
    std::int64_t n = -1;
    switch (r.kind) {
        case io_kind::receive:
            n = ::recv(fd, r.data, r.size, r.flags | MSG_DONTWAIT);
            break;
        case io_kind::send:
            n = ::send(fd, r.data, r.size, r.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
            break;
        case io_kind::receive_vectored:
        case io_kind::send_vectored: {
            auto* message = message_of(r);
            n = r.kind == io_kind::receive_vectored
                    ? ::recvmsg(fd, message, r.flags | MSG_DONTWAIT)
                    : ::sendmsg(fd, message, r.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
            break;
        }
        case io_kind::accept: {
            auto length = static_cast<socklen_t>(r.size);
            n = ::accept4(fd, static_cast<sockaddr*>(r.data), &length, SOCK_CLOEXEC);
            if (n < 0 && (errno == ECONNABORTED || errno == EPROTO || errno == EPERM))
                return -EINTR;
            break;
        }
        case io_kind::connect: {
            if (r.began) {
                int error = 0;
                socklen_t length = sizeof error;
                ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
                return -error;
            }
            r.began = true;
            n = ::connect(fd, static_cast<const sockaddr*>(r.data), static_cast<socklen_t>(r.size));
            if (n < 0 && errno == EINPROGRESS) return -EAGAIN;
            break;
        }
        case io_kind::read:
            n = ::read(fd, r.data, r.size);
            break;
        case io_kind::write:
            n = ::write(fd, r.data, r.size);
            break;
        case io_kind::readable:
        case io_kind::writable: {
            pollfd p{fd, static_cast<short>(r.kind == io_kind::readable ? POLLIN : POLLOUT), 0};
            return ::poll(&p, 1, 0) > 0 ? 0 : -EAGAIN;
        }
    }
    if (n >= 0) return n;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

inline std::int64_t perform_again(io_request& r) noexcept {
    std::int64_t n;
    do {
        n = perform(r);
    } while (n == -EINTR);
    return n;
}

}  // namespace rt::detail
