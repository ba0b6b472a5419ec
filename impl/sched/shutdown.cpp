// The end of a runtime: the numbered steps are those of core.cppm.
module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <thread>
#include <utility>
#include <vector>
module rt.sched;
import rt.task;
import rt.io;
import rt.time;
import :core;
import :worker;

namespace rt::detail {

namespace {
/// What a limit left behind refers to its runtime: a stuck job will post to it when it ends.
void keep_for_ever(std::shared_ptr<runtime_core> core) {
    static auto* kept = new std::vector<std::shared_ptr<runtime_core>>;
    static std::mutex mutex;
    std::lock_guard guard(mutex);
    kept->push_back(std::move(core));
}
}  // namespace

void runtime_core::set_in_all_shards(std::atomic<bool>& flag) noexcept {
    for (auto& s : shards_) s->lock.lock();
    flag.store(true, std::memory_order_release);
    for (auto& s : shards_) s->lock.unlock();
}

void runtime_core::stop_tasks() noexcept {
    stop_each([this](auto f) {
        each_task([&, goes_on = true](task_state& task) mutable {
            if (goes_on) goes_on = f(task);
        });
    });
}

bool runtime_core::end_if_gone() noexcept {
    for (auto& s : shards_) s->lock.lock();
    std::uint64_t n = 0;
    for (auto& s : shards_) n += s->alive;
    if (n == 0) ended_.store(true, std::memory_order_release);
    for (auto& s : shards_) s->lock.unlock();
    return n == 0;
}

shutdown_report runtime_core::shutdown(std::optional<std::chrono::nanoseconds> limit,
                                       std::source_location where) {
    if (runs_here())
        misuse(
            "a runtime is shut down by one of its own tasks or blocking jobs, which it would have "
            "to wait for",
            where);
    if (std::exchange(shut_, true)) return {};
    std::optional<steady_time> until;
    if (limit) until = saturating_add(std::chrono::steady_clock::now(), *limit);
    auto late = [&] { return until && std::chrono::steady_clock::now() >= *until; };

    set_in_all_shards(closing_);  // 1
    stop_tasks();                 // 2
    bool clean = end_if_gone();   // 3
    while (!clean && !late()) {
        {
            std::lock_guard guard(end_mutex_);
            all_gone_.store(alive() == 0, std::memory_order_release);
        }
        if (on_caller()) {
            run_on_caller(&all_gone_, until, where);
        } else {
            std::unique_lock guard(end_mutex_);
            auto gone = [&] { return all_gone_.load(std::memory_order_acquire); };
            if (until) {
                gone_.wait_until(guard, *until, gone);
            } else {
                gone_.wait(guard, gone);
            }
        }
        clean = end_if_gone();
    }
    if (!clean) set_in_all_shards(ended_);

    shutdown_report report;
    report.tasks = alive();
    finish_workers(clean);  // 4
    // No task is alive: then no job runs, and the pool's threads are at most on their way out.
    auto left = clean
                    ? std::chrono::nanoseconds(-1)
                    : std::max(std::chrono::nanoseconds(0),
                               std::chrono::nanoseconds(*until - std::chrono::steady_clock::now()));
    report.operations = pool_.close(left);  // 5
    for (auto& r : reactors_) report.operations += r->in_flight();
    if (on_caller()) reactors_[0]->stop();
    if (clean) {
        wait_for_senders();
    } else {
        keep_for_ever(shared_from_this());
    }
    if (!report.clean()) report_leak(report);
    return report;
}

void runtime_core::report_leak(const shutdown_report& report) const noexcept {
    // Whose frames they are is not known: with several runtimes at once this excuses too many.
    auto now = audit();
    audit_counts leaked;
    leaked.frames_leaked = now.frames_alive - now.frames_leaked;
    leaked.tasks_leaked = static_cast<std::int64_t>(report.tasks);
    leaked.operations_leaked = static_cast<std::int64_t>(report.operations);
    count_leaked(leaked);
    std::fprintf(stderr,
                 "rt: runtime '%s' was shut down at its limit: %llu tasks had not ended, %llu "
                 "operations and blocking jobs still ran; they are leaked\n",
                 options_.name.c_str(), static_cast<unsigned long long>(report.tasks),
                 static_cast<unsigned long long>(report.operations));
}

/// On a worker of this runtime, or on a thread that runs one of its blocking jobs.
bool runtime_core::runs_here() const noexcept {
    if (auto* w = current_worker(); w && &w->core() == this) return true;
    auto* here = current_executor();
    return here == this || std::any_of(workers_.begin(), workers_.end(),
                                       [here](auto& w) { return w.get() == here; });
}

void runtime_core::wait_for_senders() noexcept {
    // Acquire: pairs with the release at the end of inject().
    auto injecting = [this] {
        return sent_.load(std::memory_order_acquire) !=
               remote_wakes_.load(std::memory_order_relaxed);
    };
    while (injecting() || std::any_of(workers_.begin(), workers_.end(),
                                      [](auto& w) { return w->being_sent_to(); }))
        std::this_thread::yield();
}

void runtime_core::finish_workers(bool clean) noexcept {
    if (monitor_) monitor_->stop();
    clean_.store(clean, std::memory_order_release);
    if (clean && on_caller()) {
        workers_[0]->io_reactor().attach();
        workers_[0]->io_reactor().drain();
    }
    exiting_.store(true, std::memory_order_seq_cst);
    for (auto& w : workers_) w->wake();
    for (auto& t : threads_) {
        if (clean) {
            t.join();
        } else {
            t.detach();  // it may be stuck in a task; it keeps the core alive
        }
    }
    threads_.clear();
}

}  // namespace rt::detail
