// How a coroutine waits, and how a stop request reaches it.
//
// A *scope* (environment) is a chain of frames that runs as one: a spawned task, or one child of a
// join or select. It waits for at most one operation at a time, so stopping needs no list of
// callbacks: the scope knows what it waits for, and a stop request withdraws just that.
//
// The scope's state word (environment::state_), bits:
//   stop        a stop was requested; set once, by anybody, never cleared
//   armed       an operation is published and may be withdrawn; set by the task, in arm()
//   done        its completion came while it was not yet armed, or while a canceller was inside
//   cancelling  somebody is inside wait_op::withdraw(); set together with stop, or with armed by a
//               task that finds stop already set. So there is one canceller at a time, and it has
//               left before the task goes on: where its withdraw() came too late, the next arm()
//               enters it again.
//   looking     somebody who only describes the scope holds its operation fast; set on an armed
//               scope without canceller. Who requests a stop meanwhile waits until it has left:
//               what a stop calls is never called by who only looks.
//   listened    the task has given a token of the scope away; set by the task, once. Who is to set
//               stop runs the token's callbacks before; the task does, where stop was set before.
// Who resumes: exactly one party.
//   - complete() on an armed scope without canceller or looker clears armed, and posts the
//     operation.
//   - complete() otherwise sets done, and whoever made it wait posts: arm() (inline), the canceller
//     or the looker.
//   - a canceller whose withdraw() succeeded posts it to be unwound; no completion will come.
// The task publishes its operation first and arms last, so nobody touches scope or operation after
// the step that hands them over. Every transition is an acq_rel compare-exchange: what the
// completer wrote into the operation is seen by whoever resumes.
module;
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
export module rt.task:operation;
import :executor;
import :misuse;

export namespace std {
// Lets a file that says only "import rt;" define coroutines: the compiler looks these up by name.
using std::coroutine_handle;
using std::coroutine_traits;
using std::noop_coroutine;
using std::suspend_always;
using std::suspend_never;
}  // namespace std

export namespace rt {

/// Operations that a task may do in one turn before it lets others run.
inline constexpr int operations_per_turn = 128;

namespace detail {

// Keeps placement new reachable for importers of the templates.
inline void* keep_placement_new(void* p) noexcept { return ::new (p) char; }

/// What a task is called and what it may still do; shared by the scopes of one task.
struct task_identity {
    std::uint64_t id = 0;
    std::unique_ptr<const std::string> given_name;  // most tasks have none
    std::source_location spawned_at;
    // Atomic, but never fought over: a select may be woken on one worker while its only task arm
    // runs on another, and either begins a turn of the task. An increment more or less does not
    // matter.
    std::atomic<int> budget{operations_per_turn};
    int unbudgeted = 0;  // how many of its scopes have lifted the budget
    bool unwinding = false;

    [[nodiscard]] inline std::string_view name() const noexcept {
        return given_name ? std::string_view(*given_name) : std::string_view();
    }
};

struct promise_base;

/// Whoever owns a running frame: an awaiter, a combinator's child, a task's header.
struct child_link {
    struct next_step {
        child_link* link;  // another frame has ended with this one; null: resume
        std::coroutine_handle<> resume;
    };
    enum class ending { finished, stopped };

    std::coroutine_handle<> frame;   // the running frame, owned; nulled before it is destroyed
    promise_base* parent = nullptr;  // the awaiting frame; null at the top of a scope
    // Called when the frame is gone; without one, the parent is resumed.
    next_step (*hook)(child_link&, ending) noexcept = nullptr;
    std::source_location awaited_at;  // where the parent awaits it
};

class wait_op;
class stop_list;

}  // namespace detail

/// One of the things that a task waits for: a coroutine that it awaits, or at the end of that chain
/// an operation. Those of a join or select are one deeper than it, each with its own chain.
struct awaited {
    const char* what = "";  ///< "a task", "rt::sleep", ...
    std::source_location where;
    unsigned depth = 0;
};

class environment {
public:
    environment() = default;
    inline environment(executor& exec, detail::task_identity& identity) noexcept
        : exec_(&exec), identity_(&identity) {}
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    inline ~environment() {
        if (state_.load(std::memory_order_relaxed) & listened) [[unlikely]]
            forget_listeners();
    }

