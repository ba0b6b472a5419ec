// What is ready on one worker of the stealing flavor: a queue that others take from, one place in
// front of it for the item that a running task woke last, and what was put off until after the
// reactor's turn.
//
// All of it can be handed over by a helper while the owner is kept in one item (monitor.cppm), so
// each part is atomic or has a lock: the place in front is moved by exchanges only (acq_rel: who
// takes an item sees what its pusher wrote), the queue by its own protocol. Whoever takes an item
// owns it.
module;
#include <atomic>
#include <mutex>
#include <utility>
module rt.sched:ready;
import rt.task;
import :queue;

namespace rt::detail {

class ready_items {
public:
    explicit ready_items(bool shared) noexcept : later_lock_(shared) {}

    // The owner.
    inline void push(work_item& item) { queue_.push(item); }
    /// To run next. True: the one that was there has gone to the queue.
    inline bool push_front(work_item& item) {
        auto* before = front_.exchange(&item, std::memory_order_acq_rel);
        if (before) queue_.push(*before);
        return before != nullptr;
    }
    inline void put_off(work_item& item) noexcept {
        std::lock_guard guard(later_lock_);
        later_.push(item);
    }
    [[nodiscard]] inline bool empty() const noexcept { return !has_front() && queue_.size() == 0; }

    // Any thread.
    [[nodiscard]] inline bool has_front() const noexcept {
        return front_.load(std::memory_order_relaxed) != nullptr;
    }
    inline work_item* take_front() noexcept {
        return has_front() ? front_.exchange(nullptr, std::memory_order_acq_rel) : nullptr;
    }
    inline work_item* take() noexcept { return queue_.take(); }
    inline item_list take_put_off() noexcept {
        std::lock_guard guard(later_lock_);
        return std::exchange(later_, {});
    }
    [[nodiscard]] inline std::size_t queued() const noexcept { return queue_.size(); }
    /// A helper: all that is ready now.
    template <class Give>
    void hand_over(Give give) noexcept {
        for (auto n = queue_.size(); n > 0; --n) {
            auto* item = queue_.take();
            if (!item) break;
            give(*item);
        }
        if (auto* item = take_front()) give(*item);
        auto later = take_put_off();
        while (auto* item = later.pop()) give(*item);
    }

private:
    std::atomic<work_item*> front_{nullptr};
    optional_spin_lock later_lock_;
    item_list later_;  // guarded by later_lock_
    run_queue queue_;
};

}  // namespace rt::detail
