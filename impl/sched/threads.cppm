// What the scheduler asks the system for: thread names, and how many CPUs this process may use.
module;
#include <string>
module rt.sched:threads;

namespace rt::detail {

void name_this_thread(const std::string& name) noexcept;
/// CPUs by affinity mask and cgroup quota; at least 1.
unsigned usable_cpus() noexcept;
std::string environment_value(const char* name);

}  // namespace rt::detail