    inline void bind(executor& exec, detail::task_identity& identity) noexcept {
        exec_ = &exec;
        identity_ = &identity;
    }
    [[nodiscard]] inline executor& exec() const noexcept { return *exec_; }
    [[nodiscard]] inline detail::task_identity& identity() const noexcept { return *identity_; }

    [[nodiscard]] inline bool stop_requested() const noexcept {
        return (state_.load(std::memory_order_acquire) & stop) != 0;
    }
    /// Asks the scope to stop: runs what listens, withdraws what the scope waits for, and has it
    /// unwound on its own executor. The caller keeps the scope alive meanwhile. False if it was
    /// asked before.
    bool request_stop() noexcept;
    /// What listens for its stop; made when it is first asked for, by the scope itself.
    detail::stop_list& listeners();

    /// The operation is published; returns what to run next on this thread. See the top of this
    /// file.
    [[nodiscard]] std::coroutine_handle<> arm(detail::wait_op& op) noexcept;
    /// The operation is complete and its result in place. Any thread; called at most once per
    /// arming.
    void complete(detail::wait_op& op) noexcept;

    /// Adds what the scope waits for, outermost first; nothing if it waits for nothing now. Any
    /// thread, one at a time; the caller keeps the scope alive meanwhile.
    void describe(std::vector<awaited>& to, unsigned depth);
    /// When it began to wait, in the milliseconds of set_coarse_time().
    [[nodiscard]] inline std::uint32_t waiting_since() const noexcept {
        return since_.load(std::memory_order_relaxed);
    }

    /// By when what runs in the scope is to be done; max(): whenever. It does nothing but tell.
    [[nodiscard]] inline steady_time deadline() const noexcept { return deadline_; }
    /// Before the scope runs.
    inline void be_done_by(steady_time limit) noexcept {
        if (limit < deadline_) deadline_ = limit;
    }

    /// Takes one operation from the task's budget; false: let others run first.
    [[nodiscard]] inline bool charge() noexcept {
        auto& task = *identity_;
        auto left = task.budget.load(std::memory_order_relaxed);
        if (left <= 0) [[unlikely]]
            return task.unbudgeted != 0;
        task.budget.store(left - 1, std::memory_order_relaxed);
        return true;
    }

private:
    static constexpr std::uint32_t stop = 1, armed = 2, done = 4, cancelling = 8, looking = 16,
                                   listened = 32;

    bool finish_cancel(detail::wait_op& op, bool withdrawn) noexcept;
    bool begin_look() noexcept;
    void end_look() noexcept;
    void forget_listeners() noexcept;

    executor* exec_ = nullptr;
    detail::task_identity* identity_ = nullptr;
    std::atomic<std::uint32_t> state_{0};
    std::atomic<std::uint32_t> since_{0};
    detail::wait_op* waiting_ = nullptr;
    steady_time deadline_ = steady_time::max();
};

namespace detail {

/// What every coroutine of rt keeps: whoever owns its frame, and its scope. Two words.
struct promise_base {
    child_link* owner = nullptr;
    environment* env = nullptr;

    /// The frame of this promise, whatever its type: a promise stands behind two words of its
    /// frame, if it is aligned as this base is (awaits checks that).
    [[nodiscard]] inline std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<promise_base>::from_promise(*this);
    }
};

/// The frame has ended and its result is in its link: destroys it and returns whom to resume.
/// It iterates, so that a chain of any depth ends without deepening the stack.
[[nodiscard]] std::coroutine_handle<> settle(child_link& link) noexcept;
/// A destructor threw while its frame was being destroyed: the exception would enter the user's
/// catch, and so may have led back into code of that frame. Null: the task that runs here.
[[noreturn]] void threw_while_unwinding(environment* env) noexcept;
/// Destroys the frames of a scope, innermost first, beginning with this one, up to the top of the
/// scope.
[[nodiscard]] std::coroutine_handle<> unwind(promise_base& innermost) noexcept;

/// The same for the only frame of a scope that was stopped before it ran; what its hook gave.
child_link::next_step unwind_unstarted(child_link& link, task_identity& task) noexcept;

/// Base of every awaiter that waits for something outside its own chain of frames. It lives in the
/// frame.
class wait_op : public work_item {
public:
    inline wait_op() noexcept { run = &run_posted; }
    // Moved only before it is awaited.
    inline wait_op(wait_op&& other) noexcept : env_(other.env_) { run = &run_posted; }
    wait_op& operator=(wait_op&&) = delete;

