// A wheel, not a heap: most timers are cancelled before they fire, and here that is an unlink.
//
// Eight levels of 64 slots; a tick is 2^16 ns (66 µs), so the levels reach all 2^64 ns there are,
// and no deadline is too far; steady_time::max() is never, and such a timer is in no slot. A
// timer's level is that of the highest bit in which its tick differs from now; when time enters its
// slot it moves down. Deadlines round up to a tick and time rounds down, so nothing fires early.
// One lock per wheel, uncontended as a rule: it is there so that other workers can take their
// timers out. A timer fires under the lock (it claims and completes, no more), so that a remove()
// which comes too late returns only when the claim has been decided.
module;
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
export module rt.time:wheel;
import rt.task;
import :clock;

export namespace rt {

class timer_wheel final : public timer_service {
public:
    explicit timer_wheel(clock_source& clock) noexcept;
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;

    steady_time now() noexcept override { return clock_->now(); }
    void insert(timer_node& node, steady_time deadline) noexcept override;
    bool remove(timer_node& node) noexcept override;

    /// No timer fires before it; earlier than the first deadline when that is far away. Empty:
    /// there are no timers that will ever fire.
    [[nodiscard]] std::optional<steady_time> next_deadline() noexcept;
    // The two for the thread that inserts, without the lock: a timer that was removed may show
    // still.
    [[nodiscard]] inline bool empty() const noexcept {
        return first_tick_.load(std::memory_order_relaxed) == no_tick;
    }
    [[nodiscard]] inline bool due(steady_time now) const noexcept {
        return since_origin(now) >> tick_bits >= first_tick_.load(std::memory_order_relaxed);
    }
    /// Fires all whose deadline is at or before now; returns how many.
    std::size_t advance(steady_time now) noexcept;

private:
    static constexpr unsigned levels = 8, slot_bits = 6, slots = 1u << slot_bits, tick_bits = 16;
    static constexpr auto no_tick = ~std::uint64_t{0};

    void place(timer_node& node) noexcept;
    static void link(timer_node& head, timer_node& node) noexcept;
    void unlink(timer_node& node) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> next_tick() const noexcept;
    /// Nanoseconds, 0 for what is before: unsigned, because two instants may be further apart than
    /// the signed type can say.
    [[nodiscard]] inline std::uint64_t since_origin(steady_time t) const noexcept {
        if (t <= origin_) return 0;
        return static_cast<std::uint64_t>(t.time_since_epoch().count()) -
               static_cast<std::uint64_t>(origin_.time_since_epoch().count());
    }

    clock_source* clock_;
    steady_time origin_;
    detail::spin_lock lock_;
    // Before it no slot is to be emptied; written under lock_.
    std::atomic<std::uint64_t> first_tick_{no_tick};
    std::uint64_t now_tick_ = 0;  // all below follow it; guarded by lock_
    std::array<std::uint64_t, levels> occupied_{};
    std::array<std::array<timer_node, slots>, levels> heads_;
    timer_node never_;
};

}  // namespace rt
