// The lists of one thread are touched by that thread only; the depot and the register of threads by
// whoever holds their lock. Counters are atomics written by one thread and summed by audit().
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
module rt.task;

namespace rt::detail {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RT_FRAMES_FROM_MALLOC 1  // the sanitizer then sees a frame that is used after its end
#endif
#endif
#ifndef RT_FRAMES_FROM_MALLOC
#define RT_FRAMES_FROM_MALLOC 0
#endif

constexpr std::size_t grain =
    16;  // classes end 8 above a multiple: what malloc hands out without waste
constexpr std::size_t largest = 8192;
constexpr std::size_t classes = largest / grain + 1;
constexpr std::size_t class_of(std::size_t size) { return (size + 7) / grain; }
constexpr std::size_t size_of(std::size_t index) { return index * grain + 8; }
static_assert(size_of(class_of(1)) >= 1 && size_of(class_of(24)) == 24 &&
              size_of(class_of(25)) == 40);
constexpr std::size_t bytes_per_list = 256 * 1024;

struct free_block {
    free_block* next;
};
struct list {
    free_block* first = nullptr;
    std::uint32_t length = 0;
    std::uint32_t limit = 0;  // of a thread's list; the depot's is four times as long
};

constexpr std::array<list, classes> empty_lists() {
    std::array<list, classes> lists;
    for (std::size_t i = 0; i < classes; ++i) {
        auto n = bytes_per_list / size_of(i);
        lists[i].limit = static_cast<std::uint32_t>(n < 32 ? 32 : n);
    }
    return lists;
}

struct depot {
    std::mutex mutex;
    std::array<list, classes> lists;
};
depot& shared() {
    static auto* instance = new depot;  // outlives every thread
    return *instance;
}

struct local {
    std::array<list, classes> lists = empty_lists();
    std::atomic<std::int64_t> alive[2]{};  // frames, tasks
    std::atomic<std::int64_t> operations{0};
    local* next = nullptr;
    local* prev = nullptr;
};

struct register_of_threads {
    std::mutex mutex;
    local* first = nullptr;
    std::atomic<std::int64_t> alive[2]{};  // of threads that have ended
    std::atomic<std::int64_t> operations{0};
    audit_counts leaked;
};
register_of_threads& threads() {
    static auto* instance = new register_of_threads;
    return *instance;
}

constinit thread_local local* mine = nullptr;
constinit thread_local bool gone = false;

void move_half(list& from, list& to) noexcept {
    for (auto n = from.length / 2; n > 0; --n) {
        auto* block = from.first;
        from.first = block->next;
        --from.length;
        block->next = to.first;
        to.first = block;
        ++to.length;
    }
}

struct at_thread_end {
    ~at_thread_end() {
        auto& all = threads();
        {
            std::lock_guard guard(all.mutex);
            for (int i = 0; i < 2; ++i)
                all.alive[i] += mine->alive[i].load(std::memory_order_relaxed);
            all.operations += mine->operations.load(std::memory_order_relaxed);
            if (mine->prev) mine->prev->next = mine->next;
            if (mine->next) mine->next->prev = mine->prev;
            if (all.first == mine) all.first = mine->next;
        }
        for (auto& l : mine->lists) {
            while (l.first) ::operator delete(std::exchange(l.first, l.first->next));
        }
        delete mine;
        mine = nullptr;
        gone = true;
    }
};

[[gnu::noinline]] local* enrol() {
    if (gone) return nullptr;
    static thread_local at_thread_end end;
    (void)end;
    auto* l = new local;
    auto& all = threads();
    std::lock_guard guard(all.mutex);
    l->next = all.first;
    if (l->next) l->next->prev = l;
    all.first = l;
    mine = l;
    return l;
}

inline local* self() {
    if (mine) [[likely]]
        return mine;
    return enrol();
}

void add(std::atomic<std::int64_t>& counter, std::int64_t change) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
}

