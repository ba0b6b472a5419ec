module;
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <source_location>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>
module rt.sched;
import rt.task;
import rt.io;
import rt.time;
import :core;
import :threads;
import :worker;

namespace rt {

namespace detail {

struct root_signal::state {
    std::mutex mutex;
    std::condition_variable fired;
    std::atomic<bool> done{false};
};
root_signal::root_signal() : state_(std::make_shared<state>()) {}
root_signal::~root_signal() = default;

void root_signal::fire() noexcept {
    auto state = state_;  // who waits may go, and this signal with it
    std::lock_guard guard(state->mutex);
    state->done.store(true, std::memory_order_release);
    state->fired.notify_all();
}

executor& executor_for_spawn(runtime_core& core) noexcept { return core.next_executor(); }

executor& executor_for_spawn_on(runtime_core& core, unsigned worker) {
    if (worker >= core.worker_count())
        throw std::out_of_range("spawn_on(" + std::to_string(worker) +
                                "): this runtime has workers 0 to " +
                                std::to_string(core.worker_count() - 1));
    return core.executor_at(worker);
}

executor& executor_of_root(runtime_core& core) noexcept { return core.executor_at(0); }

void wait_for_root(runtime_core& core, root_signal& signal, std::source_location where) noexcept {
    auto& state = *signal.shared();
    auto done = [&] { return state.done.load(std::memory_order_acquire); };
    if (core.on_caller()) {
        core.run_on_caller(&state.done, {}, where);  // even if it has ended: by whose hand?
        return;
    }
    std::unique_lock guard(state.mutex);
    state.fired.wait(guard, done);
}

void check_may_block(std::source_location where) noexcept {
    if (current_worker() || current_identity())
        misuse("block_on inside a task would block its worker: co_await the task instead", where);
}

}  // namespace detail

runtime_counters runtime_handle::counters() const { return core_->counters(); }
unsigned runtime_handle::worker_count() const noexcept { return core_->worker_count(); }

runtime::runtime(runtime&&) noexcept = default;
runtime& runtime::operator=(runtime&& other) noexcept {
    if (this != &other) {
        if (core_) core_->shutdown({}, {});
        core_ = std::move(other.core_);
    }
    return *this;
}
runtime::~runtime() {
    if (core_) core_->shutdown({}, {});
}
shutdown_report runtime::shutdown(std::source_location where) { return core_->shutdown({}, where); }
shutdown_report runtime::shutdown(std::chrono::nanoseconds limit, std::source_location where) {
    return core_->shutdown(limit, where);
}
runtime_flavor runtime::flavor() const noexcept { return core_->options().flavor; }
reactor_kind runtime::reactor() const noexcept { return core_->worker_at(0).io_reactor().kind(); }

namespace {

struct refused {
    std::error_code error;
    std::string why;
};

[[noreturn]] void refuse(std::string why) { throw refused{errc::bad_option, std::move(why)}; }

void read_environment(detail::runtime_options& o) {
    if (o.flavor == runtime_flavor::automatic) {
        auto text = detail::environment_value("RT_FLAVOR");
        if (text == "thread_per_core") {
            o.flavor = runtime_flavor::thread_per_core;
        } else if (text == "current_thread") {
            o.flavor = runtime_flavor::current_thread;
        } else if (text == "work_stealing" || text.empty()) {
            o.flavor = runtime_flavor::work_stealing;
        } else {
            refuse("RT_FLAVOR=" + text +
                   " is unknown: use work_stealing, thread_per_core or current_thread");
        }
    }
    if (o.reactor == reactor_kind::automatic) {
        auto text = detail::environment_value("RT_REACTOR");
        if (text == "io_uring") {
            o.reactor = reactor_kind::io_uring;
        } else if (text == "epoll") {
            o.reactor = reactor_kind::epoll;
        } else if (!text.empty() && text != "automatic") {
            refuse("RT_REACTOR=" + text + " is unknown: use io_uring, epoll or automatic");
        }
    }
    if (!o.workers) {
        auto text = detail::environment_value("RT_WORKERS");
        if (!text.empty()) {
            unsigned n = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
            if (error != std::errc() || end != text.data() + text.size())
                refuse("RT_WORKERS=" + text + " is no number: use 1 to 1024, or leave it unset");
            if (n == 0 || n > 1024)
                refuse("RT_WORKERS=" + text +
                       ": a runtime has 1 to 1024 workers; leave it unset for one a CPU");
            o.workers = n;
        }
    }
}

void check(detail::runtime_options& o) {
    if (o.workers && (*o.workers == 0 || *o.workers > 1024))
        refuse("builder.workers(" + std::to_string(*o.workers) +
               "): a runtime has 1 to 1024 workers; leave it out for one a CPU");
    if (o.on_stall && (o.stall_threshold < std::chrono::milliseconds(1) ||
                       o.stall_threshold > std::chrono::hours(1)))
        refuse("builder.on_stall(): the threshold is between 1 ms and 1 h");
    if (o.dump_signal != 0 && !detail::count_signal(o.dump_signal))
        refuse("builder.dump_on_signal(" + std::to_string(o.dump_signal) +
               "): no signal that can be caught; use SIGUSR1 or the like");
    if (o.blocking_threads == 0)
        refuse("builder.blocking_threads(0): blocking jobs need at least one thread");
    bool several = o.flavor != runtime_flavor::current_thread;
    if (o.clock && o.clock->paused() && several)
        refuse(
            "builder.clock(): a paused clock needs .current_thread(), where it is known when "
            "nothing can run");
    if (!several) o.workers = 1;  // RT_WORKERS is for those who have them
    if (!o.workers) o.workers = detail::usable_cpus();
    if (!o.seed) o.seed = (std::uint64_t{std::random_device()()} << 32) | std::random_device()();
}

void tell_fallback_once(const std::string& why) {
    static std::atomic<bool> told{false};
    if (!told.exchange(true)) std::fprintf(stderr, "rt: %s; using epoll\n", why.c_str());
}

std::shared_ptr<detail::runtime_core> make_core(detail::runtime_options o) {
    bool asked_by_code = o.workers.has_value();
    bool current_by_code = o.flavor == runtime_flavor::current_thread;
    read_environment(o);
    if (o.flavor == runtime_flavor::current_thread && asked_by_code && *o.workers > 1)
        refuse("builder.workers(" + std::to_string(*o.workers) + ") with " +
               (current_by_code ? ".current_thread()" : "RT_FLAVOR=current_thread") +
               ", which has one: leave it out, or choose another flavor");
    check(o);
    using detail::reactor_use;
    bool shared = o.flavor == runtime_flavor::work_stealing && *o.workers > 1;
    auto use = o.flavor == runtime_flavor::current_thread ? reactor_use::one_at_a_time
               : shared                                   ? reactor_use::shared
                                                          : reactor_use::one_thread;
    std::vector<std::shared_ptr<detail::reactor>> reactors;
    auto kind = o.reactor;
    for (unsigned i = 0; i < *o.workers; ++i) {
        auto [made, refusal] = detail::make_reactor(kind, use);
        if (!made) {
            auto hint = kind == reactor_kind::io_uring
                            ? "; or use .reactor(epoll) or RT_REACTOR=epoll"
                            : "";
            throw refused{refusal.error, refusal.reason + hint};
        }
        if (!refusal.reason.empty()) tell_fallback_once(refusal.reason);
        kind = made->kind();  // all workers alike
        reactors.push_back(std::move(made));
    }
    auto core = std::make_shared<detail::runtime_core>(std::move(o), std::move(reactors));
    core->start();
    return core;
}

}  // namespace

runtime runtime::builder_type::build() {
    std::string why;
    auto made = try_build(&why);
    if (!made) throw std::system_error(made.error(), why);
    return *std::move(made);
}

result<runtime> runtime::builder_type::try_build(std::string* why) {
    try {
        return runtime(make_core(options_));
    } catch (const refused& r) {
        if (why) *why = r.why;
        return r.error;
    } catch (const std::system_error& e) {
        if (why) *why = std::string("the runtime's threads could not be started: ") + e.what();
        return e.code();
    }
}

}  // namespace rt
