// Signals as a stream: those that come between two waits are kept, as many as a pipe holds.
//
// A handler writes the number to a pipe of each stream that wants it. It is installed with the
// first use of a signal in the process, and stays: from then on the signal no longer does by itself
// what it did before.
module;
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <source_location>
#include <system_error>
#include <utility>
export module rt.signal:signals;
import rt.task;
import rt.io;

export namespace rt {

class signal_stream;

namespace detail {

/// A place in the handler's table, and the end of a pipe to read; for as long as it lives.
class signal_watch {
public:
    /// Errors: pipe2(2), sigaction(2), std::errc::invalid_argument for no signal,
    /// std::errc::too_many_files_open when 64 are there.
    static result<std::unique_ptr<signal_watch>> make(std::initializer_list<int> numbers);
    signal_watch(const signal_watch&) = delete;
    signal_watch& operator=(const signal_watch&) = delete;
    ~signal_watch();
    [[nodiscard]] const io_handle& reader() const noexcept { return reader_; }
    /// Nothing more is written; tells a signal that came and was not read, or 0.
    int close() noexcept;

private:
    explicit signal_watch(io_handle reader) noexcept : reader_(std::move(reader)) {}
    io_handle reader_;
    int place_ = -1;
};

class [[nodiscard("it does nothing until it is co_awaited")]] signal_op : public io_op<signal_op> {
public:
    signal_op(const io_handle& h, std::source_location where) noexcept
        : io_op(h.object(), io_kind::read, nullptr, 1), where_(where) {}
    signal_op(signal_op&&) noexcept = default;
    void prepare() noexcept { data = &number_; }
    std::optional<int> await_resume() const noexcept {
        if (result != 1) return std::nullopt;
        return int{number_};
    }
    const char* what() const noexcept { return "rt::signals"; }
    std::source_location where() const noexcept { return where_; }

private:
    std::uint8_t number_ = 0;
    std::source_location where_;
};

}  // namespace detail

class signal_stream {
public:
    using value_type = int;
    signal_stream() noexcept = default;

    /// co_await s.next(): waits for the next signal and gives its number. The same signal that
    /// comes several times before it is handled may come once: signal(7). Lossless: it may lose a
    /// select. A stop withdraws it. Empty only on an error of the pipe.
    auto next(std::source_location where = std::source_location::current()) {
        if (!watch_) misuse("an empty signal_stream is used", where);
        return detail::signal_op(watch_->reader(), where);
    }

private:
    template <std::same_as<int>... N>
    friend result<signal_stream> signals(int first, N... more);
    explicit signal_stream(std::unique_ptr<detail::signal_watch> watch) noexcept
        : watch_(std::move(watch)) {}
    std::unique_ptr<detail::signal_watch> watch_;
};

/// What comes of these signals from now on: rt::signals(SIGTERM, SIGHUP). Every stream is told of
/// each. Errors: std::errc::invalid_argument for what is no signal or cannot be caught, pipe2(2).
template <std::same_as<int>... N>
result<signal_stream> signals(int first, N... more) {
    auto watch = detail::signal_watch::make({first, more...});
    if (!watch) return watch.error();
    return signal_stream(*std::move(watch));
}

}  // namespace rt
