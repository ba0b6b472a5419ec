// Values that come due: each has a deadline of its own, which may be moved or taken back.
//
// A heap of deadlines and one timer, for the earliest: a queue of a million expiring keys is one
// timer in the wheel.
module;
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>
export module rt.time:delay_queue;
import rt.task;
import :clock;
import :sleep;

export namespace rt {

template <class T>
class delay_queue;
namespace detail {
class delay_heap;
}

/// Names a value in a delay_queue. It stays valid, and unequal to all others, when the value has
/// gone.
class delay_key {
public:
    friend bool operator==(const delay_key&, const delay_key&) = default;

private:
    friend class detail::delay_heap;
    template <class T>
    friend class delay_queue;
    std::uint32_t place = 0;
    std::uint32_t generation = 0;
};

namespace detail {

/// The deadlines, and who waits for the first of them; but for the values.
class delay_heap {
public:
    delay_heap() = default;
    delay_heap(const delay_heap&) = delete;
    delay_heap& operator=(const delay_heap&) = delete;
    ~delay_heap();

    class next_op;
    static constexpr std::uint32_t nowhere = ~0u;

    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] std::size_t places() const noexcept { return entries_.size(); }
    delay_key insert(steady_time deadline);
    /// False: it has gone, or is being delivered.
    bool reset(delay_key key, steady_time deadline);
    bool remove(delay_key key);
    [[nodiscard]] std::optional<steady_time> deadline(delay_key key) const noexcept;
    /// Gives back the memory of places that are free; those before a value in use stay.
    void compact();
    /// The place of the first, which is no longer in the heap.
    std::uint32_t pop() noexcept;

    static steady_time now(std::source_location where);

private:
    struct entry {
        steady_time deadline;
        std::uint64_t number;  // of its insertion: equals come in this order
        std::uint32_t generation;
        std::uint32_t at;  // in heap_; nowhere: free
    };

    [[nodiscard]] const entry* find(delay_key key) const noexcept;
    [[nodiscard]] bool before(std::uint32_t a, std::uint32_t b) const noexcept;
    void sift_up(std::size_t at) noexcept;
    void sift_down(std::size_t at) noexcept;
    void put(std::size_t at, std::uint32_t place) noexcept;
    void take_out(std::size_t at) noexcept;
    bool disarm(std::uint32_t place) noexcept;
    void rearm() noexcept;

    std::vector<entry> entries_;
    std::vector<std::uint32_t> heap_;  // places in entries_
    std::vector<std::uint32_t> free_;
    std::uint64_t inserted_ = 0;
    std::uint32_t generations_ = 0;
    next_op* waiting_ = nullptr;
};

/// Waits for the first deadline, whichever is the first when it comes.
class delay_heap::next_op : public leaf_op<next_op>, public timer_node {
public:
    using lossless = void;
    next_op(delay_heap& owner, std::source_location where) noexcept
        : owner_(&owner), where_(where) {}
    next_op(next_op&& other) noexcept
        : leaf_op(std::move(other)), owner_(other.owner_), where_(other.where_) {}

    bool try_now() noexcept;
    bool enlist() noexcept;
    bool delist() noexcept;
    const char* what() const noexcept { return "rt::delay_queue::next"; }
    std::source_location where() const noexcept { return where_; }

protected:
    ~next_op() = default;
    delay_heap* owner_;

private:
    friend class delay_heap;
    std::source_location where_;
    std::uint32_t armed_for_ = nowhere;  // the place whose deadline is in the wheel
};

}  // namespace detail

/// A stream of values that come due. It belongs to one task (the children of a join or select
/// included), which may insert, reset and remove while it waits.
template <class T>
class delay_queue {
public:
    using value_type = T;
    using key = delay_key;

    class [[nodiscard("it does nothing until it is co_awaited")]] next_op
        : public detail::delay_heap::next_op {
    public:
        next_op(delay_queue& owner, std::source_location where) noexcept
            : detail::delay_heap::next_op(owner.heap_, where), queue_(&owner) {}
        next_op(next_op&& other) noexcept = default;
        std::optional<T> await_resume() { return queue_->take(this->owner_->pop()); }

    private:
        delay_queue* queue_;
    };

    /// The value comes due after that time. Not outside a runtime, whose clock counts: misuse.
    template <class Rep, class Period>
    key insert(T value, std::chrono::duration<Rep, Period> delay,
               std::source_location where = std::source_location::current()) {
        auto deadline =
            detail::saturating_add(detail::delay_heap::now(where), detail::to_nanoseconds(delay));
        return insert_at(std::move(value), deadline);
    }
    key insert_at(T value, steady_time deadline) {
        if (values_.size() <= heap_.places()) values_.resize(heap_.places() + 1);
        auto key = heap_.insert(deadline);
        values_[key.place].emplace(std::move(value));
        return key;
    }
    /// Comes due after that time instead. False: it has come due, or was removed.
    template <class Rep, class Period>
    bool reset(key key, std::chrono::duration<Rep, Period> delay,
               std::source_location where = std::source_location::current()) {
        return reset_at(key, detail::saturating_add(detail::delay_heap::now(where),
                                                    detail::to_nanoseconds(delay)));
    }
    bool reset_at(key key, steady_time deadline) { return heap_.reset(key, deadline); }
    /// Takes the value back; empty: it has come due, or was removed.
    std::optional<T> remove(key key) {
        if (!heap_.remove(key)) return std::nullopt;
        return take(key.place);
    }
    [[nodiscard]] std::optional<steady_time> deadline(key key) const noexcept {
        return heap_.deadline(key);
    }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Gives back memory that is not needed now. Keys stay as they are.
    void compact() {
        heap_.compact();
        values_.resize(heap_.places());
        values_.shrink_to_fit();
    }

    /// co_await q.next(): waits until a value is due and gives the one with the earliest deadline;
    /// while the queue is empty, it waits for what is inserted. Never early. Resumes on the task's
    /// executor. A stop withdraws it; it may lose a select: the value stays in the queue.
    next_op next(std::source_location where = std::source_location::current()) noexcept {
        return {*this, where};
    }

private:
    std::optional<T> take(std::uint32_t place) {
        return std::exchange(values_[place], std::nullopt);
    }
    detail::delay_heap heap_;
    std::vector<std::optional<T>> values_;  // by the key's place
};

}  // namespace rt
