// The queues of a worker: the owner pushes at one end, and everyone, the owner included, takes at
// the other; what it has spawned it may pop from its own end as well.
//
// A ring of pointers between `top_` (next to take) and `bottom_` (next to push). push() publishes
// by a seq_cst store of bottom_, which also stands before the pusher's look for sleepers
// (worker.cppm). take() reads the slot first and then claims it by moving top_; the slot that top_
// names is overwritten only after top_ has moved past it, so a reader of an overwritten slot fails
// its claim. A full ring is replaced by one of twice the size; the old one stays until the end,
// since a thief may still read it (rings of one queue together are less than twice the last).
//
// pop() lowers bottom_ (seq_cst) and then reads top_ (seq_cst); take() reads top_ and then bottom_.
// So a taker that has found the popped slot to be next sees it gone, or the owner sees that taker's
// claim. Only of the last slot both may be sure, and there they race for top_. This is the deque of
// Chase and Lev, with seq_cst operations in the place of fences.
//
// A queue that only its owner touches does the same with plain loads and stores.
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>
module rt.sched:queue;
import rt.task;

namespace rt::detail {

struct item_list {
    work_item* first = nullptr;
    work_item* last = nullptr;
    inline void push(work_item& item) noexcept {
        item.next = nullptr;
        (last ? last->next : first) = &item;
        last = &item;
    }
    inline void append(const item_list& other) noexcept {
        if (!other.first) return;
        (last ? last->next : first) = other.first;
        last = other.last;
    }
    inline work_item* pop() noexcept {
        auto* item = first;
        if (item) {
            first = item->next;
            if (!first) last = nullptr;
        }
        return item;
    }
};

class run_queue {
public:
    explicit run_queue(bool shared) : ring_(new ring(256)), shared_(shared) {
        rings_.emplace_back(ring_.load(std::memory_order_relaxed));
    }
    run_queue(const run_queue&) = delete;
    run_queue& operator=(const run_queue&) = delete;

    /// The owner only.
    inline void push(work_item& item) {
        auto b = bottom_.load(std::memory_order_relaxed);
        auto t = top_.load(std::memory_order_acquire);
        auto* r = ring_.load(std::memory_order_relaxed);
        if (b - t >= r->size) r = grow(r, t, b);
        r->at(b).store(&item, std::memory_order_relaxed);
        bottom_.store(b + 1, shared_ ? std::memory_order_seq_cst : std::memory_order_relaxed);
    }
    /// The owner only: what it has pushed last. Null: empty, or taken meanwhile.
    inline work_item* pop() noexcept {
        auto b = bottom_.load(std::memory_order_relaxed);
        if (b == top_.load(std::memory_order_relaxed)) return nullptr;
        auto* r = ring_.load(std::memory_order_relaxed);
        bottom_.store(--b, shared_ ? std::memory_order_seq_cst : std::memory_order_relaxed);
        if (!shared_) return r->at(b).load(std::memory_order_relaxed);
        auto t = top_.load(std::memory_order_seq_cst);
        if (t < b) return r->at(b).load(std::memory_order_relaxed);
        // The last one, or none: whoever moves top_ has it.
        bool ours = t == b && top_.compare_exchange_strong(t, t + 1, std::memory_order_seq_cst);
        bottom_.store(b + 1, std::memory_order_relaxed);
        return ours ? r->at(b).load(std::memory_order_relaxed) : nullptr;
    }
    /// Any thread. Null: empty, or another taker was quicker.
    inline work_item* take() noexcept {
        if (!shared_) return take_alone();
        for (;;) {
            auto t = top_.load(std::memory_order_seq_cst);
            if (t >= bottom_.load(std::memory_order_seq_cst)) return nullptr;
            // Acquire: pairs with the release in grow().
            auto* item =
                ring_.load(std::memory_order_acquire)->at(t).load(std::memory_order_relaxed);
            // The read of the slot stands before its reuse, which follows the owner's acquire of
            // top_.
            if (top_.compare_exchange_strong(t, t + 1, std::memory_order_seq_cst)) return item;
        }
    }
    [[nodiscard]] inline std::size_t size() const noexcept {
        auto t = top_.load(std::memory_order_acquire);
        auto b = bottom_.load(std::memory_order_seq_cst);
        return b > t ? static_cast<std::size_t>(b - t) : 0;
    }

private:
    struct ring {
        explicit ring(std::uint64_t n) : size(n), slots(new std::atomic<work_item*>[n]) {}
        inline std::atomic<work_item*>& at(std::uint64_t i) noexcept {
            return slots[i & (size - 1)];
        }
        std::uint64_t size;
        std::unique_ptr<std::atomic<work_item*>[]> slots;
    };
    work_item* take_alone() noexcept {
        auto t = top_.load(std::memory_order_relaxed);
        if (t == bottom_.load(std::memory_order_relaxed)) return nullptr;
        top_.store(t + 1, std::memory_order_relaxed);
        return ring_.load(std::memory_order_relaxed)->at(t).load(std::memory_order_relaxed);
    }
    ring* grow(ring* old, std::uint64_t t, std::uint64_t b) {
        auto& bigger = rings_.emplace_back(new ring(old->size * 2));
        for (auto i = t; i < b; ++i)
            bigger->at(i).store(old->at(i).load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
        ring_.store(bigger.get(), std::memory_order_release);
        return bigger.get();
    }
    alignas(64) std::atomic<std::uint64_t> top_{0};
    alignas(64) std::atomic<std::uint64_t> bottom_{0};
    std::atomic<ring*> ring_;
    std::vector<std::unique_ptr<ring>> rings_;  // the owner's
    const bool shared_;
};

}  // namespace rt::detail
