// What join, select and groups have in common: children that run as scopes of their own within one
// task.
//
// The children of a join or select are one task, and a task is never on two threads at once: with
// two or more of them they run through a strand, an executor that passes their work on one item at
// a time. So the arms of a join may share plain variables under either flavor. (Tasks of a group do
// run in parallel.)
//
// A combinator counts what keeps it alive: its children that have not ended, its strand while that
// is busy, and guards of its own. Whoever takes the count to zero completes it; nobody touches it
// after.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.task:combine;
import :coroutine;
import :executor;
import :misuse;
import :operation;
import :result;

export namespace rt::detail {

class combinator;

/// States of inbox_: idle (a sentinel), or the items that have not run, newest first; empty while
/// it runs. idle -> busy: post(), which then posts the strand; busy -> idle: run(), its last act
/// but the count.
class strand final : public executor {
public:
    strand(combinator& owner) noexcept;
    strand(const strand&) = delete;
    strand& operator=(const strand&) = delete;

    void bind(executor& up) noexcept { up_ = &up; }
    /// The combinator starts its children itself: as if the strand ran, until leave().
    void enter() noexcept;
    void leave() noexcept;

    void post(work_item& item) noexcept override;
    void post_later(work_item& item) noexcept override;
    [[nodiscard]] unsigned worker_count() const noexcept override { return up_->worker_count(); }
    executor& on_worker(unsigned worker) noexcept override { return up_->on_worker(worker); }
    timer_service* timers() noexcept override { return up_->timers(); }
    io_service* io() noexcept override { return up_->io(); }
    blocking_service* blocking() noexcept override { return up_->blocking(); }
    std::uint64_t random() noexcept override { return up_->random(); }
    adoption adopt(task_state& task) noexcept override { return up_->adopt(task); }
    void abandon(task_state& task) noexcept override { up_->abandon(task); }
    void unhandled(const unhandled_failure& f) noexcept override { up_->unhandled(f); }
    void count_forced_yield() noexcept override { up_->count_forced_yield(); }
    executor& root() noexcept override { return up_->root(); }

private:
    struct turn : work_item {
        strand* self;
    };
    bool push(work_item& item) noexcept;
    void drain() noexcept;
    void retire() noexcept;

    executor* up_ = nullptr;
    combinator* owner_;
    std::atomic<work_item*> inbox_;
    std::atomic<work_item*> later_{nullptr};
    turn now_;
    turn afterwards_;
    work_item idle_;
};

class combinator : public wait_op {
public:
    combinator() noexcept = default;
    inline combinator(combinator&&) noexcept {}

    /// The first one counts: a function of rt gives its caller's before it awaits.
    inline void set_place(std::source_location where) noexcept {
        if (where_.line() == 0) where_ = where;
    }
    [[nodiscard]] inline std::source_location place() const noexcept { return where_; }
    inline void hold() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
    /// For a canceller, which has no part in the count. False: it was zero, and stays so: whoever
    /// took it there completes the combinator, and a second one at zero would complete it once
    /// more, when it may be gone.
    [[nodiscard]] bool hold_unless_over() noexcept;
    /// True: the caller took the count to zero, and ends the combinator.
    [[nodiscard]] inline bool drop() noexcept {
        return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }
    /// Drops; the last one completes the combinator, by posting it.
    inline void drop_and_post() noexcept {
        if (drop()) env_->complete(*this);
    }

protected:
    ~combinator() = default;
    std::atomic<std::uint32_t> count_{0};
    std::source_location where_;
};

/// A task that runs as a scope of its own, inside a combinator.
template <class T>
class child : public typed_link<T> {
public:
    child(task<T>&& body) noexcept { this->frame = body.release(); }
    child(child&& other) noexcept {  // before it is started
        this->frame = std::exchange(other.frame, {});
        env.be_done_by(other.env.deadline());
    }
    ~child() {
        if (this->frame) this->frame.destroy();
    }

    environment env;
    std::atomic<bool> has_ended{false};
    bool was_stopped = false;
    bool started = false;

    /// Runs it to its first suspension. The hook is told when it has ended.
    void start(executor& exec, task_identity& identity, combinator& owner,
               typename child_link::next_step (*hook)(child_link&,
                                                      child_link::ending) noexcept) noexcept {
        if (!this->frame)
            misuse("a task that was moved from, or awaited before, is awaited", owner.place());
        env.bind(exec, identity);
        env.be_done_by(owner.env()->deadline());
        owner_ = &owner;
        this->awaited_at = owner.place();
        this->hook = hook;
        auto& promise = promise_of<T>(*this);
        promise.owner = this;
        promise.env = &env;
        started = true;
        owner.hold();
        if (env.stop_requested()) {
            (void)unwind_unstarted(*this, identity);
        } else {
            auto* before = exchange_scope(&env);
            this->frame.resume();
            exchange_scope(before);
        }
    }
    [[nodiscard]] combinator& owner() const noexcept { return *owner_; }

private:
    combinator* owner_ = nullptr;
};

/// Where the running coroutine is awaited: co_await it, it is ready at once.
struct own_place {
    std::source_location where;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
        where = h.promise().owner->awaited_at;
        return false;
    }
    std::source_location await_resume() const noexcept { return where; }
};

template <class Op>
task<await_result_t<Op>> as_task(Op op) {
    if constexpr (requires { op.set_place(std::source_location()); })
        op.set_place(co_await own_place());
    co_return co_await std::move(op);
}

/// Whatever can be awaited, as a task.
template <class A>
auto to_task(A&& awaited) {
    constexpr bool is_op = std::is_base_of_v<wait_op, std::remove_cvref_t<A>>;
    static_assert(!std::is_lvalue_reference_v<A> || !(is_task<std::remove_cvref_t<A>> || is_op),
                  "a task or operation is awaited once: pass f() itself, or std::move(task)");
    static_assert(
        can_be_awaited<A>,
        "this cannot be awaited: give a task (f(), with the parentheses) or an operation");
    if constexpr (is_task<std::remove_cvref_t<A>>) {
        return std::forward<A>(awaited);
    } else if constexpr (requires { std::forward<A>(awaited).as_operation(); }) {
        return as_task(std::forward<A>(awaited).as_operation());
    } else {
        return as_task(std::forward<A>(awaited));
    }
}

template <class T>
using value_or_monostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace rt::detail
