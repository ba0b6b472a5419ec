// One protocol for everything that can be waited for, alone or as an arm of a select.
//
// An operation answers four calls:
//   bool try_now()     takes what is there, without waiting; true: it has its result
//   bool enlist()      publishes the arm where it waits, unless what it wants is there; true: it
//   has its result bool delist()      takes it back; true: it was still waiting and nobody will
//   complete it R await_resume()   hands the result over
// Whoever has an item for a waiting arm holds the lock of the primitive, calls claim(), hands the
// item over and unlinks the arm if that succeeded, unlocks, and calls complete(). delist() takes
// the same lock, so an arm that has been delisted is out of everybody's hands.
//
// The commit word of a select (commit_word):
//   open        all arms may claim
//   trying      the select itself tries an arm that must ask the kernel; nobody may claim
//   recheck     as trying, and somebody had an item meanwhile: all arms are to be tried again
//   stopped     the select is being unwound; nobody may claim
//   won(i)      arm i has its result; nobody else may claim
// open -> won(i): a completer, under its primitive's lock, the item in hand; never undone.
// open -> trying: who sees readiness, and then completes the select, whose task tries. So does the
// claim of an arm whose index is to_try: a part of an operation that is not over with it.
// trying -> recheck: who meets trying. trying -> won(i), trying | recheck -> open: the select's
// task only. recheck -> recheck: who meets that; recheck -> trying: the select's task, before it
// tries again. All of these are acq_rel exchanges: the select sees what the winner wrote before it
// claimed, and what each of those left that could not claim, or is told once more.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>
export module rt.task:leaf;
import :misuse;
import :operation;
import :result;

export namespace rt::detail {

class commit_word {
public:
    /// True: the arm has won, hand the item over. False: leave the item where it is.
    inline bool claim(std::uint32_t arm) noexcept { return advance(won_base + arm); }
    /// True: the caller completes the select, whose task will then try its arms.
    inline bool claim_to_try() noexcept { return advance(trying); }
    /// The canceller's claim.
    inline bool claim_to_stop() noexcept {
        auto seen = open;
        return word_.compare_exchange_strong(seen, stopped, std::memory_order_acq_rel);
    }
    /// The select's task, before any arm is published or after all are trying.
    inline void start_trying() noexcept { word_.store(trying, std::memory_order_release); }
    inline void win(std::uint32_t arm) noexcept {
        word_.store(won_base + arm, std::memory_order_release);
    }
    /// Ends trying without a winner; false: try all arms again first.
    inline bool reopen() noexcept {
        auto seen = trying;
        if (word_.compare_exchange_strong(seen, open, std::memory_order_acq_rel)) return true;
        // An exchange: it sees what those have left who set recheck, the last of them included.
        word_.exchange(trying, std::memory_order_acq_rel);
        return false;
    }
    /// The arm that has won, or -1.
    [[nodiscard]] inline int winner() const noexcept {
        auto seen = word_.load(std::memory_order_acquire);
        return seen >= won_base ? static_cast<int>(seen - won_base) : -1;
    }
    [[nodiscard]] inline bool is_trying() const noexcept {
        auto seen = word_.load(std::memory_order_acquire);
        return seen == trying || seen == recheck;
    }

private:
    static constexpr std::uint32_t open = 0, trying = 1, recheck = 2, stopped = 3, won_base = 4;

public:
    /// The index of an arm whose claim() is claim_to_try(). Only where the item stays in its
    /// primitive until the await returns it, as the values of streams do.
    static constexpr std::uint32_t to_try = trying - won_base;

private:
    inline bool advance(std::uint32_t to) noexcept {
        auto seen = word_.load(std::memory_order_acquire);
        for (;;) {
            if (seen == stopped || seen >= won_base) return false;
            auto next = seen == open ? to : recheck;
            if (word_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                            std::memory_order_acquire))
                return seen == open;
        }
    }
    std::atomic<std::uint32_t> word_{open};
};

/// What a primitive keeps of a waiting operation.
class arm {
public:
    /// Under the primitive's lock, with the item in hand.
    inline bool claim() noexcept { return commit_ == nullptr || commit_->claim(index_); }
    /// After claim() succeeded and the lock was given back.
    inline void complete() noexcept {
        auto* op = target_;
        op->env()->complete(*op);
    }
    /// Where only readiness is known: true: call complete(), and the operation tries for itself.
    inline bool claim_to_try() noexcept { return commit_ == nullptr || commit_->claim_to_try(); }
    [[nodiscard]] inline bool selected() const noexcept { return commit_ != nullptr; }
    inline void join_select(wait_op& select, commit_word& commit, std::uint32_t index) noexcept {
        target_ = &select;
        commit_ = &commit;
        index_ = index;
    }
    /// Waits in the place of another operation, which is completed and tried instead.
    inline void stand_in_for(arm& other, wait_op& op) noexcept {
        target_ = other.commit_ ? other.target_ : &op;
        commit_ = other.commit_;
        index_ = other.index_;
    }
    [[nodiscard]] inline bool stop_requested() const noexcept {
        return target_->env()->stop_requested();
    }
    /// The line of the await, for a message: of the adaptor around it, if it is a part of one.
    [[nodiscard]] std::source_location waits_at(std::source_location otherwise = {}) const noexcept;

    arm* prev_arm = nullptr;  // the primitive's list; guarded by its lock
    arm* next_arm = nullptr;

protected:
    ~arm() = default;
    wait_op* target_ = nullptr;
    commit_word* commit_ = nullptr;
    std::uint32_t index_ = 0;
};

