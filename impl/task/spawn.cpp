module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
module rt.task;

namespace rt {

stopped_error::stopped_error() : std::runtime_error("the task was stopped") {}

namespace {

std::uint64_t next_task_id() noexcept {
    // A thread takes blocks of ids, so that spawning on many threads does not share a cache line.
    constexpr std::uint64_t block = 1024;
    static constinit std::atomic<std::uint64_t> blocks{0};
    static constinit thread_local std::uint64_t next = 0;
    if (next % block == 0) [[unlikely]]
        next = blocks.fetch_add(1, std::memory_order_relaxed) * block + 1;
    return next++;
}

/// The runtime of this thread; without one, stderr.
void tell(const unhandled_failure& f) noexcept {
    if (auto* exec = current_executor()) {
        exec->unhandled(f);
    } else if (f.exception) {
        std::fprintf(stderr, "rt: the failure of task %llu, spawned at %s:%u, was dropped unread\n",
                     static_cast<unsigned long long>(f.task_id), f.spawned_at.file_name(),
                     static_cast<unsigned>(f.spawned_at.line()));
    }
}

}  // namespace

task_state::task_state(executor& exec, std::string&& name, std::source_location where)
    : env(exec, identity) {
    identity.id = next_task_id();
    if (!name.empty()) [[unlikely]]
        give_name(std::move(name));
    identity.spawned_at = where;
    env.be_done_by(detail::deadline_here());
    run = &run_first;
}

[[gnu::noinline]] void task_state::give_name(std::string&& name) {
    identity.given_name = std::make_unique<const std::string>(std::move(name));
}

void task_state::start() noexcept {
    auto adoption = env.exec().adopt(*this);
    if (adoption != executor::adoption::adopted) env.request_stop();
    if (adoption == executor::adoption::ended) {
        run_first(*this);
    } else {
        env.exec().post(*this);
    }
}

void task_state::run_first(work_item& item) noexcept {
    auto& task = static_cast<task_state&>(item);
    detail::run_turn(
        task.env,
        [](void* argument) noexcept -> std::coroutine_handle<> {
            auto& task = *static_cast<task_state*>(argument);
            auto& link = task.link();
            if (!task.env.stop_requested()) return link.frame;
            return detail::unwind_unstarted(link, task.identity).resume;
        },
        &task);
}

void task_state::on_end(bool stopped) noexcept {
    stopped_ = stopped;
    auto& exec = env.exec();
    exec.abandon(*this);
    if (auto* member = membership()) {
        if (!consumed_ && !stopped) tell_failure(exec);
        member->parent->task_ended(*this);
        release();
        return;
    }
    // Each bit is set once, so that adding it does; and that is one instruction.
    auto before = state_.fetch_add(ended_bit, std::memory_order_acq_rel);
    if (auto* joiner = arm_in(before)) {
        bool won = joiner->claim();
        state_.fetch_and(bits, std::memory_order_release);
        if (won) joiner->complete();
    } else if ((before & dropped_bit) && !stopped) {
        tell_failure(exec);
    }
    release();
}

void task_state::tell_failure(executor& exec) noexcept {
    if (failed()) exec.unhandled(failure());
}

void task_state::release() noexcept {
    // The last reference is nobody else's to take or to give up.
    if (references_.load(std::memory_order_acquire) == 1 ||
        references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        destroy();
}

bool task_state::enlist(detail::arm& joiner, std::source_location where) noexcept {
    auto seen = state_.load(std::memory_order_acquire);
    for (;;) {
        if (seen & ended_bit) return true;
        if (arm_in(seen)) misuse("two joins of one task at once", where);
        auto next = seen | reinterpret_cast<std::uintptr_t>(&joiner);
        if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
            return false;
    }
}

bool task_state::delist(detail::arm& joiner) noexcept {
    auto seen = state_.load(std::memory_order_acquire);
    for (;;) {
        if (arm_in(seen) != &joiner) return false;
        if (seen & ended_bit) {
            std::this_thread::yield();
            seen = state_.load(std::memory_order_acquire);
        } else if (state_.compare_exchange_weak(seen, seen & bits, std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
            return true;
        }
    }
}

void task_state::dropped() noexcept {
    if (consumed_) return;  // by whom the handle was given to, or who drops it
    auto before = state_.fetch_or(dropped_bit, std::memory_order_acq_rel);
    if ((before & ended_bit) && !stopped_) report_failure();
}

void task_state::report_failure() noexcept {
    if (failed()) report(failure());
}

void task_state::report(const unhandled_failure& f) noexcept { tell(f); }

namespace detail {

void report_unhandled(std::exception_ptr exception, std::error_code error) noexcept {
    tell(
        {this_task::id(), this_task::name(), this_task::spawned_at(), std::move(exception), error});
}

void print_unhandled(const unhandled_failure& f) noexcept {
    if (!f.exception) return;
    std::string what = "an exception";
    try {
        std::rethrow_exception(f.exception);
    } catch (const std::exception& e) {
        what = e.what();
    } catch (...) {
    }
    std::fprintf(
        stderr, "rt: task %llu%s%.*s%s, spawned at %s:%u, failed and nobody awaits it: %s\n",
        static_cast<unsigned long long>(f.task_id), f.task_name.empty() ? "" : " '",
        static_cast<int>(f.task_name.size()), f.task_name.data(), f.task_name.empty() ? "" : "'",
        f.spawned_at.file_name(), static_cast<unsigned>(f.spawned_at.line()), what.c_str());
}

executor& executor_to_spawn_on(std::source_location where) noexcept {
    auto* exec = current_executor();
    if (!exec) misuse("rt::spawn is called outside a runtime: use runtime.handle().spawn()", where);
    return *exec;
}

executor& executor_of_worker(unsigned worker, std::source_location where) {
    auto& exec = executor_to_spawn_on(where);
    if (worker >= exec.worker_count())
        throw std::out_of_range("rt::spawn_on(" + std::to_string(worker) +
                                "): this runtime has workers 0 to " +
                                std::to_string(exec.worker_count() - 1));
    return exec.on_worker(worker);
}

}  // namespace detail
}  // namespace rt