void count(local* l, counted_as what, std::int64_t change) noexcept {
    auto index = static_cast<int>(what);
    if (l) {
        add(l->alive[index], change);
    } else {
        threads().alive[index] += change;
    }
}

bool recycled(local* l, std::size_t index) noexcept {
    return !RT_FRAMES_FROM_MALLOC && l != nullptr && index < classes;
}

[[gnu::noinline]] void* allocate_slowly(std::size_t size, counted_as what) {
    auto* l = self();
    auto index = class_of(size);
    free_block* block = nullptr;
    if (recycled(l, index)) {
        auto& spare = l->lists[index];
        if (spare.first == nullptr) {
            auto& d = shared();
            std::lock_guard guard(d.mutex);
            move_half(d.lists[index], spare);
        }
        block = spare.first;
        if (block != nullptr) {
            spare.first = block->next;
            --spare.length;
        }
    }
    // Of the size of its class also where it is not recycled: another thread may release it.
    void* memory = block ? block : ::operator new(index < classes ? size_of(index) : size);
    count(l, what, 1);
    return memory;
}

[[gnu::noinline]] void release_slowly(void* memory, std::size_t size, counted_as what) noexcept {
    auto* l = self();
    count(l, what, -1);
    auto index = class_of(size);
    if (!recycled(l, index)) {
        ::operator delete(memory);
        return;
    }
    auto& spare = l->lists[index];
    spare.first = ::new (memory) free_block{spare.first};
    if (++spare.length <= spare.limit) return;
    auto& d = shared();
    std::lock_guard guard(d.mutex);
    if (d.lists[index].length < 4 * spare.limit) {
        move_half(spare, d.lists[index]);
    } else {
        list surplus;
        move_half(spare, surplus);
        while (surplus.first) ::operator delete(std::exchange(surplus.first, surplus.first->next));
    }
}

}  // namespace

// What nearly always happens stands alone, so that it needs no register of its caller's.

void* frame_allocate(std::size_t size, counted_as what) {
    auto index = class_of(size);
    if (auto* l = mine; recycled(l, index)) [[likely]] {
        auto& spare = l->lists[index];
        if (auto* block = spare.first) [[likely]] {
            spare.first = block->next;
            --spare.length;
            add(l->alive[static_cast<int>(what)], 1);
            return block;
        }
    }
    return allocate_slowly(size, what);
}

void frame_release(void* memory, std::size_t size, counted_as what) noexcept {
    auto index = class_of(size);
    if (auto* l = mine; recycled(l, index)) [[likely]] {
        auto& spare = l->lists[index];
        if (spare.length < spare.limit) [[likely]] {
            spare.first = ::new (memory) free_block{spare.first};
            ++spare.length;
            add(l->alive[static_cast<int>(what)], -1);
            return;
        }
    }
    release_slowly(memory, size, what);
}

void count_operations(std::int64_t change) noexcept {
    if (auto* l = self()) {
        add(l->operations, change);
    } else {
        threads().operations += change;
    }
}

void count_leaked(const audit_counts& leaked) noexcept {
    auto& all = threads();
    std::lock_guard guard(all.mutex);
    all.leaked.frames_leaked += leaked.frames_leaked;
    all.leaked.tasks_leaked += leaked.tasks_leaked;
    all.leaked.operations_leaked += leaked.operations_leaked;
}

}  // namespace rt::detail

namespace rt {

audit_counts audit() noexcept {
    auto& all = detail::threads();
    std::lock_guard guard(all.mutex);
    auto sum = all.leaked;
    sum.frames_alive = all.alive[0];
    sum.tasks_alive = all.alive[1];
    sum.operations_in_flight = all.operations;
    for (auto* l = all.first; l; l = l->next) {
        sum.frames_alive += l->alive[0].load(std::memory_order_relaxed);
        sum.tasks_alive += l->alive[1].load(std::memory_order_relaxed);
        sum.operations_in_flight += l->operations.load(std::memory_order_relaxed);
    }
    return sum;
}

}  // namespace rt
