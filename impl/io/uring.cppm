// io_uring: one ring per worker, entries batched and submitted when the worker has nothing else to
// do.
//
// Who may touch what: a ring has one driving thread, which submits in tasks and polls between them.
// Who has the turn (:reactor) alone handles completions and submits cancels; of a shared ring a
// helper may have it while the driving thread is in a task: see ring.cppm for the queues.
//
// Who wants a request cancelled without having the turn pushes it on `cancels_` and wakes the ring.
// A request so pushed has two parties: its completion (which sets `finished`) and its cancel (which
// sets `queued`); it completes when both have been consumed, so neither can find it gone. Nobody
// helps with a private ring, so on its own thread a cancel is an entry at once. Entries are in
// order: a cancel stands after its request's own, and finds requests that have not been submitted
// yet.
module;
#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
module rt.io:uring;
import rt.task;
import rt.io;
import :object;
import :ring;

namespace rt::detail {

class uring_reactor final : public reactor {
public:
    explicit uring_reactor(reactor_use use) : shared_(use == reactor_use::shared), ring_(use) {}
    reactor_kind kind() const noexcept override { return reactor_kind::io_uring; }

    void attach() noexcept override {
        std::lock_guard turn(turn_);
        owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
        ring_.attach();
    }

    void drain() noexcept override {
        std::lock_guard turn(turn_);
        // What is left is the readiness of objects whose selects were won by other arms.
        constexpr auto a_while = std::chrono::milliseconds(10);
        auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while (in_flight() != 0 && std::chrono::steady_clock::now() < until) {
            (void)drain_cancels();
            ring_.add([](io_uring_sqe* sqe) {
                io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
                io_uring_sqe_set_data64(sqe, uring_ring::nobody);
            });
            ring_.enter(a_while);
            reap();
        }
    }
    void wake() noexcept override { ring_.wake(); }

    bool try_now(io_request& r, bool selected) noexcept override {
        auto& object = *r.object;
        set_blocking(object, object.listener || is_pipe(r.kind));
        if (!selected && r.kind != io_kind::accept) return false;
        auto& d = object.direction(r.kind);
        if (!d.is_ready()) return false;
        auto seen = d.readiness.load(std::memory_order_acquire);
        if (selected && r.kind != io_kind::accept && object.direction(r.kind).op) two_at_once(r);
        r.result = perform_again(r);
        if (r.result != -EAGAIN) return true;
        if (selected) keep_watching(r, d, seen);
        return false;
    }
    bool enlist(io_request& r, arm* selecting) noexcept override {
        auto& object = *r.object;
        auto& d = object.direction(r.kind);
        r.home = this;
        start_over(r);
        for (;;) {
            {
                std::lock_guard guard(object.lock);
                if (object.closing.load(std::memory_order_relaxed)) {
                    r.result = withdrawn;
                    return true;
                }
                if (d.op || d.waiter) two_at_once(r);
                object.settle_in(*this);
                if (!selecting) {
                    d.op = &r;
                    break;
                }
                if (!d.is_ready()) {
                    d.waiter = selecting;
                    if (!std::exchange(d.polling, true)) start_poll(object, d, r.kind);
                    return false;
                }
            }
            // Not by try_now(): nobody watches yet, and the poll that is begun next tells what
            // came meanwhile.
            auto seen = d.readiness.load(std::memory_order_acquire);
            r.result = perform_again(r);
            if (r.result != -EAGAIN) return true;
            d.clear_if(seen);
        }
        submit(r);
        return false;
    }
    bool delist(io_request& r, arm* selecting) noexcept override {
        if (selecting) {
            auto& d = r.object->direction(r.kind);
            std::lock_guard guard(r.object->lock);
            if (d.waiter != selecting) return false;
            d.waiter = nullptr;
            return true;
        }
        cancel(r);
        return false;  // its own completion tells
    }
    void close(io_object& object) noexcept override {
        arm* woken[2] = {};
        {
            // Under the lock no request completes, so all four are alive.
            std::lock_guard guard(object.lock);
            object.closing.store(true, std::memory_order_release);
            io_direction* directions[2] = {&object.in, &object.out};
            for (int i = 0; i < 2; ++i) {
                auto& d = *directions[i];
                if (d.waiter && d.waiter->claim_to_try()) woken[i] = d.waiter;
                d.waiter = nullptr;
                if (d.op) ring_of(*d.op).cancel(*d.op);
                if (d.polling) ring_of(*d.poll).cancel(*d.poll);
            }
        }
        for (auto* w : woken) {
            if (w) w->complete();
        }
    }

private:
    static constexpr std::uint8_t queued = 1, finished = 2;

