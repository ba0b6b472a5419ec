// The protocol is stated in modules/task/operation.cppm; the names of the bits are those of its
// list.
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
module rt.task;

namespace rt {

namespace {
constinit thread_local executor* executor_here = nullptr;
// Atomic, since a monitor looks at it from outside.
constinit thread_local std::atomic<detail::task_identity*> identity_here{nullptr};
constinit thread_local environment* scope_here = nullptr;
constinit thread_local std::uint32_t coarse_time = 0;
}  // namespace

[[gnu::noinline]] executor* current_executor() noexcept { return executor_here; }

std::coroutine_handle<> environment::arm(detail::wait_op& op) noexcept {
    waiting_ = &op;
    since_.store(coarse_time, std::memory_order_relaxed);
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        if (seen & done) {  // its completion came first, and left the rest to us
            // Acquire: pairs with the release in complete(); the result is in place.
            state_.fetch_and(~done, std::memory_order_acquire);
            return op.wake();
        }
        auto next = seen | armed | ((seen & stop) ? cancelling : 0);
        if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                         std::memory_order_relaxed)) {
            if (!(next & cancelling)) return std::noop_coroutine();
            return finish_cancel(op, op.withdraw()) ? op.wake() : std::noop_coroutine();
        }
    }
}

void environment::complete(detail::wait_op& op) noexcept {
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        bool ours = (seen & armed) && !(seen & (cancelling | looking));
        auto next = ours ? seen & ~armed : seen | done;
        if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                         std::memory_order_relaxed)) {
            if (ours) exec_->post(op);
            return;
        }
    }
}

bool environment::request_stop() noexcept {
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        if (seen & stop) return false;
        if (seen & looking) {
            std::this_thread::yield();
            seen = state_.load(std::memory_order_relaxed);
            continue;
        }
        // First: once the stop is set the scope may end, and what listens with it.
        if (seen & listened) (void)listeners().request();
        bool cancel = (seen & armed) != 0;
        auto next = seen | stop | (cancel ? cancelling : 0);
        if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                         std::memory_order_relaxed)) {
            if (cancel) {
                auto& op = *waiting_;
                if (finish_cancel(op, op.withdraw())) exec_->post(op);
            }
            return true;
        }
    }
}

/// False: the scope is not armed, or a canceller is inside.
bool environment::begin_look() noexcept {
    auto seen = state_.load(std::memory_order_relaxed);
    while ((seen & (armed | done | cancelling)) == armed) {
        if (state_.compare_exchange_weak(seen, seen | looking, std::memory_order_acq_rel,
                                         std::memory_order_relaxed))
            return true;
    }
    return false;
}

void environment::end_look() noexcept {
    auto& op = *waiting_;
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        bool over = (seen & done) != 0;
        auto next = (over ? seen & ~(armed | done) : seen) & ~looking;
        if (!state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                          std::memory_order_relaxed))
            continue;
        if (over) exec_->post(op);
        return;
    }
}

void environment::describe(std::vector<awaited>& to, unsigned depth) {
    if (!begin_look()) return;
    struct look {
        environment& env;
        ~look() { env.end_look(); }
    } look{*this};
    waiting_->describe_chain(to, depth);
}

/// Leaves the canceller's section. True: the caller resumes or posts the operation; false: it is no
/// longer ours.
bool environment::finish_cancel(detail::wait_op& op, bool withdrawn) noexcept {
    if (withdrawn) {
        op.withdrawn_ = true;
        state_.fetch_and(~(armed | cancelling), std::memory_order_acq_rel);
        return true;
    }
    auto seen = state_.load(std::memory_order_relaxed);
    for (;;) {
        auto next = (seen & done) ? seen & ~(armed | cancelling | done) : seen & ~cancelling;
        if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                         std::memory_order_relaxed))
            return (seen & done) != 0;
    }
}

