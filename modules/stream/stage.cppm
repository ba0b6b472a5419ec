// The next() of an adaptor as one lossless operation, made of its sources' next().
//
// An adaptor is not over with a value of its source: filter declines it, chunks wants more, merge
// meets the end of one source of several. So the arms of its parts never win: what would claim them
// claims a turn to try (commit_word::to_try), the value stays in its stream, and the task that
// waits takes it. A value that is taken either completes the operation, and the operation then wins
// its select and is delivered; or it goes into the adaptor, where the next next() finds it. Hence
// nothing is lost with the operation, and none of them needs a place for a value that came too
// late.
//
// A part that turns out not to be ready may have been claimed, and its primitive has let go of it
// then. So it is withdrawn and made anew, which lossless operations may be at any time.
//
// Alone, an operation has a commit word of its own, and waits as a select of one arm would.
module;
#include <chrono>
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
export module rt.stream:stage;
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
class turn {
public:
    turn(wait_op& op, wait_op& target, commit_word& commit, bool waits) noexcept
        : waits(waits), op_(&op), target_(&target), commit_(&commit) {}

    const bool waits;  // what is not ready is to be enlisted

    template <class Op>
    void enter(Op& part) const noexcept {
        part.bind(op_->env());
        part.join_select(*target_, *commit_, commit_word::to_try);
    }
    /// Before a further value is taken; false: enough for one turn of the task.
    bool go_on() noexcept {
        auto& env = *op_->env();
        tired_ = !env.charge() && env.exec().timers() != nullptr;
        return !tired_;
    }
    [[nodiscard]] bool tired() const noexcept { return tired_; }
    [[nodiscard]] steady_time now(const char* what, std::source_location where) const noexcept {
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
    bool ready(turn& now, Make make) {
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
    bool ready(turn& now, S& from) {
        return part<next_op_t<S>>::ready(now, [&] { return from.next(); });
    }
};

/// A timer for an instant that does not change while the operation waits.
class timer_part : public part<sleep_op> {
public:
    bool ready(turn& now, steady_time instant) {
        return part<sleep_op>::ready(now, [&] { return sleep_until(instant); });
    }
    /// Has the operation tried again in the next turn of the task.
    void next_turn(turn& now) noexcept {
        auto make = [] { return sleep(std::chrono::nanoseconds(0)); };
        drop();
        op_.emplace(make);
        now.enter(op_->op);
        (void)op_->op.try_now();  // it learns the time
        (void)list();
    }
};

template <class Stage>
class stage_op;

/// A stream of what a stage makes of its sources. The stage has a value_type, a name, a struct
/// `parts` of what it may wait for, and
///   bool poll(turn&, parts&, std::optional<value_type>&)
/// which gets on as far as it can without waiting; true: there is a value, or, without one, the
/// end. An exception out of it is the end, too. At the end a stage that `ends` goes, its sources
/// with it.
template <class Stage>
class [[nodiscard]] staged {
public:
    using value_type = typename Stage::value_type;
    explicit staged(Stage stage) : stage_(std::move(stage)) {}

    /// Waits for the next value; empty at the end, and from then on. An exception comes out once,
    /// and ends the stream. Lossless; a stop withdraws it; resumes on the task's executor.
    auto next(std::source_location where = std::source_location::current()) noexcept {
        return stage_op<Stage>(stage_, where);
    }

private:
    std::optional<Stage> stage_;
};

template <class Stage>
class [[nodiscard("it does nothing until it is co_awaited")]] stage_op
    : public leaf_op<stage_op<Stage>> {
    using base = leaf_op<stage_op<Stage>>;

public:
    using lossless = void;
    using value_type = typename Stage::value_type;
    stage_op(std::optional<Stage>& stage, std::source_location where) noexcept
        : stage_(&stage), where_(where) {}
    stage_op(stage_op&& other) noexcept
        : base(std::move(other)), stage_(other.stage_), where_(other.where_) {}

    bool try_now() noexcept {
        if (!parts_) start();
        return poll(false) || (listed_ && list());
    }
    bool enlist() noexcept {
        listed_ = true;
        return list();
    }
    bool delist() noexcept {
        parts_.reset();
        return true;
    }
    /// Alone only: in a select, or in another operation, the canceller asks that one.
    bool withdraw() noexcept override { return alone_.claim_to_stop(); }
    std::coroutine_handle<> wake() noexcept override {
        if (!listed_) return base::wake();  // it gave way before it had tried
        if (this->withdrawn_) {
            parts_.reset();
            return unwind(*this->frame_);
        }
        return try_now() ? this->deliver() : this->env_->arm(*this);
    }
    std::optional<value_type> await_resume() {
        parts_.reset();
        if (!value_ && Stage::ends) stage_->reset();
        if (failed_) std::rethrow_exception(std::move(failed_));
        return std::move(value_);
    }
    const char* what() const noexcept { return Stage::name; }
    std::source_location where() const noexcept { return where_; }

private:
    struct all_parts {
        typename Stage::parts of_stage;
        timer_part pause;  // when the turn was long enough; a timer can be withdrawn
    };

    void start() noexcept {
        parts_.emplace();
        if (this->selected()) return;
        this->join_select(*this, alone_, commit_word::to_try);
        alone_.start_trying();
    }
    bool poll(bool waits) noexcept {
        if (!*stage_) return true;
        turn now(*this, *this->target_, *this->commit_, waits);
        try {
            if ((*stage_)->poll(now, parts_->of_stage, value_)) return true;
            if (waits && now.tired()) parts_->pause.next_turn(now);
            return false;
        } catch (...) {
            value_.reset();
            failed_ = std::current_exception();
            return true;
        }
    }
    bool list() noexcept {
        for (;;) {
            if (poll(true)) return true;
            if (this->commit_ != &alone_ || alone_.reopen()) return false;
            if (poll(false)) return true;
        }
    }

    std::optional<Stage>* stage_;
    std::source_location where_;
    std::optional<all_parts> parts_;
    std::optional<value_type> value_;
    std::exception_ptr failed_;
    commit_word alone_;
    bool listed_ = false;
};

}  // namespace detail
}  // namespace rt
