// An operation within another one: what an adaptor waits for at its sources.
//
// An adaptor is not over with a value of its source: filter declines it, chunks wants more, merge
// meets the end of one source of several. So the arms of its parts never win: what would claim them
// claims a turn to try (commit_word::to_try), the value stays in its stream, and the task that
// waits takes it.
//
// A part that turns out not to be ready may have been claimed, and its primitive has let go of it
// then. So it is withdrawn and made anew, which lossless operations may be at any time.
module;
#include <chrono>
#include <coroutine>
#include <optional>
#include <source_location>
#include <utility>
export module rt.stream:part;
import rt.task;
import rt.time;

export namespace rt {

/// A stream whose next() is withdrawn without loss: receivers, intervals, listeners, lines, and
/// the adaptors over them.
template <class S>
concept lossless_stream =
    stream_of_values<S> && lossless_operation<decltype(std::declval<S&>().next())>;

namespace detail {

template <class S>
using next_op_t = decltype(std::declval<S&>().next());

/// One attempt of an operation to get its result.
class attempt {
public:
    inline attempt(wait_op& op, wait_op& target, commit_word& commit, bool waits) noexcept
        : waits(waits), op_(&op), target_(&target), commit_(&commit) {}

    const bool waits;  // what is not ready is to be enlisted

    template <class Op>
    void enter(Op& part) const noexcept {
        part.bind(op_->env());
        part.join_select(*target_, *commit_, commit_word::to_try);
    }
    /// Before a further value is taken; false: enough for one turn of the task.
    inline bool go_on() noexcept {
        auto& env = *op_->env();
        tired_ = !env.charge() && env.exec().timers() != nullptr;
        return !tired_;
    }
    [[nodiscard]] inline bool tired() const noexcept { return tired_; }
    [[nodiscard]] inline steady_time now(const char* what,
                                         std::source_location where) const noexcept {
        return timers_of(*op_, what, where).now();
    }

private:
    wait_op* op_;
    wait_op* target_;
    commit_word* commit_;
    bool tired_ = false;
};

/// An operation within another one.
template <class Op>
class part {
public:
    part() = default;
    part(const part&) = delete;
    part& operator=(const part&) = delete;
    ~part() { withdraw(); }

    /// True: take() it. make() gives the operation anew.
    template <class Make>
    bool ready(attempt& now, Make make) {
        if (now.waits && listed_) drop();
        if (!op_) {
            op_.emplace(make);
            now.enter(op_->op);
            if (op_->op.try_now()) return true;
        } else if (!now.waits && op_->op.try_now()) {
            return true;
        }
        return now.waits && list();
    }
    decltype(auto) take() {
        // One that was tried while it waited still stands in its primitive's list.
        withdraw();
        struct over {
            std::optional<held>& op;
            ~over() { op.reset(); }
        } guard{op_};
        return op_->op.await_resume();
    }
    void drop() noexcept {
        withdraw();
        op_.reset();
    }

protected:
    bool list() {
        listed_ = !op_->op.enlist();
        return !listed_;
    }
    struct held {
        Op op;
        template <class Make>
        explicit held(Make& make) : op(make()) {}
    };
    std::optional<held> op_;

private:
    void withdraw() noexcept {
        if (std::exchange(listed_, false)) (void)op_->op.delist();
    }
    bool listed_ = false;
};

/// The next() of a source.
template <class S>
class source_part : public part<next_op_t<S>> {
public:
    bool ready(attempt& now, S& from) {
        return part<next_op_t<S>>::ready(now, [&] { return from.next(); });
    }
};

/// A timer for an instant that does not change while the operation waits.
class timer_part : public part<sleep_op> {
public:
    inline bool ready(attempt& now, steady_time instant) {
        return part<sleep_op>::ready(now, [&] { return sleep_until(instant); });
    }
    /// Has the operation tried again in the next turn of the task.
    inline void next_turn(attempt& now) noexcept {
        auto make = [] { return sleep(std::chrono::nanoseconds(0)); };
        drop();
        op_.emplace(make);
        now.enter(op_->op);
        (void)op_->op.try_now();  // it learns the time
        (void)list();
    }
};

}  // namespace detail
}  // namespace rt
