// What hangs, and where: every task of a runtime and what it waits for, as seen at one moment.
module;
#include <chrono>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <vector>
export module rt.sched:dump;
import rt.task;

export namespace rt {

/// One task of a dump. It runs if it has a worker, and waits if it awaits something; otherwise it
/// is about to run (or waits for an awaitable that is not rt's).
struct task_info {
    std::uint64_t id = 0;
    std::string name;
    std::source_location spawned_at;
    std::optional<unsigned> worker;
    std::chrono::milliseconds waited{0};
    std::vector<awaited> awaits;
};

struct runtime_dump {
    std::vector<task_info> tasks;  ///< in no order
};

namespace detail {
/// What a dump says of a task that is alive; milliseconds: now, in the time of set_coarse_time().
task_info info_of(task_state& task, std::uint32_t milliseconds);
/// Milliseconds, for environment::waiting_since().
inline std::uint32_t coarse_time_of(steady_time t) noexcept {
    return static_cast<std::uint32_t>(t.time_since_epoch() / std::chrono::milliseconds(1));
}
}  // namespace detail

/// One line a task, and one for each thing that it waits for:
///
///     task 7 'session', spawned at server.cpp:31, has waited 1200 ms for:
///         a task, at server.cpp:40
///         rt::tcp_stream::read, at session.cpp:12
[[nodiscard]] std::string to_string(const runtime_dump& dump);

}  // namespace rt
