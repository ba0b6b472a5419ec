// The ring of a channel, and the operations that wait for it.
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
export module rt.sync:channel_ops;
import rt.task;
import :channel_core;

export namespace rt {

template <class T>
class permit;

namespace detail {

/// What is asked before anything is made of T, so that its message comes first.
template <class T>
struct can_be_sent {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                  "a channel carries values, which are moved: send a pointer or a "
                  "std::reference_wrapper instead of a reference, and no const");
};

template <class T>
class send_op;

template <class T>
class channel_state final : public channel_core {
    // Asked of the constructor alone: a destructor may throw.
    static_assert(
        noexcept(::new (static_cast<void*>(nullptr)) T(std::declval<T&&>())),
        "a channel moves its values under a lock: send a std::unique_ptr of what may throw");

public:
    static channel_state& make(std::size_t capacity, std::source_location where) {
        static_assert(sizeof(channel_state) <= size_of_this);
        if (capacity == 0) misuse("a channel with capacity 0: 1 is the smallest", where);
        constexpr auto most = std::numeric_limits<std::size_t>::max() / 4 / sizeof(T);
        if (capacity > most) throw std::bad_array_new_length();
        auto places = std::bit_ceil(capacity);
        auto* memory = ::operator new(offset + places * sizeof(T), alignment);
        return *::new (memory) channel_state(capacity, places);
    }
    /// Its values live in blocks, of which one at a time is kept when it is empty.
    static channel_state& make_unbounded() {
        static_assert(sizeof(channel_state) <= size_of_this);
        auto first = std::make_unique_for_overwrite<block>();
        auto* memory = ::operator new(offset, alignment);
        auto& state = *::new (memory) channel_state(unlimited, 0);
        state.first_ = state.last_ = first.release();
        return state;
    }
    /// Before a value enters an unbounded channel, under no lock: the next block is there.
    void prepare() {
        if (spare_.load(std::memory_order_relaxed) != nullptr) return;
        auto made = std::make_unique_for_overwrite<block>();
        block* none = nullptr;
        if (spare_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel))
            (void)made.release();
    }
    bool admit(space_request& request) noexcept {
        return this->admit_by(request, [this](void* value, std::size_t place) noexcept {
            this->channel_state::put(value, place);
        });
    }
    /// The oldest value, out of the ring; empty if there is none.
    std::optional<T> take() {
        std::optional<T> value;
        if (!has_value()) return value;
        auto& place = *at(place_of(0));
        value.emplace(std::move(place));
        std::destroy_at(&place);
        popped(1);
        return value;
    }
    /// Appends up to n values. If that throws, they are still in the channel.
    std::size_t take_many(std::vector<T>& values, std::size_t n) {
        n = std::min(n, size());
        if (n == 0) return 0;
        if (values.capacity() - values.size() < n)
            values.reserve(std::max(values.size() + n, values.capacity() * 2));
        for (std::size_t i = 0; i < n; ++i) {
            auto& place = *at(place_of(i));
            values.push_back(std::move(place));
            std::destroy_at(&place);
        }
        popped(n);
        return n;
    }
    /// Once receiver_leaves() has been called. One at a time, and under no lock: the destructor of
    /// a value may use this channel.
    void drop_values() noexcept {
        while (has_value()) {
            try {
                at(place_of(0))->~T();  // std::destroy_at may be noexcept
            } catch (...) {
                report_thrown_by_value(std::current_exception());
            }
            popped(1);
        }
    }

private:
    static constexpr auto alignment =
        std::align_val_t{std::max({alignof(T), alignof(channel_core), alignof(std::max_align_t)})};
    static constexpr std::size_t size_of_this = sizeof(channel_core) + 3 * sizeof(void*);
    static constexpr std::size_t offset = (size_of_this + alignof(T) - 1) / alignof(T) * alignof(T);

    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max() / 2;
    struct block {
        static constexpr std::size_t size = sizeof(T) < 64 ? 32 : 8;
        block* next = nullptr;
        std::size_t end = size;  // one past the place of its last value
        alignas(T) std::byte room[size * sizeof(T)];

        T* at(std::size_t place) noexcept {
            return std::launder(reinterpret_cast<T*>(room) + place % size);
        }
    };

    channel_state(std::size_t capacity, std::size_t places) noexcept
        : channel_core(capacity, places) {}
    ~channel_state() {
        while (first_ != nullptr) delete std::exchange(first_, first_->next);
        delete spare_.load(std::memory_order_relaxed);
    }

    /// The receiver's, place after place.
    T* at(std::size_t place) noexcept {
        if (first_ == nullptr) [[likely]]
            return in_ring(place);
        if (place == first_->end) {  // all in it has been destroyed
            auto* empty = std::exchange(first_, first_->next);
            delete spare_.exchange(empty, std::memory_order_acq_rel);
        }
        return first_->at(place);
    }
    T* in_ring(std::size_t place) noexcept {
        return std::launder(reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + offset) +
                            place);
    }
    void put(void* value, std::size_t place) noexcept override {
        auto* to = last_ == nullptr ? in_ring(place) : in_last_block(place);
        ::new (static_cast<void*>(to)) T(std::move(*static_cast<T*>(value)));
    }
    T* in_last_block(std::size_t place) noexcept {
        if (place == last_->end) {
            auto* next = spare_.exchange(nullptr, std::memory_order_acq_rel);
            if (next == nullptr)
                next = ::new block;  // other senders have had it; out of memory
                                     // ends the program
            next->next = nullptr;
            next->end = last_->end + block::size;
            last_ = last_->next = next;
        }
        return last_->at(place);
    }
    space_request& request_of(arm& waiter) noexcept override {
        return static_cast<send_op<T>&>(waiter);
    }
    void destroy() noexcept override {
        this->~channel_state();
        ::operator delete(static_cast<void*>(this), alignment);
    }

    // Of an unbounded channel; null otherwise.
    block* first_ = nullptr;  // the receiver's
    block* last_ = nullptr;   // guarded by the lock
    std::atomic<block*> spare_{nullptr};
};

