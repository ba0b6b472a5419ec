// A tick every so often, at fixed instants: what a tick's work takes does not shift the next one.
module;
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>
export module rt.time:interval;
import rt.task;
import :clock;
import :sleep;

export namespace rt {

/// What happens to ticks that came due while nobody waited.
enum class missed_ticks : std::uint8_t {
    burst,  ///< they all come, at once
    delay,  ///< one comes, and the next a period after it
    skip,   ///< one comes, and the next at the next multiple of the period
};

class interval {
public:
    using value_type = steady_time;

    /// The first tick comes at once. Throws std::invalid_argument for a period of 0 or less.
    template <class Rep, class Period>
    explicit interval(std::chrono::duration<Rep, Period> period,
                      missed_ticks missed = missed_ticks::burst)
        : period_(checked(detail::to_nanoseconds(period))), missed_(missed) {}

    class [[nodiscard("it does nothing until it is co_awaited")]] tick_op
        : public detail::leaf_op<tick_op>,
          public timer_node {
    public:
        using lossless = void;
        tick_op(interval& owner, std::source_location where) noexcept
            : owner_(&owner), where_(where) {}
        tick_op(tick_op&& other) noexcept
            : leaf_op(std::move(other)), owner_(other.owner_), where_(other.where_) {}
        bool try_now() noexcept;
        bool enlist() noexcept;
        bool delist() noexcept { return home != nullptr && home->remove(*this); }
        /// The instant that the tick was due at.
        steady_time await_resume() noexcept { return owner_->advance(*this); }
        const char* what() const noexcept { return "rt::interval"; }
        std::source_location where() const noexcept { return where_; }

    private:
        friend class interval;
        interval* owner_;
        std::source_location where_;
    };

    /// The same for the stream concept.
    class [[nodiscard("it does nothing until it is co_awaited")]] next_op : public tick_op {
    public:
        using tick_op::tick_op;
        next_op(next_op&& other) noexcept = default;
        std::optional<steady_time> await_resume() noexcept { return tick_op::await_resume(); }
    };

    /// Waits for the next tick. Lossless: a tick that was not delivered is still due. A stop
    /// withdraws it.
    inline tick_op tick(std::source_location where = std::source_location::current()) noexcept {
        return {*this, where};
    }
    /// The stream concept: as tick(), and never empty.
    inline next_op next(std::source_location where = std::source_location::current()) noexcept {
        return {*this, where};
    }

    [[nodiscard]] inline std::chrono::nanoseconds period() const noexcept { return period_; }
    /// The next tick comes a period from now.
    inline void reset() noexcept { restart_ = true; }

private:
    static std::chrono::nanoseconds checked(std::chrono::nanoseconds period);
    steady_time due(timer_service& timers) noexcept;
    steady_time advance(tick_op& op) noexcept;

    std::chrono::nanoseconds period_;
    std::optional<steady_time> next_;
    missed_ticks missed_;
    bool restart_ = false;
};

}  // namespace rt
