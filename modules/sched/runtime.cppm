// The runtime and its builder.
module;
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.sched:runtime;
import rt.task;
import rt.io;
import rt.time;
import :counters;
import :dump;

export namespace rt {

enum class runtime_flavor : std::uint8_t {
    automatic,
    work_stealing,
    thread_per_core,
    current_thread
};

/// A worker that has run one task for long, without an await that suspended it.
struct stall {
    unsigned worker = 0;
    std::uint64_t task_id = 0;
    std::string_view task_name;
    std::source_location spawned_at;
    std::chrono::nanoseconds lasted{0};  ///< at least so long, by now
};

namespace detail {

class runtime_core;

struct runtime_options {
    runtime_flavor flavor = runtime_flavor::automatic;
    reactor_kind reactor = reactor_kind::automatic;
    std::optional<unsigned> workers;
    std::optional<std::uint64_t> seed;
    std::size_t blocking_threads = 512;
    std::chrono::nanoseconds blocking_keep_alive = std::chrono::seconds(10);
    std::string name = "rt";
    clock_source* clock = nullptr;
    std::function<void(unsigned)> on_worker_start, on_worker_stop;
    std::function<void(const unhandled_failure&)> on_unhandled;
    std::chrono::nanoseconds stall_threshold{0};
    std::function<void(const stall&)> on_stall;
    int dump_signal = 0;
    std::function<void(const runtime_dump&)> on_dump;
};

/// Where the root of block_on leaves its outcome, and who waits for that.
class root_signal {
public:
    root_signal();
    root_signal(root_signal&&) noexcept = default;
    root_signal& operator=(root_signal&&) noexcept = default;
    ~root_signal();
    void fire() noexcept;
    struct state;
    [[nodiscard]] const std::shared_ptr<state>& shared() const noexcept { return state_; }

private:
    std::shared_ptr<state> state_;
};
/// Fires when the root's frame goes, on return, exception and stop alike, and if it never ran.
class fires_at_end {
public:
    explicit fires_at_end(root_signal& signal) noexcept : signal_(&signal) {}
    fires_at_end(fires_at_end&& other) noexcept : signal_(std::exchange(other.signal_, nullptr)) {}
    fires_at_end& operator=(fires_at_end&&) = delete;
    ~fires_at_end() {
        if (signal_) signal_->fire();
    }

private:
    root_signal* signal_;
};

/// The guard stands first: parameters go in reverse order, so it fires when the body is gone.
template <class T>
task<> run_root(fires_at_end, task<T> body, typed_link<T>& outcome, std::source_location where) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(body).enter(where);
            outcome.outcome.template emplace<1>();
        } else {
            outcome.outcome.template emplace<1>(co_await std::move(body).enter(where));
        }
    } catch (...) {
        outcome.outcome.template emplace<2>(std::current_exception());
    }
}

/// When the root has ended: its value, what it threw, or that it was stopped.
template <class T>
T outcome_of_root(typed_link<T>& root) {
    if (root.outcome.index() == 0) {
        if constexpr (is_result<T>) {
            return errc::stopped;
        } else {
            throw stopped_error();
        }
    }
    return root.take();
}

/// Round robin over the workers, from outside the runtime.
executor& executor_for_spawn(runtime_core& core) noexcept;
executor& executor_for_spawn_on(runtime_core& core, unsigned worker);
executor& executor_of_root(runtime_core& core) noexcept;
void wait_for_root(runtime_core& core, root_signal& signal, std::source_location where) noexcept;
void check_may_block(std::source_location where) noexcept;

}  // namespace detail