/// Waits for a place in a channel; the value is moved into it by whoever grants the place.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] send_op : public leaf_op<send_op<T>>,
                                                                        public space_request {
public:
    using lossless = void;
    send_op(channel_state<T>& state, T* from, std::source_location where) noexcept
        : space_request{from}, state_(&state), where_(where) {}
    send_op(send_op&& other) noexcept = default;

    bool try_now() noexcept { return state_->admit(*this); }
    bool enlist() noexcept { return state_->admit_or_wait(*this, *this); }
    bool delist() noexcept { return state_->forget_sender(*this); }
    [[nodiscard]] std::error_code failure() const noexcept {
        return verdict == admission::closed ? make_error_code(errc::closed) : std::error_code();
    }
    result<void> await_resume() const noexcept { return failure(); }
    const char* what() const noexcept { return "rt::sender::send"; }
    std::source_location where() const noexcept { return where_; }

protected:
    channel_state<T>* state_;

private:
    std::source_location where_;
};

/// As send_op, with a value of its own.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] send_copy_op : public send_op<T> {
public:
    send_copy_op(channel_state<T>& state, const T& from, std::source_location where)
        : send_op<T>(state, nullptr, where), copy_(from) {
        this->value = std::addressof(copy_);
    }
    send_copy_op(send_copy_op&& other) noexcept
        : send_op<T>(std::move(other)), copy_(std::move(other.copy_)) {
        this->value = std::addressof(copy_);
    }
    // Anew, because those of send_op would make a send_op of it.
    auto or_return() && { return or_return_op<send_copy_op>(std::move(*this)); }
    auto or_throw() && { return or_throw_op<send_copy_op>(std::move(*this)); }

private:
    T copy_;
};

/// As send_op, but for the place alone.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] reserve_op : public send_op<T> {
public:
    using send_op<T>::send_op;
    reserve_op(reserve_op&& other) noexcept = default;
    /// A place that was granted and is not taken is given back. (rt itself never lets it come to
    /// that: a granted operation is always resumed.)
    ~reserve_op() {
        if (this->verdict == admission::granted) this->state_->give_back();
    }
    result<permit<T>> await_resume() noexcept {
        if (auto error = this->failure()) return error;
        this->verdict = admission::pending;
        this->state_->add_sender();
        return permit<T>(*this->state_);
    }
    auto or_return() && { return or_return_op<reserve_op>(std::move(*this)); }
    auto or_throw() && { return or_throw_op<reserve_op>(std::move(*this)); }
};

/// Waits until the receiving end is closed or gone.
template <class Core>
class [[nodiscard("it does nothing until it is co_awaited")]] closed_op
    : public leaf_op<closed_op<Core>> {
public:
    using lossless = void;
    closed_op(Core& core, std::source_location where) noexcept : core_(&core), where_(where) {}
    closed_op(closed_op&& other) noexcept = default;
    bool try_now() noexcept { return core_->closed(); }
    bool enlist() noexcept { return core_->closed_or_wait(*this); }
    bool delist() noexcept { return core_->forget_watcher(*this); }
    void await_resume() const noexcept {}
    const char* what() const noexcept { return "a sender's closed()"; }
    std::source_location where() const noexcept { return where_; }

private:
    Core* core_;
    std::source_location where_;
};

/// Waits until there is a value; takes it only when it is resumed, so there is nothing to lose
/// before.
template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] recv_op : public leaf_op<recv_op<T>> {
public:
    using lossless = void;
    recv_op(channel_state<T>& state, std::source_location where) noexcept
        : state_(&state), where_(where) {}
    recv_op(recv_op&& other) noexcept = default;

    bool try_now() const noexcept { return state_->ready(); }
    bool enlist() noexcept { return state_->ready_or_wait(*this, where_); }
    bool delist() noexcept { return state_->forget_receiver(*this); }
    std::optional<T> await_resume() {
        auto value = state_->take();
        if (!value && !state_->ended())
            misuse("two receives at once on one receiver", this->waits_at(where_));
        return value;
    }
    const char* what() const noexcept { return "rt::receiver::recv"; }
    std::source_location where() const noexcept { return where_; }

private:
    channel_state<T>* state_;
    std::source_location where_;
};

template <class T>
class [[nodiscard("it does nothing until it is co_awaited")]] recv_many_op
    : public leaf_op<recv_many_op<T>> {
public:
    using lossless = void;
    recv_many_op(channel_state<T>& state, std::vector<T>& values, std::size_t n,
                 std::source_location where) noexcept
        : state_(&state), values_(&values), most_(n), where_(where) {}
    recv_many_op(recv_many_op&& other) noexcept = default;

    bool try_now() const noexcept { return most_ == 0 || state_->ready(); }
    bool enlist() noexcept { return most_ == 0 || state_->ready_or_wait(*this, where_); }
    bool delist() noexcept { return state_->forget_receiver(*this); }
    std::size_t await_resume() {
        auto count = state_->take_many(*values_, most_);
        if (count == 0 && most_ != 0 && !state_->ended())
            misuse("two receives at once on one receiver", this->waits_at(where_));
        return count;
    }
    const char* what() const noexcept { return "rt::receiver::recv_many"; }
    std::source_location where() const noexcept { return where_; }

private:
    channel_state<T>* state_;
    std::vector<T>* values_;
    std::size_t most_;
    std::source_location where_;
};

}  // namespace detail
}  // namespace rt
