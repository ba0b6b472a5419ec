// What the scheduler asks the system for: thread names, how many CPUs this process may use, and
// signals.
module;
#include <string>
module rt.sched:threads;

namespace rt::detail {

void name_this_thread(const std::string& name) noexcept;
/// CPUs by affinity mask and cgroup quota; at least 1.
unsigned usable_cpus() noexcept;
/// For who looks at something again and again: leaves the core to its other thread for a moment.
void relax() noexcept;
std::string environment_value(const char* name);
/// Counts the signal from now on, and does nothing else with it. False: it cannot be caught.
bool count_signal(int signal) noexcept;
[[nodiscard]] unsigned times_signalled(int signal) noexcept;

}  // namespace rt::detail
