// Who waits for a primitive: arms in the order of their arrival, linked through the arms
// themselves.
//
// A waiting operation lives in the frame of its task, so that waiting allocates nothing. Every call
// here is made under the lock of the primitive that owns the list. Whoever has an item to give away
// calls claim_first(), hands the item over, gives the lock back, and then completes the arm:
// completing may free the frame that the arm lives in. An arm that cannot be claimed stays where it
// is and is passed over: its select either has another winner, and will take it off, or is trying,
// and then looks again before it sleeps.
module;
#include <utility>
export module rt.sync:waiters;
import rt.task;

export namespace rt::detail {

/// An arm is linked while prev_arm is set: the first one's names the last, so that push needs no
/// second pointer.
class waiters {
public:
    waiters() noexcept = default;
    waiters(const waiters&) = delete;
    waiters& operator=(const waiters&) = delete;

    [[nodiscard]] inline bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] inline arm* first() const noexcept { return first_; }
    [[nodiscard]] inline static bool linked(const arm& a) noexcept { return a.prev_arm != nullptr; }

    inline void push(arm& a) noexcept {
        a.next_arm = nullptr;
        if (first_ == nullptr) {
            first_ = a.prev_arm = &a;
        } else {
            a.prev_arm = first_->prev_arm;
            a.prev_arm->next_arm = &a;
            first_->prev_arm = &a;
        }
    }
    /// True: it was linked, and nobody will complete it any more.
    inline bool remove(arm& a) noexcept {
        if (!linked(a)) return false;
        auto* next = a.next_arm;
        if (&a == first_) {
            first_ = next;
        } else {
            a.prev_arm->next_arm = next;
        }
        if (next != nullptr) {
            next->prev_arm = a.prev_arm;
        } else if (first_ != nullptr) {
            first_->prev_arm = a.prev_arm;
        }
        a.prev_arm = a.next_arm = nullptr;
        return true;
    }
    /// The first arm that can be claimed, now claimed and off the list; null if there is none.
    [[nodiscard]] inline arm* claim_first() noexcept {
        for (auto* a = first_; a != nullptr; a = a->next_arm) {
            if (!a->claim()) continue;
            remove(*a);
            return a;
        }
        return nullptr;
    }

private:
    arm* first_ = nullptr;
};

/// Arms that were claimed under the lock and are to be completed after it: linked through next_arm,
/// which is the completer's once an arm is off its list.
class claimed_arms {
public:
    inline void add(arm& a) noexcept {
        (last_ != nullptr ? last_->next_arm : first_) = &a;
        last_ = &a;
    }
    /// Claims every arm of the list that can be claimed; the others stay in it.
    inline void add_all(waiters& list) noexcept {
        while (auto* a = list.claim_first()) add(*a);
    }
    /// After the lock was given back. An arm's next is read before it is completed: then it may be
    /// gone.
    inline void complete() noexcept {
        last_ = nullptr;
        for (auto* a = std::exchange(first_, nullptr); a != nullptr;)
            std::exchange(a, a->next_arm)->complete();
    }

private:
    arm* first_ = nullptr;
    arm* last_ = nullptr;
};

}  // namespace rt::detail