/// A runtime as seen from elsewhere: it may be copied, and outlive its runtime. It keeps nothing
/// running.
class runtime_handle {
public:
    /// Runs a task on the runtime, from any thread. After its end the outcome is stopped, and
    /// nothing ran.
    template <class T>
    join_handle<T> spawn(task<T> body,
                         std::source_location where = std::source_location::current()) const {
        return detail::spawn_into(detail::executor_for_spawn(*core_), std::move(body), {}, where);
    }
    template <class F>
        requires detail::spawnable<F>
    auto spawn(F f, std::source_location where = std::source_location::current()) const {
        return spawn(call(std::move(f)), where);
    }
    /// On worker i. Throws std::out_of_range for an i that the runtime does not have.
    template <class T>
    join_handle<T> spawn_on(unsigned worker, task<T> body,
                            std::source_location where = std::source_location::current()) const {
        return detail::spawn_into(detail::executor_for_spawn_on(*core_, worker), std::move(body),
                                  {}, where);
    }
    [[nodiscard]] runtime_counters counters() const;
    /// Every task that is alive, and what it waits for. At any moment, from any thread, also while
    /// workers are kept by user code.
    [[nodiscard]] runtime_dump dump() const;
    [[nodiscard]] unsigned worker_count() const noexcept;

private:
    friend class runtime;
    explicit runtime_handle(std::shared_ptr<detail::runtime_core> core) : core_(std::move(core)) {}
    std::shared_ptr<detail::runtime_core> core_;
};

/// What a shutdown limit had to give up.
struct shutdown_report {
    std::uint64_t tasks = 0;       ///< tasks that had not ended
    std::uint64_t operations = 0;  ///< operations that a kernel held, blocking jobs that ran
    [[nodiscard]] bool clean() const noexcept { return tasks == 0 && operations == 0; }
};

class runtime {
public:
    class builder_type;
    [[nodiscard]] static builder_type builder();

    runtime(runtime&&) noexcept;
    runtime& operator=(runtime&&) noexcept;
    /// As shutdown() without a limit.
    ~runtime();

    /// Runs the task on the runtime and waits for its end: its value, or what it threw. Stopped by
    /// a shutdown: errc::stopped in a result, stopped_error otherwise. With current_thread() the
    /// calling thread does the work. Misuse inside a task.
    template <class T>
    T block_on(task<T> body, std::source_location where = std::source_location::current()) {
        detail::check_may_block(where);
        detail::typed_link<T> outcome;
        detail::root_signal signal;
        {
            auto handle = detail::spawn_into(
                detail::executor_of_root(*core_),
                detail::run_root(detail::fires_at_end(signal), std::move(body), outcome, where),
                "root", where);
            detail::wait_for_root(*core_, signal, where);
            // Its frame has gone; its worker is taking it off the runtime's list.
            while (!handle.done()) std::this_thread::yield();
        }
        return detail::outcome_of_root(outcome);
    }

    [[nodiscard]] runtime_handle handle() const { return runtime_handle(core_); }
    template <class T>
    join_handle<T> spawn(task<T> body,
                         std::source_location where = std::source_location::current()) {
        return handle().spawn(std::move(body), where);
    }
    [[nodiscard]] runtime_counters counters() const { return handle().counters(); }
    [[nodiscard]] runtime_dump dump() const { return handle().dump(); }
    [[nodiscard]] runtime_flavor flavor() const noexcept;
    [[nodiscard]] reactor_kind reactor() const noexcept;
    [[nodiscard]] unsigned worker_count() const noexcept { return handle().worker_count(); }

    /// Stops every task, joins them and ends the workers. A limit: what has not ended by then is
    /// left where it is, for ever, and reported; 0 returns at once. Not from within a task of this
    /// runtime.
    shutdown_report shutdown(std::source_location where = std::source_location::current());
    shutdown_report shutdown(std::chrono::nanoseconds limit,
                             std::source_location where = std::source_location::current());

private:
    explicit runtime(std::shared_ptr<detail::runtime_core> core) : core_(std::move(core)) {}
    std::shared_ptr<detail::runtime_core> core_;
};

