module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
module rt.sched;
import rt.task;
import rt.io;
import rt.time;
import :core;
import :threads;
import :worker;

namespace rt::detail {

namespace {
constinit thread_local worker* worker_here = nullptr;
constexpr auto brief = std::chrono::microseconds(100);
}  // namespace
[[gnu::noinline]] worker* current_worker() noexcept { return worker_here; }
[[gnu::noinline]] void set_current_worker(worker* w) noexcept { worker_here = w; }

worker::worker(runtime_core& core, unsigned index, std::shared_ptr<reactor> io, clock_source& clock,
               std::uint64_t seed)
    : core_(&core),
      index_(index),
      stealing_(core.stealing()),
      random_(seed),
      io_(std::move(io)),
      clock_(&clock),
      wheel_(clock),
      ready_(stealing_) {}

unsigned worker::worker_count() const noexcept { return core_->worker_count(); }
executor& worker::on_worker(unsigned index) noexcept { return core_->on_worker(index); }
blocking_service* worker::blocking() noexcept { return core_->blocking(); }
executor::adoption worker::adopt(task_state& task) noexcept { return core_->adopt(task); }
void worker::abandon(task_state& task) noexcept { core_->abandon(task); }
void worker::unhandled(const unhandled_failure& failure) noexcept { core_->unhandled(failure); }

std::uint64_t worker::random() noexcept { return random_.next(); }

worker_counters worker::counters() const noexcept {
    auto read = [](const counter& c) { return c.load(std::memory_order_relaxed); };
    return {read(polls_),       read(steals_),       read(parks_),
            read(local_wakes_), read(remote_wakes_), read(forced_yields_)};
}

void worker::post(work_item& item) noexcept {
    if (worker_here == this) {
        push_local(item);
    } else {
        send(item);
    }
}

void worker::post_later(work_item& item) noexcept {
    if (worker_here == this) {
        push_later(item);
    } else {
        send(item);
    }
}

void worker::push_local(work_item& item) noexcept {
    bump(local_wakes_);
    if (!stealing_) {
        task_state::posted(item) ? ready_.push(item) : local_.push(item);
        return;
    }
    // Its own reactor has woken it: not to be mistaken for a sleeper that could be woken for this.
    if (asleep_) get_up();
    if (in_item_.load(std::memory_order_relaxed)) {
        // Woken by a task that runs: its data is warm here, so it runs next.
        if (!ready_.push_front(item)) return;
    } else {
        ready_.push(item);
    }
    core_->notify_one();
}

void worker::send(work_item& item) noexcept {
    remote_wakes_.fetch_add(1, std::memory_order_relaxed);
    if (mail_.send(item)) wake();
    sent_.fetch_add(1, std::memory_order_release);
}

bool worker::take_mail() noexcept {
    auto mail = mail_.take();
    local_.append(mail);
    return mail.first != nullptr;
}

/// Behind what was woken.
void worker::line_up(work_item& item) noexcept {
    stealing_ ? ready_.line_up(item) : local_.push(item);
}

work_item* worker::next_woken() noexcept {
    if (!stealing_) {
        if (auto* item = local_.pop()) return item;
        return take_mail() ? local_.pop() : nullptr;
    }
    if (auto* item = ready_.take()) return item;
    return core_->take_injected();
}

work_item* worker::next_in_turn() noexcept {
    if (woken_first_) {
        if (auto* item = next_woken()) return item;
        return ready_.pop_spawned();
    }
    if (auto* item = ready_.pop_spawned()) return item;
    return next_woken();
}

work_item* worker::next() noexcept {
    if (!stealing_) return next_in_turn();
    if (++tick_ % items_per_turn == 0) {
        if (auto* item = core_->take_injected()) return item;
    }
    auto* front = ready_.take_front();
    if (front && ++fronts_in_a_row_ <= most_fronts_in_a_row) return front;
    fronts_in_a_row_ = 0;
    auto* item = next_in_turn();
    if (!front || !item) return front ? front : item;
    // Two that wake each other do not keep the others waiting. What is queued now is for others.
    ready_.push(*front);
    core_->notify_one();
    return item;
}

void worker::change_order() noexcept {
    woken_first_ = !woken_first_;
    if (++turn_ % turns_per_oldest != 0) return;
    if (auto* oldest = ready_.take_spawned()) line_up(*oldest);
}

bool worker::turn_reactor(std::chrono::nanoseconds timeout) noexcept {
    if (timeout.count() != 0) bump(parks_);
    return io_->poll(timeout) != 0;
}

void worker::flush_later() noexcept {
    if (std::exchange(put_off_, false)) {
        while (auto* item = ready_.take_spawned()) line_up(*item);
        auto later = ready_.take_put_off();
        if (!stealing_) {
            local_.append(later);
        } else {
            while (auto* item = later.pop()) ready_.line_up(*item);
        }
    }
    if (stealing_) share_queue();
}

/// A look at the clock costs more than a short item: without timers every 61 items will do for the
/// stamps of what begins to wait.
void worker::turn_clock() noexcept {
    auto polls = polls_.load(std::memory_order_relaxed);
    bool stamps = polls - polls_at_clock_ >= items_per_turn;
    if (!stamps && wheel_.empty()) return;
    auto now = clock_->now();
    if (!stamps && !wheel_.due(now)) return;
    polls_at_clock_ = polls;
    set_coarse_time(coarse_time_of(now));
    wheel_.advance(now);
}

/// Items were queued without waking anybody: one is for this worker, the others are for all.
void worker::share_queue() noexcept {
    if (ready_.stealable() + (ready_.has_front() ? 1 : 0) > 1) core_->notify_one();
}

void worker::drive(const std::atomic<bool>* done, std::optional<steady_time> until) noexcept {
    // A current_thread runtime may be driven in a job, or end in a task, of another runtime.
    auto* outer_worker = current_worker();
    auto* outer_executor = current_executor();
    auto* outer_task = exchange_identity(nullptr);
    auto* outer_scope = exchange_scope(nullptr);
    set_current_worker(this);
    set_current_executor(&core_->executor_at(index_));
    set_running(identity_slot());
    be_up();
    io_->attach();
    auto over = [&] {
        if (core_->exiting() || (done && done->load(std::memory_order_acquire))) return true;
        return until && std::chrono::steady_clock::now() >= *until;
    };
    while (!over()) {
        int n = 0;
        for (; n < items_per_turn; ++n) {
            auto* item = next();
            if (!item) break;
            if (searching_) stop_searching();
            bump(polls_);
            in_item_.store(true, std::memory_order_relaxed);
            item->run(*item);
            in_item_.store(false, std::memory_order_relaxed);
            if (done && done->load(std::memory_order_relaxed)) break;
        }
        if (!stealing_) take_mail();
        if (n == items_per_turn) change_order();
        turn_clock();
        if (local_.first || put_off_ || !ready_.empty()) {
            if (!io_->quiet()) turn_reactor(std::chrono::nanoseconds(0));
            flush_later();
        } else if (!over()) {
            idle(done, until);
        }
    }
    set_running(nullptr);
    up_.store(false, std::memory_order_relaxed);
    set_current_executor(outer_executor);
    set_current_worker(outer_worker);
    exchange_identity(outer_task);
    exchange_scope(outer_scope);
}

/// True: something was found, or the end has come.
template <class Found>
bool worker::await_briefly(Found found) noexcept {
    if (!slept_briefly_ || !core_->has_cpus() || !io_->quiet()) return false;
    if (passed_over_ < vain_waits_) {
        ++passed_over_;
        return false;
    }
    passed_over_ = 0;
    auto until = std::chrono::steady_clock::now() + brief;
    do {
        for (int i = 0; i < 32; ++i) {
            if (found() || core_->exiting()) {
                vain_waits_ = 0;
                return true;
            }
            relax();
        }
    } while (std::chrono::steady_clock::now() < until);
    vain_waits_ = std::min(2 * vain_waits_ + 1, 63);
    return false;
}

void worker::idle(const std::atomic<bool>*, std::optional<steady_time> until) noexcept {
    if (!stealing_) {
        if (await_briefly([this] { return !mail_.empty(); })) return;
        mail_.go_to_sleep();
        bool moved = clock_->paused() && advance_paused_clock();
        if (!moved && mail_.empty() && !core_->exiting()) park(until);
        mail_.get_up();
        return;
    }
    auto& sleepers = core_->workers_asleep();
    if (!searching_ && sleepers.begin_search()) searching_ = true;
    if (searching_) {
        bool found = steal();
        if (!found)
            (void)await_briefly([&] {
                found = core_->any_work() && steal();
                return found;
            });
        if (found) {
            stop_searching();
            return;
        }
    }
    asleep_ = true;
    sleepers.enter(index_);
    if (std::exchange(searching_, false)) (void)sleepers.end_search();
    if (!core_->any_work() && !core_->exiting()) park(until);
    if (asleep_) get_up();
}

void worker::get_up() noexcept {
    asleep_ = false;
    // Who has called it has counted it.
    if (!core_->workers_asleep().leave(index_)) searching_ = true;
}

void worker::park(std::optional<steady_time> until) noexcept {
    using std::chrono::nanoseconds;
    auto timeout = nanoseconds(-1);
    if (auto deadline = wheel_.next_deadline(); deadline && !clock_->paused())
        timeout = std::max(nanoseconds(0), nanoseconds(*deadline - clock_->now()));
    if (until) {
        auto left =
            std::max(nanoseconds(0), nanoseconds(*until - std::chrono::steady_clock::now()));
        timeout = timeout.count() < 0 ? left : std::min(timeout, left);
    }
    up_.store(false, std::memory_order_relaxed);
    auto began = clock_->now();
    turn_reactor(timeout);
    slept_briefly_ = be_up() - began < 2 * brief && !clock_->paused();
}

steady_time worker::be_up() noexcept {
    auto now = clock_->now();
    set_coarse_time(coarse_time_of(now));
    wheel_.advance(now);
    up_.store(true, std::memory_order_seq_cst);
    core_->watch();
    return now;
}

/// True: something became runnable, or time has moved. The order matters: the reactor first, since
/// it may swallow a wake-up; the mail after the pool, since a job sends its task before it stops
/// counting. While jobs run this worker sleeps, as its mailbox says; the last one to end nudges it.
bool worker::advance_paused_clock() noexcept {
    if (turn_reactor(std::chrono::nanoseconds(0)) != 0) return true;
    bool jobs_run = !core_->blocking_idle();
    if (!mail_.empty()) return true;
    auto deadline = wheel_.next_deadline();
    if (!deadline || jobs_run) return false;
    clock_->advance_to(*deadline);
    return true;
}

/// True: there is something to run now.
bool worker::steal() noexcept {
    auto count = core_->worker_count();
    auto first = static_cast<unsigned>(random() % count);
    for (unsigned i = 0; i < count; ++i) {
        auto& victim = core_->worker_at((first + i) % count);
        if (&victim == this) continue;
        if (auto stolen = ready_.steal_half(victim.ready_)) {
            bump(steals_, stolen);
            return true;
        }
    }
    auto* item = core_->take_injected();
    if (item) ready_.line_up(*item);
    return item != nullptr;
}

void worker::help() noexcept {
    ready_.hand_over([this](work_item& item) { core_->give(item); });
    wheel_.advance(clock_->now());
    io_->help();
}

void worker::stop_searching() noexcept {
    searching_ = false;
    if (core_->workers_asleep().end_search() && core_->any_work()) core_->notify_one();
}

}  // namespace rt::detail