    static uring_reactor& ring_of(io_request& r) noexcept {
        return static_cast<uring_reactor&>(*r.home);
    }
    static void start_over(io_request& r) noexcept {
        r.cancel_state.store(0, std::memory_order_relaxed);
        r.cancel_seen = false;
        r.cancelled = false;
    }
    static bool is_pipe(io_kind kind) noexcept {
        return kind == io_kind::read || kind == io_kind::write;
    }
    bool on_owner() const noexcept {
        return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id();
    }
    std::size_t take_turn(std::chrono::nanoseconds timeout) noexcept override {
        // What it completes is work for this thread, which nobody would wake it for.
        auto completed = drain_cancels();
        ring_.enter(completed != 0 ? std::chrono::nanoseconds(0) : timeout);
        return completed + reap();
    }
    void submit(io_request& r) noexcept {
        count_in_flight(1);
        ring_.add([&r](io_uring_sqe* sqe) {
            prepare(*sqe, r);
            io_uring_sqe_set_data(sqe, &r);
        });
    }
    static void prepare(io_uring_sqe& entry, io_request& r) noexcept {
        auto* sqe = &entry;
        auto fd = r.object->fd;
        auto size = static_cast<unsigned>(r.size > 0x7ffff000 ? 0x7ffff000 : r.size);
        switch (r.kind) {
            case io_kind::receive:
                io_uring_prep_recv(sqe, fd, r.data, size, r.flags);
                break;
            case io_kind::send:
                io_uring_prep_send(sqe, fd, r.data, size, r.flags | MSG_NOSIGNAL);
                break;
            case io_kind::receive_vectored:
                io_uring_prep_recvmsg(sqe, fd, message_of(r), static_cast<unsigned>(r.flags));
                break;
            case io_kind::send_vectored:
                io_uring_prep_sendmsg(sqe, fd, message_of(r),
                                      static_cast<unsigned>(r.flags) | MSG_NOSIGNAL);
                break;
            case io_kind::connect:
                io_uring_prep_connect(sqe, fd, static_cast<const sockaddr*>(r.data),
                                      static_cast<socklen_t>(r.size));
                break;
            case io_kind::accept:
            case io_kind::read:
            case io_kind::readable:
                io_uring_prep_poll_add(sqe, fd, POLLIN | POLLRDHUP);
                break;
            case io_kind::write:
            case io_kind::writable:
                io_uring_prep_poll_add(sqe, fd, POLLOUT);
                break;
        }
    }
    void start_poll(io_object& object, io_direction& d, io_kind kind) noexcept {
        if (!d.poll) d.poll = std::make_unique<io_request>();
        d.poll->object = &object;
        d.poll->kind = takes_input(kind) ? io_kind::readable : io_kind::writable;
        d.poll->home = this;
        start_over(*d.poll);
        object.retain();
        submit(*d.poll);
    }

    /// An arm has found nothing. Readiness is cleared only while a poll will set it again: a
    /// select that never waits begins none. An arm that waits already needs another poll: its own
    /// was over when it woke.
    void keep_watching(io_request& r, io_direction& d, std::uint32_t seen) noexcept {
        std::lock_guard guard(r.object->lock);
        if (!d.waiter && !d.polling) return;
        d.clear_if(seen);
        if (!d.waiter || d.is_ready() || r.object->closing.load(std::memory_order_relaxed)) return;
        if (!std::exchange(d.polling, true)) start_poll(*r.object, d, r.kind);
    }

