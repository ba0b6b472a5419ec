// What is ready on one worker: what its tasks have spawned; what was put off until after the
// reactor's turn; and in the stealing flavor a queue of what was woken, that others take from, and
// one place in front of all for the item that a running task woke or spawned last.
//
// What was woken is served in the order in which it became ready. Of what was spawned the newest
// runs first, and thieves take the oldest: a tree of tasks is walked depth first, so that few of
// them are alive at a time and those are warm (a million tasks breadth first: 2.5 us each, depth
// first a tenth of that), and what is stolen is the largest part of it.
//
// All of it can be handed over by a helper while the owner is kept in one item (monitor.cppm), so
// each part is atomic or has a lock: the place in front is moved by exchanges only (acq_rel: who
// takes an item sees what its pusher wrote), the queue by its own protocol. Whoever takes an item
// owns it.
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <utility>
module rt.sched:ready;
import rt.task;
import :queue;

namespace rt::detail {

class ready_items {
public:
    explicit ready_items(bool shared) : later_lock_(shared), queue_(shared), spawned_(shared) {}

    // The owner.
    inline void push(work_item& item) {
        task_state::posted(item) ? push_spawned(item) : line_up(item);
    }
    inline void push_spawned(work_item& item) { spawned_.push(item); }
    /// Behind what was woken, whatever it is.
    inline void line_up(work_item& item) { queue_.push(item); }
    inline work_item* pop_spawned() noexcept { return spawned_.pop(); }
    /// To run next. True: the one that was there is for all now.
    inline bool push_front(work_item& item) {
        auto* before = front_.exchange(&item, std::memory_order_acq_rel);
        if (before) push(*before);
        return before != nullptr;
    }
    inline void put_off(work_item& item) noexcept {
        std::lock_guard guard(later_lock_);
        later_.push(item);
    }
    [[nodiscard]] inline bool empty() const noexcept { return !has_front() && stealable() == 0; }

    // Any thread.
    [[nodiscard]] inline bool has_front() const noexcept {
        return front_.load(std::memory_order_relaxed) != nullptr;
    }
    /// The owner takes half of what another one has, of what was woken or else of what was spawned;
    /// how many.
    inline unsigned steal_half(ready_items& from) {
        if (auto stolen = steal_half(from.queue_, queue_)) return stolen;
        return steal_half(from.spawned_, spawned_);
    }
    inline work_item* take_front() noexcept {
        return has_front() ? front_.exchange(nullptr, std::memory_order_acq_rel) : nullptr;
    }
    inline work_item* take() noexcept { return queue_.take(); }
    /// The oldest.
    inline work_item* take_spawned() noexcept { return spawned_.take(); }
    inline item_list take_put_off() noexcept {
        std::lock_guard guard(later_lock_);
        return std::exchange(later_, {});
    }
    [[nodiscard]] inline std::size_t stealable() const noexcept {
        return queue_.size() + spawned_.size();
    }
    /// A helper: all that is ready now.
    template <class Give>
    void hand_over(Give give) noexcept {
        for (auto* all : {&queue_, &spawned_}) {
            for (auto n = all->size(); n > 0; --n) {
                auto* item = all->take();
                if (!item) break;
                give(*item);
            }
        }
        if (auto* item = take_front()) give(*item);
        auto later = take_put_off();
        while (auto* item = later.pop()) give(*item);
    }

private:
    inline static unsigned steal_half(run_queue& from, run_queue& to) {
        unsigned stolen = 0;
        auto wanted = std::min((from.size() + 1) / 2, most_at_once);
        while (stolen < wanted) {
            auto* item = from.take();
            if (!item) break;
            to.push(*item);
            ++stolen;
        }
        return stolen;
    }
    static constexpr std::size_t most_at_once = 32;

    std::atomic<work_item*> front_{nullptr};
    optional_spin_lock later_lock_;
    item_list later_;  // guarded by later_lock_
    run_queue queue_;
    run_queue spawned_;
};

}  // namespace rt::detail