/// Something that needs a runtime is awaited where there is none.
[[noreturn]] void awaited_outside(const char* what, std::source_location where) noexcept;
/// The same for what does not know its own line: that of its first arm.
[[noreturn]] void awaited_outside(const char* what, wait_op& op) noexcept;

template <class Op>
class or_return_op;
template <class Op>
class or_throw_op;

template <class Op>
class leaf_op : public wait_op, public arm {
public:
    leaf_op() noexcept = default;
    leaf_op(leaf_op&& other) noexcept : wait_op(std::move(other)) {}

    bool await_ready() noexcept {
        if (env_ == nullptr) [[unlikely]]
            awaited_outside(self().what(), self().where());
        if (!env_->charge()) [[unlikely]] {
            starved_ = true;
            return false;
        }
        return self().try_now();
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        // A foreign coroutine never gets here: await_ready() has found no scope.
        if constexpr (std::is_base_of_v<promise_base, Promise>) {
            suspend_in(h.promise());
            target_ = this;
            if (starved_) [[unlikely]] {
                if (env_->stop_requested()) return unwind(*frame_);
                if constexpr (requires { self().hold(); }) self().hold();
                return give_way(*this);
            }
            return begin();
        } else {
            return h;
        }
    }
    std::coroutine_handle<> wake() noexcept override {
        if (!starved_) [[likely]]
            return wait_op::wake();
        starved_ = false;
        if (env_->stop_requested()) return unwind(*frame_);
        (void)env_->charge();
        if (self().try_now()) return deliver();
        return begin();
    }
    bool withdraw() noexcept override { return self().delist(); }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({self().what(), self().where(), depth});
    }

    /// For who is completed in its place (stand_in_for): true: it has no result yet, try it again.
    [[nodiscard]] bool wants_retry() noexcept { return std::exchange(starved_, false); }

    /// The value, or the error ends the enclosing coroutine with it; no exception.
    auto or_return() && {
        static_assert(is_result<decltype(self().await_resume())>,
                      "or_return() needs an operation that gives an rt::result, and this one "
                      "cannot fail: co_await it as it is");
        return or_return_op<Op>(std::move(self()));
    }
    /// The value, or std::system_error.
    auto or_throw() && {
        static_assert(is_result<decltype(self().await_resume())>,
                      "or_throw() needs an operation that gives an rt::result, and this one "
                      "cannot fail: co_await it as it is");
        return or_throw_op<Op>(std::move(self()));
    }

protected:
    ~leaf_op() = default;
    /// The next wake() tries again, and does not deliver.
    void retry_on_wake() noexcept { starved_ = true; }
    /// Waits once more, from wake().
    std::coroutine_handle<> wait_again() noexcept {
        if (self().try_now()) return deliver();
        return begin();
    }

private:
    Op& self() noexcept { return static_cast<Op&>(*this); }
    std::coroutine_handle<> begin() noexcept {
        // What a reactor begins may have its result before a stop can withdraw it, again and again.
        if (env_->stop_requested()) [[unlikely]]
            return unwind(*frame_);
        if (self().enlist()) return deliver();
        return env_->arm(*this);
    }
    static std::coroutine_handle<> give_way(wait_op& op) noexcept {
        op.env()->exec().count_forced_yield();
        op.env()->exec().post_later(op);
        return std::noop_coroutine();
    }
    bool starved_ = false;

protected:
    // Here, where there is room for them:
    bool failed_ = false;   // or_return_op: known before it would have waited
    bool holding_ = false;  // io_op: it has a part in its object
};

/// op.or_return(): the operation, with its error ending the coroutine that awaits it.
template <class Op>
class [[nodiscard("it does nothing until it is co_awaited")]] or_return_op final : public Op {
public:
    using ends_coroutine = void;
    explicit or_return_op(Op&& op) noexcept : Op(std::move(op)) {}
    or_return_op(or_return_op&& other) noexcept = default;

    void set_failure(void (*fail)(promise_base&, std::error_code)) noexcept { fail_ = fail; }
    bool await_ready() noexcept {
        if (!Op::await_ready()) return false;
        this->failed_ = static_cast<bool>(Op::failure());
        return !this->failed_;
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        if (!this->failed_) return Op::await_suspend(h);
        this->suspend_in(h.promise());
        return deliver();
    }
    auto await_resume() { return *Op::await_resume(); }

protected:
    std::coroutine_handle<> deliver() noexcept override {
        auto error = Op::failure();
        if (!error) return Op::deliver();
        auto& frame = *this->frame_;
        fail_(frame, error);
        return settle(*frame.owner);
    }

private:
    void (*fail_)(promise_base&, std::error_code) = nullptr;
};

template <class Op>
class [[nodiscard("it does nothing until it is co_awaited")]] or_throw_op final : public Op {
public:
    explicit or_throw_op(Op&& op) noexcept : Op(std::move(op)) {}
    or_throw_op(or_throw_op&& other) noexcept = default;
    auto await_resume() { return Op::await_resume().or_throw(); }
};

}  // namespace rt::detail

export namespace rt {

/// An operation that may lose a select: a loser has taken nothing. It says so by `using lossless =
/// void;`.
template <class T>
concept lossless_operation = std::is_base_of_v<detail::wait_op, std::remove_cvref_t<T>> &&
                             requires { typename std::remove_cvref_t<T>::lossless; } &&
                             std::is_void_v<typename std::remove_cvref_t<T>::lossless>;

}  // namespace rt