    void cancel(io_request& r) noexcept {
        bool here = on_owner();
        if (here && !shared_) {
            if (!(r.cancel_state.load(std::memory_order_acquire) & finished)) submit_cancel(r);
            return;
        }
        // Release: pairs with the acquire in on_complete() and drain_cancels().
        if (r.cancel_state.fetch_or(queued, std::memory_order_acq_rel) & (queued | finished))
            return;
        auto* seen = cancels_.load(std::memory_order_relaxed);
        do {
            r.next_cancel = seen;
        } while (!cancels_.compare_exchange_weak(seen, &r, std::memory_order_acq_rel));
        if (!here) wake();  // this thread polls before it waits
    }
    void submit_cancel(io_request& r) noexcept {
        r.cancelled = true;
        ring_.add([&r](io_uring_sqe* sqe) {
            io_uring_prep_cancel(sqe, &r, 0);
            // What it found does not matter: the request tells.
            io_uring_sqe_set_data64(sqe, uring_ring::nobody);
        });
    }
    /// How many it has completed.
    [[nodiscard]] std::size_t drain_cancels() noexcept {
        std::size_t completed = 0;
        auto* r = cancels_.exchange(nullptr, std::memory_order_acquire);
        while (r) {
            auto* next = r->next_cancel;
            r->cancel_seen = true;
            if (r->cancel_state.load(std::memory_order_acquire) & finished) {
                complete(*r);
                ++completed;
            } else {
                submit_cancel(*r);
            }
            r = next;
        }
        return completed;
    }

    std::size_t reap() noexcept {
        std::size_t n = 0;
        ring_.take([&](const uring_ring::completion& c) {
            on_complete(*reinterpret_cast<io_request*>(c.data), c.result);
            ++n;
        });
        return n;
    }
    void on_complete(io_request& r, std::int64_t result) noexcept {
        r.result = result;
        auto before = r.cancel_state.fetch_or(finished, std::memory_order_acq_rel);
        if ((before & queued) && !r.cancel_seen) return;  // drain_cancels() completes it
        complete(r);
    }
    /// The kernel has let go, and no cancel is under way.
    void complete(io_request& r) noexcept {
        count_in_flight(-1);
        auto& object = *r.object;
        auto& d = object.direction(r.kind);
        arm* whom = nullptr;
        {
            std::lock_guard guard(object.lock);
            if (r.who == nullptr) {  // readiness, for the arms of selects
                d.polling = false;
                d.set_ready(false);
                if (d.waiter && d.waiter->claim_to_try()) whom = d.waiter;
            } else {
                d.op = nullptr;
                whom = r.who;
            }
        }
        if (r.who == nullptr) {
            auto last = object.release();
            if (whom) whom->complete();
            if (last) retire(object);
        } else if (!wants_more(r) || !ask_again(r, d)) {
            whom->complete();  // it holds the object itself
        }
    }
    /// The request has no result yet: a poll whose call must wait after all, or an end that nobody
    /// asked for (the thread that submitted it has ended, a signal came). A cancel may show as
    /// -EINTR, where the kernel has given the call to a thread of its own; and it may have found a
    /// poll that was over.
    static bool wants_more(io_request& r) noexcept {
        bool polled = r.kind == io_kind::accept || is_pipe(r.kind);
        if (polled && r.result >= 0) r.result = perform_again(r);
        if (r.result == -EAGAIN || r.result == -EINTR) {
            if (!r.cancelled) return true;
            r.result = withdrawn;
            return false;
        }
        return r.result == -ECANCELED && !r.object->closing.load(std::memory_order_acquire) &&
               !r.who->stop_requested();
    }
    /// False: a cancel or a close came meanwhile, and the request is to complete.
    bool ask_again(io_request& r, io_direction& d) noexcept {
        auto seen = finished;
        if (!r.cancel_state.compare_exchange_strong(seen, 0, std::memory_order_acq_rel)) {
            // A cancel that found it finished has left it to us, and one that was queued before
            // has been consumed by now.
            r.result = withdrawn;
            return false;
        }
        {
            // Closed while it was in nobody's hands: close() has not seen it.
            std::lock_guard guard(r.object->lock);
            if (!r.object->closing.load(std::memory_order_relaxed)) {
                d.op = &r;
                submit(r);
                return true;
            }
        }
        r.result = withdrawn;
        if (!(r.cancel_state.fetch_or(finished, std::memory_order_acq_rel) & queued)) return false;
        count_in_flight(1);  // a cancel was queued meanwhile: drain_cancels() completes it
        return true;
    }
    void retire(io_object& object) noexcept override { destroy(&object); }

    bool shared_;
    uring_ring ring_;
    std::atomic<std::thread::id> owner_{};
    std::atomic<io_request*> cancels_{nullptr};
};

}  // namespace rt::detail
