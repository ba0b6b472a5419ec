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
    /// Fires all whose deadline is at or before now; returns how many.
    std::size_t advance(steady_time now) noexcept;

private:
    static constexpr unsigned levels = 8, slot_bits = 6, slots = 1u << slot_bits, tick_bits = 16;

    void place(timer_node& node) noexcept;
    static void link(timer_node& head, timer_node& node) noexcept;
    void unlink(timer_node& node) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> next_tick() const noexcept;
    [[nodiscard]] std::uint64_t since_origin(steady_time t) const noexcept;

    clock_source* clock_;
    steady_time origin_;
    detail::spin_lock lock_;
    std::uint64_t now_tick_ = 0;  // all below follow it; guarded by lock_
    std::array<std::uint64_t, levels> occupied_{};
    std::array<std::array<timer_node, slots>, levels> heads_;
    timer_node never_;
};

}  // namespace rt
