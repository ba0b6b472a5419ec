// A runtime of one thread on which a program depends on nothing but its seed.
//
// What is ready stands in a bag. Each turn draws as many items as stood in it, one by one, at
// random; then the wheel advances, and what was put off comes into the bag. When nothing is ready,
// time moves to the next timer; when there is none either, nothing can ever run again: a deadlock.
// Order, the choice among the ready arms of a select and everything else that is random follow from
// the seed; the clock stands still while anything can run; blocking jobs are drawn from the bag,
// too, and run where they are drawn. There is no reactor: what a kernel does is in no seed.
module;
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>
export module rt.testing:runtime;
import rt.task;
import rt.time;
import rt.sched;

export namespace rt {

/// Every task waits, and nothing that could end that is left: what() has the seed and the dump.
class deadlock_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

namespace detail {

class test_executor final : public executor, public blocking_service {
public:
    explicit test_executor(std::uint64_t seed);
    test_executor(const test_executor&) = delete;
    test_executor& operator=(const test_executor&) = delete;
    /// Stops every task. Misuse if some will not end.
    ~test_executor();

    /// Runs one item, or moves the time. False: nothing can run any more.
    bool step();
    /// Stops every task and lets them end. False: some will not.
    bool stop_all();
    /// The same; misuse where some do not end.
    void end_all();
    [[nodiscard]] std::string trace() const;
    [[nodiscard]] runtime_dump dump();
    [[nodiscard]] paused_clock& clock() noexcept { return clock_; }
    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
    void tell_seed() const noexcept;

    void post(work_item& item) noexcept override;
    void post_later(work_item& item) noexcept override;
    [[nodiscard]] unsigned worker_count() const noexcept override { return 1; }
    executor& on_worker(unsigned) noexcept override { return *this; }
    timer_service* timers() noexcept override { return &wheel_; }
    io_service* io() noexcept override { return nullptr; }
    blocking_service* blocking() noexcept override { return this; }
    std::uint64_t random() noexcept override;
    adoption adopt(task_state& task) noexcept override;
    void abandon(task_state& task) noexcept override;
    void unhandled(const unhandled_failure& failure) noexcept override { print_unhandled(failure); }

    bool submit(blocking_job& job) noexcept override;
    bool withdraw(blocking_job& job) noexcept override;

private:
    struct resumption {
        steady_time at;
        std::uint64_t task;  // 1, 2, ... in the order of their spawns; 0: none
        awaited what;        // what it had waited for
    };
    void check_thread() const noexcept;
    void record(work_item& item);

    std::uint64_t seed_;
    random_bits random_;
    std::thread::id thread_ = std::this_thread::get_id();
    paused_clock clock_;
    timer_wheel wheel_{clock_};
    std::vector<work_item*> ready_, later_;
    std::vector<work_item*> jobs_;  // those of ready_ that may be withdrawn
    std::size_t left_ = 0;          // of the items of this turn
    task_state* first_ = nullptr;   // of those alive
    bool closing_ = false;
    std::vector<resumption> resumptions_;
    std::unordered_map<std::uint64_t, std::uint64_t> numbers_;  // of tasks, by their ids
    std::uint64_t spawned_ = 0;
};

[[noreturn]] void throw_deadlock(test_executor& exec);

}  // namespace detail

/// A runtime for tests: one thread, virtual time, and an order that follows from the seed. The same
/// seed gives the same run, resumption by resumption; another seed tries another order.
///
///     rt::test_runtime runtime(seed);
///     EXPECT_EQ(runtime.block_on(transfers()), 100);
///
/// It has timers, blocking jobs and everything that is in memory, but no sockets and files (misuse:
/// what a kernel does is in no seed; rt::scripted_stream stands in for a peer). Other threads must
/// not wake its tasks (misuse). A blocking job has the one thread to itself, and so must not wait
/// for what a task does.
class test_runtime {
public:
    explicit test_runtime(std::uint64_t seed)
        : exec_(std::make_unique<detail::test_executor>(seed)) {}

    /// Runs the task to its end, as runtime::block_on. Throws deadlock_error when nothing
    /// can run any more and it has not ended (a task that ticks for ever can always run); all tasks
    /// have been stopped then, and it is misuse if one does not end. In both cases the seed is told
    /// on stderr. Misuse inside a task.
    template <class T>
    T block_on(task<T> body, std::source_location where = std::source_location::current()) {
        detail::check_may_block(where);
        detail::typed_link<T> outcome;
        detail::root_signal signal;
        {
            auto handle = detail::spawn_into(
                *exec_,
                detail::run_root(detail::fires_at_end(signal), std::move(body), outcome, where),
                "root", where);
            while (!handle.done()) {
                if (!exec_->step()) detail::throw_deadlock(*exec_);
            }
        }
        if (outcome.outcome.index() == 2) exec_->tell_seed();
        return detail::outcome_of_root(outcome);
    }
    /// Runs beside what block_on runs; it stands still between two of them.
    template <class T>
    join_handle<T> spawn(task<T> body,
                         std::source_location where = std::source_location::current()) {
        return detail::spawn_into(*exec_, std::move(body), {}, where);
    }

    [[nodiscard]] std::uint64_t seed() const noexcept { return exec_->seed(); }
    /// It moves by itself, and may be moved further between two block_on.
    [[nodiscard]] paused_clock& clock() noexcept { return exec_->clock(); }
    /// Every resumption so far, a line each: when, which task, what it had waited for and where.
    /// Two runs of a program with one seed have the same trace, byte for byte.
    [[nodiscard]] std::string trace() const { return exec_->trace(); }
    [[nodiscard]] runtime_dump dump() { return exec_->dump(); }

private:
    std::unique_ptr<detail::test_executor> exec_;
};

}  // namespace rt
