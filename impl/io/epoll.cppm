// epoll, dressed as completion. Each descriptor is registered, edge-triggered, with the worker that
// first waits on it, and output is added when somebody first waits for that: an edge tells all that
// is ready, and few ever wait to write.
//
// A call that took less than it was offered has emptied (or filled) the socket, so readiness is
// cleared without a further call that would say EAGAIN: a request/response server makes one read
// and one write a round trip.
//
// Who has the turn (:reactor) and takes events handles them and frees retired objects before the
// next one takes any.
module;
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
module rt.io:epoll;
import rt.task;
import rt.io;
import :object;

namespace rt::detail {

class epoll_reactor final : public reactor {
public:
    epoll_reactor()
        : epoll_(::epoll_create1(EPOLL_CLOEXEC)), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        epoll_event e{};
        e.events = EPOLLIN | EPOLLET;  // edges need no read: every wake is a new one
        if (epoll_ < 0 || event_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &e) < 0) {
            auto error = errno;
            if (epoll_ >= 0) ::close(epoll_);
            if (event_ >= 0) ::close(event_);
            throw std::system_error(error, std::system_category(), "epoll_create1");
        }
    }
    ~epoll_reactor() override {
        ::close(event_);
        ::close(epoll_);
    }
    reactor_kind kind() const noexcept override { return reactor_kind::epoll; }

    void wake() noexcept override {
        std::uint64_t one = 1;
        (void)!::write(event_, &one, sizeof one);
    }

    bool try_now(io_request& r, bool) noexcept override {
        // The other calls say for themselves that they will not wait (MSG_DONTWAIT).
        if (r.kind == io_kind::accept || r.kind == io_kind::connect || r.kind == io_kind::read ||
            r.kind == io_kind::write)
            set_blocking(*r.object, true);
        auto& d = r.object->direction(r.kind);
        if (!d.is_ready()) return false;
        return call(r, d);
    }
    bool enlist(io_request& r, arm* selecting) noexcept override {
        auto& object = *r.object;
        auto& d = object.direction(r.kind);
        if (!d.watched.load(std::memory_order_acquire)) {
            if (auto error = watch(object, d)) {
                r.result = -error;
                return true;
            }
        }
        r.home = object.home.load(std::memory_order_relaxed);
        for (;;) {
            {
                std::lock_guard guard(object.lock);
                if (object.closing.load(std::memory_order_relaxed)) {
                    r.result = withdrawn;
                    return true;
                }
                if (d.op || d.waiter || d.trying) two_at_once(r);
                if (!d.is_ready()) {
                    if (selecting) {
                        d.waiter = selecting;
                    } else {
                        d.op = &r;
                        count_in_flight(1);
                    }
                    return false;
                }
            }
            if (call(r, d)) return true;
        }
    }
    bool delist(io_request& r, arm* selecting) noexcept override {
        auto& d = r.object->direction(r.kind);
        std::lock_guard guard(r.object->lock);
        if (selecting) {
            if (d.waiter != selecting) return false;
            d.waiter = nullptr;
            return true;
        }
        if (d.op != &r) {
            r.cancel_seen = true;  // the reactor is at it, and will not wait again
            return false;
        }
        d.op = nullptr;
        count_in_flight(-1);
        return true;
    }
    void close(io_object& object) noexcept override {
        io_request* ended[2] = {};
        arm* woken[2] = {};
        {
            std::lock_guard guard(object.lock);
            object.closing.store(true, std::memory_order_release);
            ended[0] = take_op(object.in);
            ended[1] = take_op(object.out);
            woken[0] = std::exchange(object.in.waiter, nullptr);
            woken[1] = std::exchange(object.out.waiter, nullptr);
            for (auto& w : woken) {
                if (w && !w->claim_to_try()) w = nullptr;
            }
        }
        for (auto* r : ended) {
            if (r) finish(*r, withdrawn);
        }
        for (auto* w : woken) {
            if (w) w->complete();
        }
    }
    void stop() noexcept override {
        reactor::stop();
        free_retired();
    }
    void retire(io_object& object) noexcept override {
        // The descriptor goes now: the peer waits for that. The memory stays until no event can
        // name it. A copy in a forked child would keep the registration, so that goes by itself.
        if (registered(object)) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, object.fd, nullptr);
        ::close(std::exchange(object.fd, -1));
        retain();  // once pushed, the object may go at any moment, and the last owner with it
        auto* seen = retired_.load(std::memory_order_relaxed);
        do {
            object.next_retired = seen;
        } while (!retired_.compare_exchange_weak(seen, &object, std::memory_order_acq_rel));
        if (stopped()) free_retired();  // nobody polls any more
        release();
    }