namespace detail {

void set_current_executor(executor* current) noexcept { executor_here = current; }

void spin_lock::lock_slowly() noexcept {
    for (int spins = 0; held_.exchange(true, std::memory_order_acquire); ++spins) {
        while (held_.load(std::memory_order_relaxed)) {
            if (++spins > 100) std::this_thread::yield();
        }
    }
}

namespace {
/// Destroys the frame. Null: it is being destroyed already, and an exception that a destructor
/// threw led back into its code, as far as an await.
void take_down(child_link& link) noexcept {
    auto frame = std::exchange(link.frame, {});
    if (!frame) threw_while_unwinding(nullptr);
    try {
        frame.destroy();
    } catch (...) {  // of a parameter: the body's own go to unhandled_exception()
        threw_while_unwinding(nullptr);
    }
}
}  // namespace

std::coroutine_handle<> settle(child_link& first) noexcept {
    for (auto* link = &first;;) {
        take_down(*link);
        if (!link->hook) return link->parent->handle();
        auto step = link->hook(*link, child_link::ending::finished);
        if (!step.link) return step.resume;
        link = step.link;
    }
}

std::coroutine_handle<> unwind(promise_base& innermost) noexcept {
    auto& task = innermost.env->identity();
    task.unwinding = true;
    for (auto* frame = &innermost;;) {
        auto& link = *frame->owner;
        auto* parent = link.parent;
        take_down(link);
        if (!parent) {
            task.unwinding = false;  // before the hook: it may free the task
            auto step = link.hook(link, child_link::ending::stopped);
            return step.link ? settle(*step.link) : step.resume;
        }
        frame = parent;
    }
}

child_link::next_step unwind_unstarted(child_link& link, task_identity& task) noexcept {
    task.unwinding = true;
    take_down(link);
    task.unwinding = false;
    return link.hook(link, child_link::ending::stopped);
}

void wait_op::describe_chain(std::vector<awaited>& to, unsigned depth) {
    auto first = static_cast<std::ptrdiff_t>(to.size());
    for (auto* frame = frame_; frame->owner->parent; frame = frame->owner->parent)
        to.push_back({"a task", frame->owner->awaited_at, depth});
    std::reverse(to.begin() + first, to.end());
    describe(to, depth);
}

namespace {
template <class Start>
inline void take_turn(environment& env, Start start) noexcept {
    auto& task = env.identity();
    task.budget.store(operations_per_turn, std::memory_order_relaxed);
    // Mostly null; not so when a task is spawned into a runtime that has ended, and ends within its
    // spawner's turn.
    auto* before = identity_here.load(std::memory_order_relaxed);
    auto* scope_before = std::exchange(scope_here, &env);
    identity_here.store(&task, std::memory_order_relaxed);
    start().resume();
    identity_here.store(before, std::memory_order_relaxed);
    scope_here = scope_before;
}
}  // namespace

[[gnu::noinline]] void wait_op::run_posted(work_item& item) noexcept {
    auto& op = static_cast<wait_op&>(item);
    take_turn(*op.env_, [&op]() noexcept { return op.wake(); });
}

[[gnu::noinline]] void run_turn(environment& env, std::coroutine_handle<> (*start)(void*) noexcept,
                                void* argument) noexcept {
    take_turn(env, [=]() noexcept { return start(argument); });
}

[[gnu::noinline]] task_identity* current_identity() noexcept {
    return identity_here.load(std::memory_order_relaxed);
}
[[gnu::noinline]] task_identity* exchange_identity(task_identity* identity) noexcept {
    auto* before = identity_here.load(std::memory_order_relaxed);
    identity_here.store(identity, std::memory_order_relaxed);
    return before;
}
[[gnu::noinline]] const std::atomic<task_identity*>* identity_slot() noexcept {
    return &identity_here;
}
[[gnu::noinline]] void set_coarse_time(std::uint32_t milliseconds) noexcept {
    coarse_time = milliseconds;
}
[[gnu::noinline]] environment* exchange_scope(environment* scope) noexcept {
    return std::exchange(scope_here, scope);
}
[[gnu::noinline]] environment* current_scope() noexcept { return scope_here; }
steady_time deadline_here() noexcept {
    auto* scope = current_scope();
    return scope ? scope->deadline() : steady_time::max();
}

}  // namespace detail

namespace this_task {

std::uint64_t id() noexcept {
    auto* task = detail::current_identity();
    return task ? task->id : 0;
}
std::string_view name() noexcept {
    auto* task = detail::current_identity();
    return task ? task->name() : std::string_view();
}
std::source_location spawned_at() noexcept {
    auto* task = detail::current_identity();
    return task ? task->spawned_at : std::source_location();
}
bool unwinding() noexcept {
    auto* task = detail::current_identity();
    return task && task->unwinding;
}
bool stop_requested() noexcept {
    auto* scope = detail::current_scope();
    return scope && scope->stop_requested();
}
std::optional<steady_time> deadline() noexcept {
    auto limit = detail::deadline_here();
    return limit == steady_time::max() ? std::nullopt : std::optional(limit);
}

}  // namespace this_task
}  // namespace rt
