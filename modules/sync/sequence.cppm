// What broadcast and watch have in common: a count of what was sent, who waits for it to go on, and
// how many there are on either side.
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <utility>
export module rt.sync:sequence;
import rt.task;
import :waiters;

export namespace rt::detail {

class sequence_core {
public:
    sequence_core(const sequence_core&) = delete;
    sequence_core& operator=(const sequence_core&) = delete;

    void add_sender() noexcept { senders_.fetch_add(1, std::memory_order_relaxed); }
    /// The last one ends the sequence.
    void drop_sender() noexcept;
    /// The count at that moment: what comes is new to it.
    std::uint64_t add_receiver() noexcept;
    void drop_receiver() noexcept;
    [[nodiscard]] std::size_t receivers() noexcept;

    // Acquire: pairs with the releases in advance() and drop_sender(); what they tell of is in
    // place.
    [[nodiscard]] std::uint64_t count() const noexcept {
        return count_.load(std::memory_order_acquire);
    }
    [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }
    [[nodiscard]] bool ready(std::uint64_t seen) const noexcept {
        return count() != seen || ended();
    }
    bool ready_or_wait(std::uint64_t seen, arm& receiver) noexcept;
    bool forget(arm& receiver) noexcept;

    // For the senders: no receiver is left.
    [[nodiscard]] bool closed() noexcept { return receivers() == 0; }
    bool closed_or_wait(arm& watcher) noexcept;
    bool forget_watcher(arm& watcher) noexcept;

protected:
    sequence_core() noexcept = default;
    ~sequence_core() = default;
    /// Under the lock; complete the arms after it.
    void advance(claimed_arms& woken) noexcept;

    spin_lock lock_;

private:
    std::atomic<std::uint64_t> count_{0};  // written under lock_
    std::atomic<bool> ended_{false};       // written under lock_, once
    std::size_t receivers_ = 1;            // guarded by lock_
    waiters waiting_;                      // guarded by lock_
    waiters watching_;                     // guarded by lock_; wait for closed()
    std::atomic<std::size_t> senders_{1};
};

/// The part of a sender that counts. State is a sequence_core.
template <class State>
class sending_end {
protected:
    explicit sending_end(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    sending_end(const sending_end& other) noexcept : state_(other.state_) {
        if (state_) state_->add_sender();
    }
    sending_end(sending_end&& other) noexcept = default;
    sending_end& operator=(const sending_end& other) noexcept { return *this = sending_end(other); }
    sending_end& operator=(sending_end&& other) noexcept {
        sending_end taken(std::move(other));
        std::swap(state_, taken.state_);
        return *this;
    }
    ~sending_end() {
        if (state_) state_->drop_sender();
    }
    State& state(std::source_location where) const noexcept {
        if (!state_) misuse("a sender that was moved from is used", where);
        return *state_;
    }
    std::shared_ptr<State> state_;
};

/// The part of a receiver that counts, and the place in the sequence up to which it has seen. A
/// copy has seen the same.
template <class State>
class receiving_end {
protected:
    receiving_end(std::shared_ptr<State> state, std::uint64_t seen) noexcept
        : state_(std::move(state)), seen_(seen) {}
    receiving_end(const receiving_end& other) noexcept : state_(other.state_), seen_(other.seen_) {
        if (state_) state_->add_receiver();
    }
    receiving_end(receiving_end&& other) noexcept = default;
    receiving_end& operator=(const receiving_end& other) noexcept {
        return *this = receiving_end(other);
    }
    receiving_end& operator=(receiving_end&& other) noexcept {
        receiving_end taken(std::move(other));
        std::swap(state_, taken.state_);
        std::swap(seen_, taken.seen_);
        return *this;
    }
    ~receiving_end() {
        if (state_) state_->drop_receiver();
    }
    State& state(std::source_location where) const noexcept {
        if (!state_) misuse("a receiver that was moved from is used", where);
        return *state_;
    }
    std::shared_ptr<State> state_;
    std::uint64_t seen_;
};

}  // namespace rt::detail
