// Where instants come from. Nothing in rt reads the real clock around this seam.
module;
#include <atomic>
#include <chrono>
#include <cstdint>
export module rt.time:clock;
import rt.task;

export namespace rt {

class clock_source {
public:
    virtual ~clock_source() = default;
    virtual steady_time now() noexcept = 0;
    /// True: time stands still until advance_to() is called.
    [[nodiscard]] virtual bool paused() const noexcept { return false; }
    /// A paused clock moves there, if that is later.
    virtual void advance_to(steady_time) noexcept {}
};

/// std::chrono::steady_clock.
clock_source& real_clock() noexcept;

/// A clock for tests: with runtime::builder().current_thread().clock(c), time moves only when
/// nothing is runnable and no blocking job runs, and then straight to the next timer. A test of an
/// hour's timeouts takes no time.
class paused_clock final : public clock_source {
public:
    steady_time now() noexcept override;
    [[nodiscard]] bool paused() const noexcept override { return true; }
    void advance_to(steady_time instant) noexcept override;
    void advance(std::chrono::nanoseconds duration) noexcept { advance_to(now() + duration); }

private:
    // An hour after the epoch: deadlines in the past stay representable.
    std::atomic<std::int64_t> now_{std::chrono::nanoseconds(std::chrono::hours(1)).count()};
};

namespace detail {
/// instant + duration, without overflow: the far future stays far.
steady_time saturating_add(steady_time instant, std::chrono::nanoseconds duration) noexcept;

template <class Rep, class Period>
constexpr std::chrono::nanoseconds to_nanoseconds(std::chrono::duration<Rep, Period> d) {
    using seconds = std::chrono::duration<double>;
    using std::chrono::nanoseconds;
    if (std::chrono::duration_cast<seconds>(d) >= seconds(9.2e9)) return nanoseconds::max();
    if (std::chrono::duration_cast<seconds>(d) <= seconds(-9.2e9)) return nanoseconds::min();
    return std::chrono::ceil<nanoseconds>(d);
}
}  // namespace detail
}  // namespace rt