private:
    std::size_t take_turn(std::chrono::nanoseconds timeout) noexcept override {
        epoll_event events[128];
        auto n = wait(events, 128, timeout);
        std::size_t completed = 0;
        for (int i = 0; i < n; ++i) {
            auto* object = static_cast<io_object*>(events[i].data.ptr);
            if (!object) continue;  // a wake
            auto e = events[i].events;
            if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                completed +=
                    on_ready(*object, object->in, (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            if (e & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                completed += on_ready(*object, object->out, (e & (EPOLLHUP | EPOLLERR)) != 0);
        }
        // Objects that went while we held their events are freed only now.
        free_retired();
        return completed;
    }
    int wait(epoll_event* events, int room, std::chrono::nanoseconds timeout) noexcept {
        if (timeout.count() <= 0)
            return ::epoll_wait(epoll_, events, room, timeout.count() < 0 ? -1 : 0);
        if (!coarse_) {
            timespec ts{static_cast<time_t>(timeout.count() / 1'000'000'000),
                        static_cast<long>(timeout.count() % 1'000'000'000)};
            auto n = ::epoll_pwait2(epoll_, events, room, &ts, nullptr);
            if (n >= 0 || errno != ENOSYS) return n;
            coarse_ = true;  // Linux before 5.11 knows milliseconds only
        }
        auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
        return ::epoll_wait(epoll_, events, room,
                            ms > 1'000'000'000 ? 1'000'000'000 : static_cast<int>(ms));
    }

    /// True: the request has its result. False: not ready, and readiness cleared unless an event
    /// came meanwhile.
    static bool call(io_request& r, io_direction& d) noexcept {
        auto seen = d.readiness.load(std::memory_order_acquire);
        // Before it is watched no edge would set it again, and a select that never waits never
        // has it watched. (A connect is no arm, and must not be asked for its result at once.)
        bool watched = r.kind == io_kind::connect || d.watched.load(std::memory_order_acquire);
        r.result = perform_again(r);
        if (!watched) return r.result != -EAGAIN;
        if (r.result == -EAGAIN) {
            // EAGAIN from a peer that has closed cannot last; a sticky direction is never cleared.
            d.clear_if(seen & io_direction::sticky ? ~0u : seen);
            return false;
        }
        bool counts = r.kind == io_kind::receive || r.kind == io_kind::send;
        if (counts && r.result > 0 && static_cast<std::size_t>(r.result) < r.size)
            d.clear_if(seen & io_direction::sticky ? ~0u : seen);
        return true;
    }

    static bool registered(const io_object& object) noexcept {
        return object.home.load(std::memory_order_relaxed) != nullptr;
    }
    /// 0, or why the kernel will not.
    int watch(io_object& object, io_direction& d) noexcept {
        std::lock_guard guard(object.lock);
        if (d.watched.load(std::memory_order_relaxed)) return 0;
        bool output = &d == &object.out || object.out.watched.load(std::memory_order_relaxed);
        epoll_event e{};
        e.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (output ? EPOLLOUT : 0u);
        e.data.ptr = &object;
        // Either call reports the present state as the first edge; what was cleared before is set
        // again by that.
        auto* home = static_cast<epoll_reactor*>(object.home.load(std::memory_order_relaxed));
        if (::epoll_ctl((home ? home : this)->epoll_, home ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                        object.fd, &e) < 0)
            return errno;
        if (!home) {
            count_watched(1);
            object.settle_in(*this);
        }
        object.in.watched.store(true, std::memory_order_release);
        if (output) object.out.watched.store(true, std::memory_order_release);
        return 0;
    }

    std::size_t on_ready(io_object& object, io_direction& d, bool for_good) noexcept {
        io_request* r = nullptr;
        arm* woken = nullptr;
        {
            std::lock_guard guard(object.lock);
            d.set_ready(for_good);
            r = std::exchange(d.op, nullptr);
            d.trying = r != nullptr;
            if (d.waiter && d.waiter->claim_to_try()) woken = d.waiter;
        }
        if (woken) {
            woken->complete();
            return 1;
        }
        if (!r) return 0;
        // It holds the object, and nobody completes it meanwhile.
        bool done = call_until_settled(object, d, *r);
        if (done) finish(*r, r->result);
        return done ? 1 : 0;
    }
    /// True: the request has its result. False: it waits again.
    static bool call_until_settled(io_object& object, io_direction& d, io_request& r) noexcept {
        for (;;) {
            bool done = call(r, d);
            std::lock_guard guard(object.lock);
            if (!done && (r.cancel_seen || object.closing.load(std::memory_order_relaxed))) {
                r.result = withdrawn;
                done = true;
            }
            if (!done && d.is_ready()) continue;
            d.trying = false;
            if (!done) d.op = &r;
            return done;
        }
    }
    static io_request* take_op(io_direction& d) noexcept { return std::exchange(d.op, nullptr); }
    void finish(io_request& r, std::int64_t result) noexcept {
        count_in_flight(-1);
        r.result = result;
        r.who->complete();
    }
    void free_retired() noexcept {
        auto* object = retired_.exchange(nullptr, std::memory_order_acq_rel);
        while (object) {
            auto* next = object->next_retired;
            if (registered(*object)) count_watched(-1);
            destroy(object);
            object = next;
        }
    }

    int epoll_;
    int event_;
    bool coarse_ = false;  // who has the turn
    std::atomic<io_object*> retired_{nullptr};
};

}  // namespace rt::detail
