module;
#include <chrono>
#include <source_location>
#include <stdexcept>
#include <string>
module rt.time;

namespace rt {

namespace detail {

timer_service& timers_of(wait_op& op, const char* what, std::source_location where) noexcept {
    auto* timers = op.env()->exec().timers();
    if (!timers) misuse(std::string(what) + " is awaited on an executor that has no timers", where);
    return *timers;
}

steady_time sleep_op::starting_at(steady_time now) noexcept {
    if (delay_.count() >= 0) {
        deadline_ = saturating_add(now, delay_);
        delay_ = std::chrono::nanoseconds(-1);
    }
    return deadline_;
}

bool sleep_op::try_now() noexcept {
    auto now = timers_of(*this, what(), where_).now();
    return starting_at(now) <= now;
}

bool sleep_op::enlist() noexcept {
    fired = [](timer_node& node) noexcept {
        auto& op = static_cast<sleep_op&>(node);
        if (op.claim()) op.complete();
    };
    timers_of(*this, what(), where_).insert(*this, deadline_);
    return false;
}

}  // namespace detail

std::chrono::nanoseconds interval::checked(std::chrono::nanoseconds period) {
    if (period.count() <= 0)
        throw std::invalid_argument("rt::interval: the period must be positive");
    return period;
}

steady_time interval::due(timer_service& timers) noexcept {
    if (!next_) next_ = timers.now();
    if (restart_) next_ = detail::saturating_add(timers.now(), period_);
    restart_ = false;
    return *next_;
}

bool interval::tick_op::try_now() noexcept {
    auto& timers = detail::timers_of(*this, what(), where_);
    return owner_->due(timers) <= timers.now();
}

bool interval::tick_op::enlist() noexcept {
    fired = [](timer_node& node) noexcept {
        auto& op = static_cast<tick_op&>(node);
        if (op.claim()) op.complete();
    };
    auto& timers = detail::timers_of(*this, what(), where_);
    timers.insert(*this, owner_->due(timers));
    return false;
}

steady_time interval::advance(tick_op& op) noexcept {
    auto now = detail::timers_of(op, op.what(), op.where_).now();
    auto due = *next_;
    if (missed_ == missed_ticks::burst || now - due < period_) {
        next_ = detail::saturating_add(due, period_);
    } else if (missed_ == missed_ticks::delay) {
        next_ = detail::saturating_add(now, period_);
    } else {
        next_ = detail::saturating_add(due, period_ * ((now - due) / period_ + 1));
    }
    return due;
}

}  // namespace rt
