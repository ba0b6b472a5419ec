module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
module rt.time;

namespace rt {

timer_wheel::timer_wheel(clock_source& clock) noexcept : clock_(&clock), origin_(clock.now()) {
    for (auto& level : heads_) {
        for (auto& head : level) head.prev = head.next = &head;
    }
    never_.prev = never_.next = &never_;
}

void timer_wheel::insert(timer_node& node, steady_time deadline) noexcept {
    std::lock_guard guard(lock_);
    node.home = this;
    constexpr auto last = (std::uint64_t{1} << (levels * slot_bits)) - 1;
    auto distance = since_origin(deadline);
    // A tick that would begin after the end of time.
    if (distance > since_origin(steady_time::max()) - (std::uint64_t{1} << tick_bits)) {
        link(never_, node);
        return;
    }
    bool exact = (distance & ((std::uint64_t{1} << tick_bits) - 1)) == 0;
    node.tick = std::min(last, (distance >> tick_bits) + (exact ? 0 : 1));
    place(node);
}

void timer_wheel::link(timer_node& head, timer_node& node) noexcept {
    node.prev = head.prev;
    node.next = &head;
    head.prev->next = &node;
    head.prev = &node;
}

void timer_wheel::place(timer_node& node) noexcept {
    // A tick that time has entered already waits for the next one.
    auto tick = std::max(node.tick, now_tick_ + 1);
    auto differing = tick ^ now_tick_;
    auto level = (63u - static_cast<unsigned>(std::countl_zero(differing))) / slot_bits;
    auto shift = level * slot_bits;
    auto slot = (tick >> shift) & (slots - 1);
    link(heads_[level][slot], node);
    occupied_[level] |= std::uint64_t{1} << slot;
    auto emptied = tick >> shift << shift;
    if (emptied < first_tick_.load(std::memory_order_relaxed))
        first_tick_.store(emptied, std::memory_order_relaxed);
}

void timer_wheel::unlink(timer_node& node) noexcept {
    node.prev->next = node.next;
    node.next->prev = node.prev;
    if (node.prev == node.next &&
        node.prev != &never_) {  // both are the head: the slot is empty now
        auto index = static_cast<std::size_t>(node.prev - &heads_[0][0]);
        occupied_[index / slots] &= ~(std::uint64_t{1} << (index % slots));
    }
    node.prev = node.next = nullptr;
}

bool timer_wheel::remove(timer_node& node) noexcept {
    std::lock_guard guard(lock_);
    if (node.prev == nullptr) return false;
    unlink(node);
    return true;
}

/// The first tick at which a slot is to be emptied.
std::optional<std::uint64_t> timer_wheel::next_tick() const noexcept {
    for (unsigned level = 0; level < levels; ++level) {
        auto shift = level * slot_bits;
        auto here = (now_tick_ >> shift) & (slots - 1);
        // Slots at or before the present one are empty: their timers would have been placed lower.
        auto ahead = here == slots - 1 ? 0 : occupied_[level] & (~std::uint64_t{0} << (here + 1));
        if (ahead == 0) continue;
        auto slot = static_cast<std::uint64_t>(std::countr_zero(ahead));
        auto above = now_tick_ >> (shift + slot_bits) << (shift + slot_bits);
        return above | (slot << shift);
    }
    return std::nullopt;
}

std::optional<steady_time> timer_wheel::next_deadline() noexcept {
    std::lock_guard guard(lock_);
    auto tick = next_tick();
    if (!tick) return std::nullopt;
    if (*tick > since_origin(steady_time::max()) >> tick_bits) return steady_time::max();
    auto instant =
        static_cast<std::uint64_t>(origin_.time_since_epoch().count()) + (*tick << tick_bits);
    return steady_time(std::chrono::nanoseconds(static_cast<std::int64_t>(instant)));
}

std::size_t timer_wheel::advance(steady_time now) noexcept {
    std::lock_guard guard(lock_);
    auto target = since_origin(now) >> tick_bits;
    std::size_t fired = 0;
    for (;;) {
        auto tick = next_tick();
        if (!tick || *tick > target) break;
        now_tick_ = *tick;
        // The slot of every level that this tick enters, from the top: what is not due moves down.
        for (unsigned level = levels; level-- > 0;) {
            auto shift = level * slot_bits;
            if ((now_tick_ & ((std::uint64_t{1} << shift) - 1)) != 0) continue;
            auto slot = (now_tick_ >> shift) & (slots - 1);
            auto& head = heads_[level][slot];
            timer_node moved;
            if (head.next == &head) continue;
            // Detach the list first: a far timer may be placed into the same slot again.
            moved.next = head.next;
            moved.prev = head.prev;
            moved.next->prev = moved.prev->next = &moved;
            head.prev = head.next = &head;
            occupied_[level] &= ~(std::uint64_t{1} << slot);
            while (moved.next != &moved) {
                auto& node = *moved.next;
                node.prev->next = node.next;
                node.next->prev = node.prev;
                node.prev = node.next = nullptr;
                if (node.tick <= now_tick_) {
                    ++fired;
                    node.fired(node);
                } else {
                    place(node);
                }
            }
        }
    }
    now_tick_ = std::max(now_tick_, target);
    first_tick_.store(next_tick().value_or(no_tick), std::memory_order_relaxed);
    return fired;
}

}  // namespace rt
