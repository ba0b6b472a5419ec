// The order of fallback on Linux: io_uring, then epoll. The kernel may refuse the first
// (containers, sysctl).
module;
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
module rt.io;
import :epoll;
import :uring;

namespace rt::detail {
namespace {

std::string why_refused(std::error_code error) {
    std::string reason = "io_uring is refused by the kernel (" + error.message() + ")";
    int disabled = 0;
    std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled;
    if (disabled != 0) {
        reason = "io_uring is disabled by kernel.io_uring_disabled=" + std::to_string(disabled) +
                 ": set it to 0 to allow it";
    } else if (error.value() == ENOSYS) {
        reason =
            "io_uring is not in this kernel, or a seccomp filter hides it: Linux 5.11 or newer is "
            "needed";
    } else if (error.value() == EPERM || error.value() == EACCES) {
        reason = "io_uring is forbidden, probably by the container's seccomp filter";
    } else if (error.value() == ENOMEM) {
        reason = "io_uring found too little lockable memory: raise ulimit -l";
    } else if (error.value() == EMFILE || error.value() == ENFILE) {
        reason = "io_uring found no free descriptor: raise ulimit -n";
    }
    return reason;
}

/// The runtime's part in the count of owners.
std::shared_ptr<reactor> owned(reactor* made) {
    return {made, [](reactor* r) { r->release(); }};
}

}  // namespace

made_reactor make_reactor(reactor_kind kind, reactor_use use) {
    made_reactor made;
    if (kind != reactor_kind::epoll) {
        try {
            made.made = owned(new uring_reactor(use));
            return made;
        } catch (const std::system_error& e) {
            made.refusal = {e.code(), why_refused(e.code())};
            if (kind == reactor_kind::io_uring) return made;
        }
    }
    try {
        made.made = owned(new epoll_reactor);
    } catch (const std::system_error& e) {
        made.refusal = {e.code(), "epoll: " + e.code().message()};
    }
    return made;
}

}  // namespace rt::detail
