// What the workers of a runtime share.
//
// Shutdown, in this order:
//   1. closing: tasks that the runtime's own tasks spawn are born stopped from now on; other
//      threads' end where they are spawned, or an eager spawner could hold the end off for ever.
//   2. Every task is asked to stop. What a task waits for is withdrawn; its frames go on its own
//      worker.
//   3. The workers run on until no task is alive (a shard counts from adopt() to abandon()), or the
//      limit passes.
//   4. ended: spawn ends a task where it is called. The monitor ends, so nobody else touches a
//      reactor or a wheel any more. Workers are woken and leave their loops; their
//      threads are joined, or left to themselves when the limit has passed.
//   5. The blocking pool closes, within what is left of the limit. Reactors are told that they have
//      ended. Threads that are still inside a wake-up (what they woke has run, and is gone) are
//      waited for, since they touch the workers.
// What a limit left behind stays as it is for ever, the runtime_core that it refers to included: it
// is counted as leaked, and posting to it does nothing.
module;
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <thread>
#include <vector>
module rt.sched:core;
import rt.task;
import rt.io;
import rt.time;
import rt.sched;
import :monitor;
import :queue;
import :sleepers;
import :worker;

namespace rt::detail {

class runtime_core final : public executor, public std::enable_shared_from_this<runtime_core> {
public:
    runtime_core(runtime_options options, std::vector<std::shared_ptr<reactor>> reactors);
    ~runtime_core();
    void start();
    shutdown_report shutdown(std::optional<std::chrono::nanoseconds> limit,
                             std::source_location where);

    // The executor of tasks in the stealing flavor.
    void post(work_item& item) noexcept override;
    void post_later(work_item& item) noexcept override;
    [[nodiscard]] unsigned worker_count() const noexcept override {
        return static_cast<unsigned>(workers_.size());
    }
    executor& on_worker(unsigned index) noexcept override;
    timer_service* timers() noexcept override;
    io_service* io() noexcept override;
    blocking_service* blocking() noexcept override { return &pool_; }
    std::uint64_t random() noexcept override;
    adoption adopt(task_state& task) noexcept override;
    void abandon(task_state& task) noexcept override;
    void unhandled(const unhandled_failure& failure) noexcept override;
    void count_forced_yield() noexcept override;

    /// One worker has nobody to share with.
    [[nodiscard]] inline bool stealing() const noexcept {
        return options_.flavor == runtime_flavor::work_stealing && reactors_.size() > 1;
    }
    [[nodiscard]] bool on_caller() const noexcept {
        return options_.flavor == runtime_flavor::current_thread;
    }
    [[nodiscard]] const runtime_options& options() const noexcept { return options_; }
    [[nodiscard]] inline bool exiting() const noexcept {
        return exiting_.load(std::memory_order_acquire);
    }
    inline worker& worker_at(unsigned index) noexcept { return *workers_[index]; }
    inline executor& executor_at(unsigned index) noexcept {
        return stealing() ? static_cast<executor&>(*this) : *workers_[index];
    }
    executor& next_executor() noexcept;
    void run_on_caller(const std::atomic<bool>* done, std::optional<steady_time> until,
                       std::source_location where) noexcept;
    [[nodiscard]] runtime_counters counters() const;
    runtime_dump dump();
    void dump_as_asked() noexcept;
    [[nodiscard]] bool blocking_idle() const noexcept;

    /// A worker has left its park.
    void watch() noexcept {
        if (monitor_) monitor_->watch();
    }
    /// Tells the hook of a stall what it needs to know of the task; nothing if that has ended.
    void report_stall(unsigned worker, const task_identity* task,
                      std::chrono::nanoseconds lasted) noexcept;

    // Work stealing: see worker.cppm.
    void inject(work_item& item) noexcept;
    /// As inject, of an item that has been counted before.
    void give(work_item& item) noexcept;
    work_item* take_injected() noexcept;
    [[nodiscard]] bool has_injected() const noexcept {
        return injected_count_.load(std::memory_order_seq_cst) != 0;
    }
    void notify_one() noexcept;
    /// Another thread can run while a worker looks for work.
    [[nodiscard]] inline bool has_cpus() const noexcept { return has_cpus_; }
    inline sleepers& workers_asleep() noexcept { return asleep_; }
    [[nodiscard]] bool any_work() noexcept;

private:
    struct shard {
        spin_lock lock;  // guards the rest
        task_state* first = nullptr;
        std::uint64_t spawned = 0, alive = 0;
    };
    /// A task leaves its list before its header can go, so under the lock all are alive.
    template <class F>
    void each_task(F f) {
        for (auto& s : shards_) {
            std::lock_guard guard(s->lock);
            for (auto* t = s->first; t; t = t->next_task) f(*t);
        }
    }
    void run_thread(unsigned index) noexcept;
    void stop_tasks() noexcept;
    [[nodiscard]] std::uint64_t alive() noexcept;
    void set_in_all_shards(std::atomic<bool>& flag) noexcept;
    bool end_if_gone() noexcept;
    void finish_workers(bool clean) noexcept;
    void report_leak(const shutdown_report& report) const noexcept;
    [[nodiscard]] bool runs_here() const noexcept;
    void wait_for_senders() noexcept;

    runtime_options options_;
    clock_source* clock_;
    bool has_cpus_;
    std::vector<std::shared_ptr<reactor>> reactors_;
    std::vector<std::unique_ptr<worker>> workers_;
    std::vector<std::unique_ptr<shard>> shards_;
    std::vector<std::thread> threads_;
    blocking_pool pool_;
    std::unique_ptr<monitor> monitor_;

    std::mutex inject_mutex_;
    item_list injected_;  // guarded by inject_mutex_
    std::atomic<std::size_t> injected_count_{0};
    sleepers asleep_;
    std::atomic<unsigned> round_robin_{0};

    std::atomic<bool> closing_{false};  // written under every shard's lock
    std::atomic<bool> ended_{false};    // likewise
    std::atomic<bool> exiting_{false};
    std::atomic<bool> clean_{false};  // exiting, and no task was left behind
    std::atomic<bool> caller_drives_{false};
    std::atomic<bool> all_gone_{false};  // closing, and no task is alive
    std::atomic<std::uint64_t> unhandled_{0}, remote_wakes_{0}, sent_{0};
    std::mutex dump_mutex_;
    std::mutex end_mutex_;
    std::condition_variable gone_;
    bool shut_ = false;
    runtime_core* next_runtime_ = nullptr;  // the process's list; guarded by its lock
};

}  // namespace rt::detail
