// Who looks after workers that are kept in one item: by user code that blocks or computes for long.
//
// A thread of its own, since every worker may be kept, and one that is parked has no reason to
// look. Every 10 ms it reads of each worker which item it is in; the same item at two looks 10 ms
// apart is a stall. Then, in the stealing flavor, it helps: now and every millisecond until the
// item ends, what waits for that worker is given to the others. A worker that was merely not
// scheduled by the system may be taken for a stalled one: helping it harms nothing.
//
// It is also who dumps the runtime when a signal asks for that: the signal's handler only counts.
//
// It costs nothing while nothing runs: after 20 looks that saw no item it sleeps until a worker
// leaves its park (or, where a signal may come, looks for that ten times a second). asleep_ and
// worker::up() make that safe (both seq_cst): it announces its sleep and then looks at every
// worker; a worker announces that it is up and then looks whether the monitor sleeps. So one of the
// two sees the other.
module;
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>
module rt.sched:monitor;
import rt.task;
import :worker;

namespace rt::detail {

class monitor {
public:
    using clock = std::chrono::steady_clock;
    struct duties {
        bool helps = false;
        std::chrono::nanoseconds threshold{0};
        std::function<void(unsigned worker, const task_identity* task,
                           std::chrono::nanoseconds lasted)>
            stalled;
        int signal = 0;  // none
        std::function<void()> dump;
    };
    monitor(std::vector<worker*> workers, duties what);

    void start(std::string name);
    /// Afterwards it touches nothing any more.
    void stop() noexcept;
    /// A worker is up: the monitor wakes if it sleeps.
    void watch() noexcept {
        if (asleep_.load(std::memory_order_seq_cst)) wake();
    }

private:
    struct watched {
        worker* who;
        std::optional<std::uint64_t> item;  // that it was in at the last look
        clock::time_point since;            // when it was first seen in that
        bool reported = false;
    };
    void run() noexcept;
    void wake() noexcept;
    bool look(clock::time_point now, bool& stalled) noexcept;
    void dump_if_asked() noexcept;
    [[nodiscard]] bool anybody_up() const noexcept;

    std::vector<watched> workers_;
    duties what_;
    unsigned dumps_;
    std::atomic<bool> asleep_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;  // guarded by mutex_
    std::thread thread_;
};

}  // namespace rt::detail