    inline void bind(environment* env) noexcept { env_ = env; }
    [[nodiscard]] inline environment* env() const noexcept { return env_; }

    /// Takes the operation back; true: it was still pending, and will not complete any more.
    /// Called by a canceller, on any thread, at most once an arming.
    virtual bool withdraw() noexcept = 0;
    /// Adds what it waits for. Another thread calls it, while the operation is held fast.
    virtual void describe(std::vector<awaited>& to, unsigned depth) = 0;
    /// The operation whose completion a posted item is; null: it is something else.
    [[nodiscard]] inline static wait_op* posted(work_item& item) noexcept {
        return item.run == &run_posted ? static_cast<wait_op*>(&item) : nullptr;
    }
    /// Runs on the task's executor once the operation is complete or withdrawn.
    inline virtual std::coroutine_handle<> wake() noexcept {
        return withdrawn_ ? unwind(*frame_) : deliver();
    }

protected:
    ~wait_op() = default;
    /// Whom to resume with the result.
    inline virtual std::coroutine_handle<> deliver() noexcept { return frame_->handle(); }
    template <class Promise>
    void suspend_in(Promise& frame) noexcept {
        static_assert(std::is_base_of_v<promise_base, Promise>,
                      "this is awaited in a coroutine of rt, an rt::task or rt::stream: one of "
                      "another library has no scope to run it in");
        if constexpr (std::is_base_of_v<promise_base, Promise>) frame_ = &frame;
    }
    /// The coroutines between its scope's root and it, outermost first, and then it.
    void describe_chain(std::vector<awaited>& to, unsigned depth);

    environment* env_ = nullptr;
    promise_base* frame_ = nullptr;
    bool withdrawn_ = false;

private:
    friend class rt::environment;
    static void run_posted(work_item& item) noexcept;
};

/// Runs a coroutine of this scope on the calling worker, as one turn of its task.
void run_turn(environment& env, std::coroutine_handle<> (*start)(void*) noexcept,
              void* argument) noexcept;
/// The task that runs on this thread; null outside tasks.
task_identity* current_identity() noexcept;
/// Makes it so while a result or a frame is destroyed; returns the one before.
task_identity* exchange_identity(task_identity* identity) noexcept;
/// The scope that runs on this thread, or whose blocking job does; null outside of both.
environment* current_scope() noexcept;
/// Makes it so; returns the one before.
environment* exchange_scope(environment* scope) noexcept;
/// The deadline of that scope, which tasks that it spawns inherit; outside tasks max().
steady_time deadline_here() noexcept;
/// Where this thread keeps it: for others to look at while the thread lives.
const std::atomic<task_identity*>* identity_slot() noexcept;
/// The worker tells its thread the time, now and then: what begins to wait is stamped with it.
void set_coarse_time(std::uint32_t milliseconds) noexcept;

}  // namespace detail

namespace this_task {
/// The id of the running task, unique among those alive; 0 outside tasks.
std::uint64_t id() noexcept;
/// Its name, empty if it was given none.
std::string_view name() noexcept;
/// Where it was spawned.
std::source_location spawned_at() noexcept;
/// True in destructors that run because a stop takes the frames down.
bool unwinding() noexcept;
/// True once a stop of the running code was requested, for code that computes long between two
/// awaits, or in a job of rt::spawn_blocking. Inside rt::shield it is false; outside tasks too.
bool stop_requested() noexcept;
/// When the first of the rt::timeouts around the running code, and around what spawned its task,
/// ends, on the runtime's clock: to be handed on to a peer, or to choose what can still be done. A
/// task keeps the deadline that it was spawned with. Empty: none.
std::optional<steady_time> deadline() noexcept;
}  // namespace this_task

}  // namespace rt
