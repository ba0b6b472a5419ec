module;
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
module rt.sched;
import :threads;

namespace rt::detail {

void name_this_thread(const std::string& name) noexcept {
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());  // 15 is the kernel's limit
}

namespace {

/// cgroup v2: "max 100000" or "150000 100000": so much of each period (cgroups(7), cpu.max).
double quota_of(const std::string& folder) {
    std::ifstream file("/sys/fs/cgroup" + folder + "/cpu.max");
    std::string most;
    double period = 0;
    if (!(file >> most >> period) || most == "max" || period <= 0) return 0;
    return std::atof(most.c_str()) / period;
}

}  // namespace

unsigned usable_cpus() noexcept {
    unsigned n = std::max(1u, std::thread::hardware_concurrency());
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0) n = static_cast<unsigned>(CPU_COUNT(&set));
    std::string line;
    std::ifstream file("/proc/self/cgroup");
    while (std::getline(file, line)) {
        if (!line.starts_with("0::")) continue;
        // A limit of any group above counts too.
        for (auto folder = line.substr(3);; folder.erase(folder.rfind('/'))) {
            if (auto quota = quota_of(folder); quota > 0)
                n = std::min(n, std::max(1u, static_cast<unsigned>(std::ceil(quota))));
            if (folder.empty() || folder == "/") break;
        }
    }
    return std::max(1u, n);
}

void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

namespace {
constinit std::array<std::atomic<unsigned>, 65> signalled{};
}  // namespace

bool count_signal(int signal) noexcept {
    if (signal < 1 || static_cast<std::size_t>(signal) >= signalled.size()) return false;
    struct sigaction action{};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int s) {
        signalled[static_cast<std::size_t>(s)].fetch_add(1, std::memory_order_relaxed);
    };
    return ::sigaction(signal, &action, nullptr) == 0;
}

unsigned times_signalled(int signal) noexcept {
    return signalled[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed);
}

std::string environment_value(const char* name) {
    auto* value = std::getenv(name);
    return value ? value : "";
}

}  // namespace rt::detail
