// A worker: the one place where run queue, wheel and reactor meet. One class; the flavor is a
// constant of its runtime.
//
// The loop: at most 61 items, then timers and the reactor; when nothing is left, others' work, then
// the park, which is the reactor's wait until the wheel's next deadline. A park and its wake-up
// cost some 50 us together: after a short sleep the next work is awaited awake for twice as long,
// ever more seldom as that is in vain; not while I/O is in flight, which only the reactor can tell
// of. What a worker has, per core: a list of what was woken and a stack of what was spawned, which
// only it touches, and a mailbox for the others. Stealing: the same for what must stay (nothing
// else uses the mailbox there), a queue and a stack that others take from, and one place in front
// of them for the item that a running task woke or spawned last, which runs next, at most three
// times in a row. Each of these states its protocol: :mailbox, :ready, :sleepers.
//
// What was spawned comes before what was woken in one turn of the loop, and after it in the next;
// now and then the oldest of what was spawned is lined up with what was woken. So neither waits for
// the other, nor the oldest for the newest, for ever. Who gives way goes behind all of both: then
// what is left of a tree is lined up, too, and runs in the order of its spawns.
//
// Whoever sends to a worker from outside may still be inside send() when what it sent has run and
// the runtime is ending: shutdown waits for it.
//
// A worker that is kept in one item for long is helped, in the stealing flavor (monitor.cppm): what
// is ready there is given to the others, its timers fire and its reactor is polled.
module;
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
module rt.sched:worker;
import rt.task;
import rt.io;
import rt.time;
import rt.sched;
import :mailbox;
import :queue;
import :ready;

namespace rt::detail {

class runtime_core;

class worker final : public executor {
public:
    worker(runtime_core& core, unsigned index, std::shared_ptr<reactor> io, clock_source& clock,
           std::uint64_t seed);

    /// Runs until asked to end. done, for current_thread: ends when it is set.
    void drive(const std::atomic<bool>* done, std::optional<steady_time> until) noexcept;

    void post(work_item& item) noexcept override;
    void post_later(work_item& item) noexcept override;
    [[nodiscard]] unsigned worker_count() const noexcept override;
    executor& on_worker(unsigned index) noexcept override;
    timer_service* timers() noexcept override { return &wheel_; }
    io_service* io() noexcept override { return io_.get(); }
    blocking_service* blocking() noexcept override;
    std::uint64_t random() noexcept override;
    adoption adopt(task_state& task) noexcept override;
    void abandon(task_state& task) noexcept override;
    void unhandled(const unhandled_failure& failure) noexcept override;
    void count_forced_yield() noexcept override { bump(forced_yields_); }

    /// Called on this worker's thread.
    void push_local(work_item& item) noexcept;
    inline void push_later(work_item& item) noexcept {
        put_off_ = true;
        ready_.put_off(item);
    }
    void send(work_item& item) noexcept;  // from other threads
    void wake() noexcept { io_->wake(); }
    /// Has it look again whether there is nothing to do, if it has gone to sleep.
    void nudge() noexcept {
        if (mail_.disturb()) wake();
    }
    /// True: another thread is inside send(), even if what it sent has run meanwhile.
    [[nodiscard]] bool being_sent_to() const noexcept {
        // Acquire: pairs with the release at the end of send().
        return sent_.load(std::memory_order_acquire) !=
               remote_wakes_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] inline unsigned index() const noexcept { return index_; }
    [[nodiscard]] inline runtime_core& core() const noexcept { return *core_; }
    [[nodiscard]] worker_counters counters() const noexcept;
    [[nodiscard]] reactor& io_reactor() noexcept { return *io_; }
    [[nodiscard]] bool has_stealable() const noexcept { return ready_.stealable() != 0; }

    // For the monitor, on its thread.
    /// The items that it has begun; none while it is between two.
    [[nodiscard]] std::optional<std::uint64_t> item_under_way() const noexcept {
        if (!in_item_.load(std::memory_order_relaxed)) return std::nullopt;
        return polls_.load(std::memory_order_relaxed);
    }
    /// It is driven, and not parked.
    [[nodiscard]] bool up() const noexcept { return up_.load(std::memory_order_seq_cst); }
    /// Gives away what waits for it, and has its timers and operations completed.
    void help() noexcept;
    /// The task that it runs; a pointer to compare with, since the task may end at any moment.
    [[nodiscard]] const task_identity* running() noexcept {
        std::lock_guard guard(running_lock_);
        return running_ ? running_->load(std::memory_order_relaxed) : nullptr;
    }

private:
    friend class runtime_core;
    static constexpr int items_per_turn = 61;
    static constexpr int most_fronts_in_a_row = 3;
    static constexpr unsigned turns_per_oldest = 8;

    using counter = std::atomic<std::uint64_t>;
    static inline void bump(counter& c, unsigned by = 1) noexcept {  // one writer
        c.store(c.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    [[gnu::always_inline]] work_item* next() noexcept;
    [[gnu::always_inline]] work_item* next_in_turn() noexcept;
    [[gnu::always_inline]] work_item* next_woken() noexcept;
    void line_up(work_item& item) noexcept;
    void change_order() noexcept;
    bool steal() noexcept;
    bool take_mail() noexcept;
    void turn_clock() noexcept;
    bool turn_reactor(std::chrono::nanoseconds timeout) noexcept;
    void flush_later() noexcept;
    void share_queue() noexcept;
    void idle(const std::atomic<bool>* done, std::optional<steady_time> until) noexcept;
    template <class Found>
    bool await_briefly(Found found) noexcept;
    void park(std::optional<steady_time> until) noexcept;
    bool advance_paused_clock() noexcept;
    void stop_searching() noexcept;
    void get_up() noexcept;
    steady_time be_up() noexcept;
    void set_running(const std::atomic<task_identity*>* slot) noexcept {
        std::lock_guard guard(running_lock_);
        running_ = slot;
    }

    runtime_core* core_;
    unsigned index_;
    bool stealing_;
    bool searching_ = false;
    bool put_off_ = false;        // since the last flush; a helper may have taken it
    bool asleep_ = false;         // among the sleepers, as far as it knows
    bool slept_briefly_ = false;  // the last time
    int vain_waits_ = 0;          // so many of them are passed over
    int passed_over_ = 0;
    int fronts_in_a_row_ = 0;
    bool woken_first_ = false;
    unsigned turn_ = 0;
    unsigned tick_ = 0;
    std::uint64_t polls_at_clock_ = 0;  // when it last looked at the clock
    random_bits random_;
    std::shared_ptr<reactor> io_;
    clock_source* clock_;
    timer_wheel wheel_;
    item_list local_;  // what was woken, per core
    std::atomic<bool> in_item_{false};
    std::atomic<bool> up_{false};
    spin_lock running_lock_;
    // Where the driving thread keeps the task that it runs.
    const std::atomic<task_identity*>* running_ = nullptr;
    ready_items ready_;
    alignas(64) mailbox mail_;
    counter polls_{0}, steals_{0}, parks_{0}, local_wakes_{0}, forced_yields_{0}, remote_wakes_{0},
        sent_{0};
};

/// The worker whose thread this is; null elsewhere.
worker* current_worker() noexcept;
void set_current_worker(worker* w) noexcept;

}  // namespace rt::detail
