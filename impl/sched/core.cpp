module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>
module rt.sched;
import rt.task;
import rt.io;
import rt.time;
import :core;
import :threads;
import :worker;

namespace rt::detail {

constexpr auto not_adopted = ~0u;

// Every runtime of the process. Nothing here reads it: a debugger does (toolchains/gdb/rt.py),
// which can only follow pointers from a name.
constinit runtime_core* first_runtime = nullptr;  // guarded by runtimes_lock
namespace {
constinit spin_lock runtimes_lock;
}

runtime_core::runtime_core(runtime_options options, std::vector<std::shared_ptr<reactor>> reactors)
    : options_(std::move(options)),
      clock_(options_.clock ? options_.clock : &real_clock()),
      has_cpus_(usable_cpus() > 1),
      reactors_(std::move(reactors)),
      pool_(options_.blocking_threads, options_.blocking_keep_alive,
            clock_->paused() ? [this] { workers_[0]->nudge(); } : std::function<void()>()),
      asleep_(static_cast<unsigned>(reactors_.size())) {
    auto seed = *options_.seed;
    for (unsigned i = 0; i < reactors_.size(); ++i)
        workers_.push_back(std::make_unique<worker>(*this, i, reactors_[i], *clock_, seed + i));
    for (std::size_t i = 0; i <= reactors_.size(); ++i)
        shards_.push_back(std::make_unique<shard>());
    std::lock_guard guard(runtimes_lock);
    next_runtime_ = std::exchange(first_runtime, this);
}

runtime_core::~runtime_core() {
    std::lock_guard guard(runtimes_lock);
    auto** at = &first_runtime;
    while (*at != this) at = &(*at)->next_runtime_;
    *at = next_runtime_;
}

void runtime_core::start() {
    bool helps = stealing() && worker_count() > 1;
    try {
        if (helps || options_.on_stall || options_.dump_signal != 0) {
            std::vector<worker*> watched;
            for (auto& w : workers_) watched.push_back(w.get());
            monitor::duties what{.helps = helps,
                                 .threshold = options_.stall_threshold,
                                 .stalled = {},
                                 .signal = options_.dump_signal,
                                 .dump = [this] { dump_as_asked(); }};
            if (options_.on_stall)
                what.stalled = [this](unsigned worker, auto* task, auto lasted) {
                    report_stall(worker, task, lasted);
                };
            monitor_ = std::make_unique<monitor>(std::move(watched), std::move(what));
            monitor_->start(options_.name + "-monitor");
        }
        if (on_caller()) return;
        for (unsigned i = 0; i < workers_.size(); ++i)
            threads_.emplace_back([self = shared_from_this(), i] { self->run_thread(i); });
    } catch (...) {
        shutdown({}, {});  // ends those that were started
        throw;
    }
}

void runtime_core::run_thread(unsigned index) noexcept {
    name_this_thread(options_.name + "-" + std::to_string(index));
    if (options_.on_worker_start) options_.on_worker_start(index);
    workers_[index]->drive(nullptr, {});
    if (clean_.load(std::memory_order_acquire)) workers_[index]->io_reactor().drain();
    if (options_.on_worker_stop) options_.on_worker_stop(index);
    reactors_[index]->stop();  // on its own thread: nobody else knows when it polls no more
}

void runtime_core::run_on_caller(const std::atomic<bool>* done, std::optional<steady_time> until,
                                 std::source_location where) noexcept {
    if (caller_drives_.exchange(true))
        misuse("block_on from two threads at once on a current_thread runtime", where);
    if (!done->load(std::memory_order_acquire)) {
        if (options_.on_worker_start) options_.on_worker_start(0);
        workers_[0]->drive(done, until);
        if (options_.on_worker_stop) options_.on_worker_stop(0);
    }
    caller_drives_.store(false);
}

// --- The executor of the stealing flavor

void runtime_core::post(work_item& item) noexcept {
    auto* w = current_worker();
    if (w && &w->core() == this) {
        w->push_local(item);
    } else {
        inject(item);
    }
}

void runtime_core::post_later(work_item& item) noexcept {
    auto* w = current_worker();
    if (w && &w->core() == this) {
        w->push_later(item);
    } else {
        inject(item);
    }
}

namespace {
worker& worker_of(runtime_core& core) noexcept {
    auto* w = current_worker();
    return w && &w->core() == &core ? *w : core.worker_at(0);
}
}  // namespace

executor& runtime_core::on_worker(unsigned index) noexcept { return executor_at(index); }
timer_service* runtime_core::timers() noexcept { return worker_of(*this).timers(); }
io_service* runtime_core::io() noexcept { return worker_of(*this).io(); }
std::uint64_t runtime_core::random() noexcept { return worker_of(*this).random(); }
void runtime_core::count_forced_yield() noexcept { worker_of(*this).count_forced_yield(); }

executor& runtime_core::next_executor() noexcept {
    if (auto* w = current_worker(); w && &w->core() == this) return executor_at(w->index());
    return executor_at(round_robin_.fetch_add(1, std::memory_order_relaxed) % worker_count());
}

void runtime_core::inject(work_item& item) noexcept {
    remote_wakes_.fetch_add(1, std::memory_order_relaxed);
    give(item);
    sent_.fetch_add(1, std::memory_order_release);
}

void runtime_core::give(work_item& item) noexcept {
    {
        std::lock_guard guard(inject_mutex_);
        injected_.push(item);
        injected_count_.fetch_add(1, std::memory_order_seq_cst);
    }
    notify_one();
}

work_item* runtime_core::take_injected() noexcept {
    if (injected_count_.load(std::memory_order_relaxed) == 0) return nullptr;
    std::lock_guard guard(inject_mutex_);
    auto* item = injected_.pop();
    if (item) injected_count_.fetch_sub(1, std::memory_order_relaxed);
    return item;
}

void runtime_core::notify_one() noexcept {
    if (auto called = asleep_.call_one()) workers_[*called]->wake();
}

bool runtime_core::any_work() noexcept {
    if (has_injected()) return true;
    return std::any_of(workers_.begin(), workers_.end(),
                       [](auto& w) { return w->has_stealable(); });
}

// --- Tasks

executor::adoption runtime_core::adopt(task_state& task) noexcept {
    auto* w = current_worker();
    bool ours = w && &w->core() == this;
    task.shard = ours ? w->index() : worker_count();
    auto& s = *shards_[task.shard];
    std::lock_guard guard(s.lock);
    auto closing = closing_.load(std::memory_order_relaxed);
    if (closing && (!ours || ended_.load(std::memory_order_relaxed))) [[unlikely]] {
        task.shard = not_adopted;
        return adoption::ended;
    }
    task.next_task = s.first;
    if (s.first) s.first->prev_task = &task;
    s.first = &task;
    ++s.spawned;
    ++s.alive;
    return closing ? adoption::closing : adoption::adopted;
}

void runtime_core::abandon(task_state& task) noexcept {
    if (task.shard == not_adopted) return;
    bool closing;
    {
        auto& s = *shards_[task.shard];
        std::lock_guard guard(s.lock);
        if (task.prev_task) task.prev_task->next_task = task.next_task;
        if (task.next_task) task.next_task->prev_task = task.prev_task;
        if (s.first == &task) s.first = task.next_task;
        --s.alive;
        closing = closing_.load(std::memory_order_relaxed);
    }
    if (!closing || alive() != 0) return;
    std::lock_guard guard(end_mutex_);
    all_gone_.store(true, std::memory_order_release);
    gone_.notify_all();
}

void runtime_core::unhandled(const unhandled_failure& f) noexcept {
    unhandled_.fetch_add(1, std::memory_order_relaxed);
    if (options_.on_unhandled) {
        options_.on_unhandled(f);
    } else {
        print_unhandled(f);
    }
}

void runtime_core::report_stall(unsigned worker, const task_identity* task,
                                std::chrono::nanoseconds lasted) noexcept {
    std::string name;
    stall what;
    what.worker = worker;
    what.lasted = lasted;
    each_task([&](task_state& t) {
        if (&t.identity != task) return;
        name = task->name();
        what.task_id = task->id;
        what.spawned_at = task->spawned_at;
    });
    if (what.task_id == 0) return;
    what.task_name = name;
    options_.on_stall(what);
}

std::uint64_t runtime_core::alive() noexcept {
    std::uint64_t n = 0;
    for (auto& s : shards_) {
        std::lock_guard guard(s->lock);
        n += s->alive;
    }
    return n;
}

bool runtime_core::blocking_idle() const noexcept {
    auto d = pool_.depths();
    return d.queued + d.running == 0;
}

runtime_counters runtime_core::counters() const {
    runtime_counters sum;
    for (auto& s : shards_) {
        std::lock_guard guard(s->lock);
        sum.spawned += s->spawned;
        sum.alive += s->alive;
    }
    for (auto& w : workers_) {
        auto c = w->counters();
        sum.workers.push_back(c);
        sum.total.polls += c.polls;
        sum.total.steals += c.steals;
        sum.total.parks += c.parks;
        sum.total.local_wakes += c.local_wakes;
        sum.total.remote_wakes += c.remote_wakes;
        sum.total.forced_yields += c.forced_yields;
        sum.operations_in_flight += w->io_reactor().in_flight();
    }
    sum.total.remote_wakes += remote_wakes_.load(std::memory_order_relaxed);
    sum.unhandled = unhandled_.load(std::memory_order_relaxed);
    auto d = pool_.depths();
    sum.blocking_queued = d.queued;
    sum.blocking_running = d.running;
    return sum;
}

}  // namespace rt::detail
