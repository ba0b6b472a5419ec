module;
#include <atomic>
#include <chrono>
#include <cstdint>
module rt.time;

namespace rt {
namespace {
class steady final : public clock_source {
public:
    steady_time now() noexcept override { return std::chrono::steady_clock::now(); }
};
}  // namespace

clock_source& real_clock() noexcept {
    static steady instance;
    return instance;
}

steady_time paused_clock::now() noexcept {
    return steady_time(std::chrono::nanoseconds(now_.load(std::memory_order_acquire)));
}

void paused_clock::advance_to(steady_time instant) noexcept {
    auto to = std::chrono::nanoseconds(instant.time_since_epoch()).count();
    auto seen = now_.load(std::memory_order_relaxed);
    while (seen < to && !now_.compare_exchange_weak(seen, to, std::memory_order_acq_rel)) {
    }
}

namespace detail {

steady_time saturating_add(steady_time instant, std::chrono::nanoseconds duration) noexcept {
    auto at = instant.time_since_epoch();
    using std::chrono::nanoseconds;
    if (at.count() > 0 && duration > nanoseconds::max() - at) return steady_time::max();
    if (at.count() < 0 && duration < nanoseconds::min() - at) return steady_time::min();
    return instant + duration;
}

}  // namespace detail
}  // namespace rt
