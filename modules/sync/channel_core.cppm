// A bounded channel, but for the type of its values: counts, indices and who waits.
//
// The values live in a ring that is allocated with the channel. Of capacity places some are free,
// some hold a value, and some are reserved by permits; free_ + values + reserved_ = capacity.
// Senders take places under the lock, in the order of their arrival. The single receiver needs no
// lock to see a value (tail_) and to move it out of its place: the place is its own until popped()
// gives it back, so no destructor of a value ever runs under the lock, and a receive that was
// granted and never resumed has taken nothing.
//
// A value moves under the lock only where it enters the ring: a waiting send's value is moved in by
// whoever frees a place, or stays with the sender. Hence values must not throw when they are moved.
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <source_location>
#include <utility>
export module rt.sync:channel_core;
import rt.task;
import :waiters;

export namespace rt::detail {

enum class admission : std::uint8_t { pending, granted, closed };

/// What a sender asks for: a place for its value, or, without a value, a place to reserve.
struct space_request {
    void* value = nullptr;
    admission verdict = admission::pending;  // written under the channel's lock
};

class channel_core {
public:
    channel_core(const channel_core&) = delete;
    channel_core& operator=(const channel_core&) = delete;

    // Senders, permits included: while there is one, the receiver does not see the end.
    inline void add_sender() noexcept { senders_.fetch_add(1, std::memory_order_relaxed); }
    /// False: the last one has gone.
    bool add_sender_if_any() noexcept;
    // Whoever keeps the memory, and does not count as a sender.
    void retain() noexcept { sides_.fetch_add(1, std::memory_order_relaxed); }
    void drop_sender() noexcept;
    bool admit_or_wait(space_request& request, arm& waiter) noexcept;
    bool forget_sender(arm& waiter) noexcept;
    /// Fills the place of a permit; false: the receiver is gone, and the value stays where it is.
    bool deliver(void* value) noexcept;
    /// Gives the place of a permit back.
    void give_back() noexcept;
    bool closed() noexcept;
    bool closed_or_wait(arm& watcher) noexcept;
    bool forget_watcher(arm& watcher) noexcept;
    [[nodiscard]] inline std::size_t capacity() const noexcept { return capacity_; }

    // The receiver: one call at a time.
    [[nodiscard]] inline bool has_value() const noexcept {
        // Acquire: pairs with the release in put_at_tail(); the value is in its place.
        return tail_.load(std::memory_order_acquire) != head_;
    }
    /// No value will come any more.
    [[nodiscard]] inline bool ended() const noexcept {
        return ended_.load(std::memory_order_acquire);
    }
    /// There is a value, or none will come. (A value that came before the end may be there as
    /// well.)
    [[nodiscard]] inline bool ready() const noexcept { return has_value() || ended(); }
    bool ready_or_wait(arm& receiver, std::source_location where) noexcept;
    bool forget_receiver(arm& receiver) noexcept;
    /// Gives back the places of the oldest count values, which have been moved out of them.
    inline void popped(std::size_t count) noexcept {
        std::unique_lock guard(lock_);
        head_ += count;
        if (sending_.empty()) [[likely]] {
            free_ += count;
        } else {
            popped_for_senders(count, std::move(guard));
        }
    }
    /// No more values, but those of permits; what is here can still be received.
    void close() noexcept;
    /// Before the receiver drops what is queued: permits find it gone, too.
    void receiver_leaves() noexcept;
    void release() noexcept;

protected:
    /// True: the request has its verdict. put(value, place) moves a value into the ring.
    template <class Put>
    bool admit_by(space_request& request, Put put) noexcept {
        arm* receiver = nullptr;
        {
            std::lock_guard guard(lock_);
            if (!admit_locked(request, put)) return false;
            if (request.value != nullptr) receiver = claim_receiver();
        }
        if (receiver != nullptr) receiver->complete();
        return true;
    }
    explicit channel_core(std::size_t capacity, std::size_t places) noexcept
        : capacity_(capacity), mask_(places - 1), free_(capacity) {}
    ~channel_core() = default;
    /// Moves *value into that place of the ring. Under the lock.
    virtual void put(void* value, std::size_t place) noexcept = 0;
    virtual space_request& request_of(arm& waiter) noexcept = 0;
    virtual void destroy() noexcept = 0;
    // The receiver's: how many values there are at least, and where the i-th of them is.
    [[nodiscard]] inline std::size_t size() const noexcept {
        return tail_.load(std::memory_order_acquire) - head_;
    }
    [[nodiscard]] inline std::size_t place_of(std::size_t i) const noexcept {
        return (head_ + i) & mask_;
    }

private:
    template <class Put>
    void put_at_tail(void* value, Put put) noexcept {
        auto tail = tail_.load(std::memory_order_relaxed);
        put(value, tail & mask_);
        // Release: pairs with the acquire in has_value().
        tail_.store(tail + 1, std::memory_order_release);
    }
    /// With a place in hand, which is in none of the counts.
    template <class Put>
    void grant(space_request& request, Put put) noexcept {
        if (request.value != nullptr) {
            put_at_tail(request.value, put);
        } else {
            ++reserved_;
        }
        request.verdict = admission::granted;
    }
    template <class Put>
    bool admit_locked(space_request& request, Put put) noexcept {
        if (closed_) [[unlikely]] {
            request.verdict = admission::closed;
            return true;
        }
        // Free although senders wait: then none of those could be claimed, so it may be taken.
        if (free_ == 0) return false;
        --free_;
        grant(request, put);
        return true;
    }
    /// For what is rare enough.
    [[nodiscard]] auto virtual_put() noexcept {
        return [this](void* value, std::size_t place) noexcept { put(value, place); };
    }
    inline arm* claim_receiver() noexcept {
        if (receiving_ == nullptr || !receiving_->claim()) return nullptr;
        return std::exchange(receiving_, nullptr);
    }
    bool end_if_over() noexcept;
    void popped_for_senders(std::size_t count, std::unique_lock<spin_lock> guard) noexcept;
    void hand_out(std::size_t count, claimed_arms& granted) noexcept;

    spin_lock lock_;
    const std::size_t capacity_;
    const std::size_t mask_;            // the ring has a power of two of places, capacity_ or more
    std::size_t free_;                  // guarded by lock_
    std::size_t reserved_ = 0;          // guarded by lock_
    bool closed_ = false;               // guarded by lock_
    bool receiver_gone_ = false;        // guarded by lock_
    arm* receiving_ = nullptr;          // guarded by lock_
    waiters sending_;                   // guarded by lock_
    waiters watching_;                  // guarded by lock_; wait for closed_
    std::atomic<std::size_t> tail_{0};  // written under lock_; counts on for ever
    std::atomic<bool> ended_{false};    // written under lock_, once
    std::atomic<std::size_t> senders_{1};
    std::atomic<int> sides_{2};  // the senders together, the receiver, and each weak sender
    std::size_t head_ = 0;       // the receiver's
};

/// Where an exception goes that leaves the destructor of a value which nobody has received.
void report_thrown_by_value(std::exception_ptr exception) noexcept;

}  // namespace rt::detail
