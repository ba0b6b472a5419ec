// One pipe per stream, so that every one is told. The handler may only touch what is
// async-signal-safe: a fixed table of pipes (signal-safety(7)).
//
// A place of the table: `writer` is the pipe's descriptor, free or taken by whoever makes the
// stream, and `busy` counts handlers that are in it. Its owner sets the writer to taken_place,
// waits until it is not busy, closes the pipe and frees the place: no handler writes to a
// descriptor that has become another's. A handler may interrupt that very wait on the same thread;
// it finds no writer then and leaves, so the wait ends. (seq_cst: a handler says "busy" and then
// looks at the writer, an owner takes the writer and then looks at "busy"; one of them must see the
// other.)
module;
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <coroutine>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <system_error>
#include <thread>
#include <utility>
module rt.signal;
import rt.task;
import rt.io;

namespace rt {
namespace {

constexpr int free_place = -1, taken_place = -2;
constexpr int most_signals = 65;

struct place {
    std::atomic<int> writer{free_place};
    std::atomic<int> busy{0};
    std::atomic<std::uint64_t> wanted{0};  // bit n - 1: signal n
};
std::array<place, 64> places;
std::atomic<int> pending{0};  // for ctrl_c: came while nobody waited

void on_signal(int number) {
    auto saved = errno;
    bool told = false;
    for (auto& p : places) {
        p.busy.fetch_add(1, std::memory_order_seq_cst);
        auto fd = p.writer.load(std::memory_order_seq_cst);
        if (fd >= 0 && (p.wanted.load(std::memory_order_relaxed) >> (number - 1) & 1)) {
            auto byte = static_cast<std::uint8_t>(number);
            told = ::write(fd, &byte, 1) == 1 || told;
        }
        p.busy.fetch_sub(1, std::memory_order_seq_cst);
    }
    if (!told && (number == SIGINT || number == SIGTERM))
        pending.store(number, std::memory_order_release);
    errno = saved;
}

std::error_code last_error() { return {errno, std::system_category()}; }

std::error_code install(std::initializer_list<int> numbers) {
    static std::mutex mutex;
    static std::array<bool, most_signals> installed{};
    std::lock_guard guard(mutex);
    for (int number : numbers) {
        if (number <= 0 || number >= most_signals)
            return std::make_error_code(std::errc::invalid_argument);
        if (installed[static_cast<std::size_t>(number)]) continue;
        struct sigaction action{};
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART;
        ::sigemptyset(&action.sa_mask);
        if (::sigaction(number, &action, nullptr) < 0) return last_error();
        installed[static_cast<std::size_t>(number)] = true;
    }
    return {};
}

}  // namespace

namespace detail {

result<std::unique_ptr<signal_watch>> signal_watch::make(std::initializer_list<int> numbers) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return last_error();
    std::unique_ptr<signal_watch> made(new signal_watch(io_handle(ends[0])));
    std::uint64_t wanted = 0;
    for (int number : numbers)
        if (number > 0 && number < most_signals) wanted |= std::uint64_t{1} << (number - 1);
    for (auto& p : places) {
        int none = free_place;
        if (!p.writer.compare_exchange_strong(none, taken_place)) continue;
        p.wanted.store(wanted, std::memory_order_relaxed);
        p.writer.store(ends[1], std::memory_order_seq_cst);
        made->place_ = static_cast<int>(&p - places.data());
        // Last: what comes from now on has where to go.
        if (auto error = install(numbers)) return error;
        return made;
    }
    ::close(ends[1]);
    return std::make_error_code(std::errc::too_many_files_open);
}

signal_watch::~signal_watch() { close(); }

int signal_watch::close() noexcept {
    if (place_ < 0) return 0;
    auto& p = places[static_cast<std::size_t>(std::exchange(place_, -1))];
    auto writer = p.writer.exchange(taken_place, std::memory_order_seq_cst);
    while (p.busy.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    ::close(writer);
    p.writer.store(free_place, std::memory_order_seq_cst);
    std::uint8_t unread = 0;
    return ::read(static_cast<int>(reader_.native()), &unread, 1) == 1 ? unread : 0;
}

bool ctrl_c_op::try_now() noexcept {
    if (error_) return true;
    number_ = pending.exchange(0, std::memory_order_acq_rel);
    return number_ != 0 || io_op::try_now();
}

rt::result<int> ctrl_c_op::await_resume() noexcept {
    if (auto error = failure()) return error;
    if (number_ == 0) number_ = byte_;
    watch_.reset();  // what comes from now on is for others
    return std::exchange(number_, 0);
}

ctrl_c_op::~ctrl_c_op() {
    if (number_ != 0) pending.store(number_, std::memory_order_release);
    if (!watch_) return;
    if (auto number = watch_->close()) pending.store(number, std::memory_order_release);
}

}  // namespace detail

detail::ctrl_c_op ctrl_c(std::source_location where) {
    return {detail::signal_watch::make({SIGINT, SIGTERM}), where};
}

}  // namespace rt