/// What is left automatic is taken from RT_FLAVOR (work_stealing, thread_per_core, current_thread),
/// RT_REACTOR (io_uring, epoll) and RT_WORKERS, then from the machine; the environment never
/// overrides the code.
class runtime::builder_type {
public:
    /// Any worker runs any task (the default). block_on parks its caller.
    builder_type& work_stealing() { return flavor(runtime_flavor::work_stealing); }
    /// A task stays on its worker: tasks of one worker never run at the same time.
    builder_type& thread_per_core() { return flavor(runtime_flavor::thread_per_core); }
    /// One worker, driven by whoever calls block_on; nothing runs otherwise.
    builder_type& current_thread() { return flavor(runtime_flavor::current_thread); }
    builder_type& flavor(runtime_flavor f) {
        options_.flavor = f;
        return *this;
    }
    /// Default: the CPUs that affinity mask and cgroup quota let this process use.
    builder_type& workers(unsigned n) {
        options_.workers = n;
        return *this;
    }
    /// io_uring by name fails where the kernel refuses it; automatic falls back to epoll and says
    /// why, once.
    builder_type& reactor(reactor_kind kind) {
        options_.reactor = kind;
        return *this;
    }
    /// Most threads for blocking jobs (512), and how long one stays without work (10 s).
    builder_type& blocking_threads(std::size_t n) {
        options_.blocking_threads = n;
        return *this;
    }
    builder_type& blocking_keep_alive(std::chrono::nanoseconds d) {
        options_.blocking_keep_alive = d;
        return *this;
    }
    /// Names the worker threads: name-0, name-1, ...
    builder_type& name(std::string n) {
        options_.name = std::move(n);
        return *this;
    }
    /// Every select's order, and whatever else is random, follows from it.
    builder_type& seed(std::uint64_t s) {
        options_.seed = s;
        return *this;
    }
    /// Another clock; it outlives the runtime. A paused clock needs current_thread().
    builder_type& clock(clock_source& c) {
        options_.clock = &c;
        return *this;
    }
    /// Called on each worker's thread before its first and after its last task, with its index.
    builder_type& on_worker_start(std::function<void(unsigned)> f) {
        options_.on_worker_start = std::move(f);
        return *this;
    }
    builder_type& on_worker_stop(std::function<void(unsigned)> f) {
        options_.on_worker_stop = std::move(f);
        return *this;
    }
    /// Told of failures of tasks that nobody awaits; default: exceptions are reported on stderr,
    /// error values counted.
    builder_type& on_unhandled(std::function<void(const unhandled_failure&)> f) {
        options_.on_unhandled = std::move(f);
        return *this;
    }
    /// Told once of each task that keeps its worker for longer than the threshold (1 ms to 1 h;
    /// looked at every 10 ms), on a thread of the runtime's own: it must return soon. With or
    /// without it, in the stealing flavor with two workers and more, what waits for a worker that
    /// is kept for 10 ms goes on elsewhere: the tasks behind, timers, and finished I/O.
    builder_type& on_stall(std::chrono::nanoseconds threshold,
                           std::function<void(const stall&)> f) {
        options_.stall_threshold = threshold;
        options_.on_stall = std::move(f);
        return *this;
    }
    /// Dumps the runtime each time the process gets the signal (SIGUSR1, say): to f, on a thread of
    /// the runtime's own, or to stderr. Also while every worker is kept. It replaces the signal's
    /// disposition, for good.
    builder_type& dump_on_signal(int signal, std::function<void(const runtime_dump&)> f = {}) {
        options_.dump_signal = signal;
        options_.on_dump = std::move(f);
        return *this;
    }

    /// Throws std::system_error with what to change.
    [[nodiscard]] runtime build();
    /// As build(), without an exception; *why says what to change.
    [[nodiscard]] result<runtime> try_build(std::string* why = nullptr);

private:
    detail::runtime_options options_;
};

inline runtime::builder_type runtime::builder() { return {}; }

/// Runs a task on a runtime with the defaults, which ends with it. Throws std::system_error when
/// the environment asks for what cannot be had, with what to change; to learn that without an
/// exception: runtime::builder().try_build().
template <class T>
T block_on(task<T> body, std::source_location where = std::source_location::current()) {
    return runtime::builder().build().block_on(std::move(body), where);
}

}  // namespace rt
