// What a runtime has done, in numbers that move by exactly what was driven.
module;
#include <cstdint>
#include <vector>
export module rt.sched:counters;

export namespace rt {

struct worker_counters {
    std::uint64_t polls = 0;          ///< work items that it ran: turns of tasks
    std::uint64_t steals = 0;         ///< items that it took from another worker
    std::uint64_t parks = 0;          ///< times that it waited in its reactor
    std::uint64_t local_wakes = 0;    ///< items posted to it by itself
    std::uint64_t remote_wakes = 0;   ///< items posted to it, or to all, by other threads
    std::uint64_t forced_yields = 0;  ///< times that a task's budget was used up
};

struct runtime_counters {
    std::uint64_t spawned = 0;
    std::uint64_t alive = 0;
    std::uint64_t unhandled = 0;  ///< failures, of either kind, of tasks that nobody awaited
    std::uint64_t operations_in_flight = 0;
    std::uint64_t blocking_queued = 0;
    std::uint64_t blocking_running = 0;
    worker_counters total;
    std::vector<worker_counters> workers;
};

}  // namespace rt
