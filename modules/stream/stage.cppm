// The next() of an adaptor as one lossless operation, made of parts (:part).
//
// It gets on as far as it can whenever one of its parts may be ready. A value that it takes from a
// source either completes it, and then it wins its select and is delivered; or it goes into the
// adaptor, where the next next() finds it. Hence nothing is lost with the operation, and there is
// no place for a value that came too late.
//
// Alone, an operation has a commit word of its own, and waits as a select of one arm would.
module;
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <utility>
export module rt.stream:stage;
import rt.task;
import :part;

export namespace rt {

namespace detail {

template <class Stage>
class stage_op;

/// A stream of what a stage makes of its sources. The stage has a value_type, a name, a struct
/// `parts` of what it may wait for, and
///   bool poll(attempt&, parts&, std::optional<value_type>&)
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
        attempt now(*this, *this->target_, *this->commit_, waits);
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
