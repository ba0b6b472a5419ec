// A ring: its set-up, its two queues, and the event by which other threads wake it.
//
// One thread uses a private ring. Of a shared one the thread that has the turn (uring.cppm) takes
// completions and enters, while the driving thread, in a task, may fill an entry: so both hold the
// ring's lock then. Only a wait is without it, since the driving thread is then in no task and
// nobody else has the turn. wake() is for all.
//
// A single-issuer ring leaves its work to its own thread's enter (DEFER_TASKRUN). Rings of the
// shared kind do not, since then nobody else could ever see a stuck owner's completions: they
// have it done when their thread is in the kernel anyway (COOP_TASKRUN), at the next clock tick at
// the latest.
module;
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>
#include <vector>
module rt.io:ring;
import rt.task;
import rt.io;

namespace rt::detail {

class uring_ring {
public:
    struct completion {
        std::uint64_t data;
        std::int32_t result;
        std::uint32_t flags;
    };
    /// The data of entries whose completion nobody waits for.
    static constexpr std::uint64_t nobody = 0;

    explicit uring_ring(reactor_use use) : lock_(use == reactor_use::shared) {
        constexpr unsigned common =
            IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
        constexpr unsigned own = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_R_DISABLED | IORING_SETUP_TASKRUN_FLAG;
        constexpr unsigned cooperative = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
        auto flags = common | (use == reactor_use::one_thread ? own : cooperative);
        int error = set_up(flags);
        if (error == -EINVAL) {  // before Linux 6.1
            flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
            error = set_up(flags);
        }
        if (error < 0) throw std::system_error(-error, std::system_category(), "io_uring_setup");
        disabled_ = flags & IORING_SETUP_R_DISABLED;
        if (!(ring_.features & IORING_FEAT_EXT_ARG) || !(ring_.features & IORING_FEAT_NODROP)) {
            io_uring_queue_exit(&ring_);
            throw std::system_error(ENOSYS, std::system_category(), "io_uring before Linux 5.11");
        }
        event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (event_ < 0) {
            error = errno;
            io_uring_queue_exit(&ring_);
            throw std::system_error(error, std::system_category(), "eventfd");
        }
    }
    uring_ring(const uring_ring&) = delete;
    uring_ring& operator=(const uring_ring&) = delete;
    ~uring_ring() {
        io_uring_queue_exit(&ring_);
        ::close(event_);
    }

    /// The calling thread uses it from now on.
    void attach() noexcept {
        if (std::exchange(disabled_, false)) io_uring_enable_rings(&ring_);
        if (!watching_) watch_event();
    }
    void wake() noexcept {
        std::uint64_t one = 1;
        (void)!::write(event_, &one, sizeof one);
    }

    /// Adds an entry, which fill() writes: void(io_uring_sqe*).
    template <class F>
    void add(F fill) noexcept {
        std::lock_guard guard(lock_);
        for (;;) {
            if (auto* sqe = io_uring_get_sqe(&ring_)) {
                fill(sqe);
                return;
            }
            auto n = io_uring_submit(&ring_);
            if (n == -EBUSY || n == -EAGAIN) set_aside();  // the completion queue is full
        }
    }

    /// Submits what is pending, and waits for a completion as long as that (negative: without
    /// limit; 0: not at all). Who waits drives the ring.
    void enter(std::chrono::nanoseconds timeout) noexcept {
        if (timeout.count() != 0 && io_uring_cq_ready(&ring_) == 0 && aside_.empty()) {
            __kernel_timespec ts{timeout.count() / 1'000'000'000, timeout.count() % 1'000'000'000};
            io_uring_cqe* cqe = nullptr;
            io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, timeout.count() < 0 ? nullptr : &ts,
                                             nullptr);
            return;
        }
        std::lock_guard guard(lock_);
        if (has_kernel_work()) {
            io_uring_submit_and_get_events(&ring_);
        } else if (io_uring_sq_ready(&ring_) != 0) {
            io_uring_submit(&ring_);
        }
    }

    /// Hands each completion that is there to f, which may add entries.
    template <class F>
    void take(F f) noexcept {
        completion some[32];
        for (std::size_t n = 32; n == 32;) {
            n = next(some);
            for (std::size_t i = 0; i < n; ++i) {
                auto& c = some[i];
                if (c.data == wake_tag) {
                    if (!(c.flags & IORING_CQE_F_MORE)) watching_ = false;
                } else if (c.data != nobody) {
                    f(c);
                }
            }
        }
        if (!watching_) watch_event();
    }

private:
    static constexpr unsigned entries = 512, completions = 4096;
    static constexpr std::uint64_t wake_tag = 1;

    int set_up(unsigned flags) noexcept {
        io_uring_params p{};
        p.flags = flags;
        p.cq_entries = completions;
        return io_uring_queue_init_params(entries, &ring_, &p);
    }
    bool has_kernel_work() const noexcept {
        auto flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
        return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }
    void watch_event() noexcept {
        add([this](io_uring_sqe* sqe) {
            io_uring_prep_poll_multishot(sqe, event_, POLLIN);
            io_uring_sqe_set_data64(sqe, wake_tag);
        });
        watching_ = true;
    }

    /// How many of the queue's oldest it has moved there.
    std::size_t pop(std::span<completion> to) noexcept {
        std::size_t n = 0;
        io_uring_cqe* cqe = nullptr;
        unsigned head = 0;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            if (n == to.size()) break;
            to[n++] = {cqe->user_data, cqe->res, cqe->flags};
        }
        io_uring_cq_advance(&ring_, static_cast<unsigned>(n));
        return n;
    }
    /// Makes room in the completion queue, in the middle of anything: nobody is told now.
    void set_aside() noexcept {
        completion some[32];
        while (auto n = pop(some)) aside_.insert(aside_.end(), some, some + n);
    }
    /// The same of all that have not been handed out.
    std::size_t next(std::span<completion> to) noexcept {
        std::lock_guard guard(lock_);
        if (aside_.empty()) [[likely]]
            return pop(to);
        std::size_t n = 0;
        while (n < to.size() && taken_ < aside_.size()) to[n++] = aside_[taken_++];
        if (taken_ == aside_.size()) {
            aside_.clear();
            taken_ = 0;
        }
        return n + pop(to.subspan(n));
    }

    io_uring ring_{};
    int event_ = -1;
    bool disabled_ = false;
    bool watching_ = false;          // who has the turn
    optional_spin_lock lock_;        // guards both queues and the rest
    std::vector<completion> aside_;  // older than what is in the queue
    std::size_t taken_ = 0;          // of those
};

}  // namespace rt::detail
