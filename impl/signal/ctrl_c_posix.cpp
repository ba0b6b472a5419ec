module;
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <mutex>
#include <source_location>
#include <system_error>
#include <utility>
module rt.signal;
import rt.task;
import rt.io;

namespace rt {
namespace {

// One pipe per waiter, so that every one is told; the handler may only touch what is
// async-signal-safe: a fixed table of descriptors (signal-safety(7)). The waiters of a process are
// few: a server has one.
constexpr int most_waiters = 64;
constexpr int free_place =
    0;  // a pipe is never on descriptor 0 of a program that has a standard input
std::array<std::atomic<int>, most_waiters> writers{};
std::atomic<int> pending{0};  // came while nobody waited

void on_signal(int number) {
    auto saved = errno;
    bool told = false;
    for (auto& w : writers) {
        auto fd = w.load(std::memory_order_acquire);
        if (fd == free_place) continue;
        auto byte = static_cast<unsigned char>(number);
        told = ::write(fd, &byte, 1) == 1 || told;
    }
    if (!told) pending.store(number, std::memory_order_release);
    errno = saved;
}

std::error_code last_error() { return {errno, std::system_category()}; }

std::error_code install() {
    static std::mutex mutex;
    static bool installed = false;
    std::lock_guard guard(mutex);
    if (installed) return {};
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    for (int number : {SIGINT, SIGTERM}) {
        if (::sigaction(number, &action, nullptr) < 0) return last_error();
    }
    installed = true;
    return {};
}

class read_op : public detail::io_op<read_op> {
public:
    read_op(const io_handle& h, unsigned char& byte) noexcept
        : io_op(h.object(), detail::io_kind::read, &byte, 1) {}
    read_op(read_op&&) noexcept = default;
    rt::result<std::size_t> await_resume() const noexcept {
        if (result < 0) return failure();
        return static_cast<std::size_t>(result);
    }
    const char* what() const noexcept { return "rt::ctrl_c"; }
    std::source_location where() const noexcept { return std::source_location::current(); }
};

/// A place in the table, for as long as somebody waits.
class registration {
public:
    explicit registration(int writer) noexcept : writer_(writer) {
        for (auto& w : writers) {
            int none = free_place;
            if (w.compare_exchange_strong(none, writer, std::memory_order_acq_rel)) {
                place_ = &w;
                return;
            }
        }
    }
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;
    ~registration() {
        if (place_) place_->store(free_place, std::memory_order_release);
        ::close(writer_);
    }
    explicit operator bool() const noexcept { return place_ != nullptr; }

private:
    int writer_;
    std::atomic<int>* place_ = nullptr;
};

}  // namespace

io_task<int> ctrl_c() {
    if (auto error = install()) co_return error;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) co_return last_error();
    if (ends[1] == free_place) {  // somebody has closed the standard input
        ends[1] = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
        ::close(free_place);
    }
    io_handle reader(ends[0]);
    registration place(ends[1]);
    if (!place) co_return std::make_error_code(std::errc::too_many_files_open);
    if (auto number = pending.exchange(0, std::memory_order_acq_rel)) co_return number;
    unsigned char byte = 0;
    co_await read_op(reader, byte).or_return();
    co_return int{byte};
}

}  // namespace rt
