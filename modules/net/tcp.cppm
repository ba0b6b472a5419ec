// TCP: streams and their halves.
//
// One task may read while another writes; two that read, or two that write, at once are misuse. A
// lent buffer is free when the await returns, on success, error and stop alike.
module;
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
export module rt.net:tcp;
import rt.task;
import rt.io;
import :endpoint;

export namespace rt {

namespace detail {

/// Reads once.
class [[nodiscard("it does nothing until it is co_awaited")]] receive_op
    : public io_op<receive_op> {
public:
    inline receive_op(const io_handle& h, std::span<std::byte> buffer, int flags,
                      std::source_location where) noexcept
        : io_op(h.object(), io_kind::receive, buffer.data(), buffer.size(), flags), where_(where) {}
    receive_op(receive_op&&) noexcept = default;
    inline rt::result<std::size_t> await_resume() const noexcept {
        if (result < 0) return failure();
        return static_cast<std::size_t>(result);
    }
    inline const char* what() const noexcept { return "a read of a socket"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    std::source_location where_;
};

/// Writes once.
class [[nodiscard("it does nothing until it is co_awaited")]] send_op : public io_op<send_op> {
public:
    inline send_op(const io_handle& h, std::span<const std::byte> buffer,
                   std::source_location where) noexcept
        : io_op(h.object(), io_kind::send, const_cast<std::byte*>(buffer.data()), buffer.size()),
          where_(where) {}
    send_op(send_op&&) noexcept = default;
    inline rt::result<std::size_t> await_resume() const noexcept {
        if (result < 0) return failure();
        return static_cast<std::size_t>(result);
    }
    inline const char* what() const noexcept { return "a write to a socket"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    std::source_location where_;
};

/// Writes all, in as many calls as it takes.
class [[nodiscard("it does nothing until it is co_awaited")]] send_all_op
    : public io_op<send_all_op> {
public:
    struct lossy {};
    using lossless = lossy;  // how much a loser had written would be unknown
    inline send_all_op(const io_handle& h, std::span<const std::byte> buffer,
                       std::source_location where) noexcept
        : io_op(h.object(), io_kind::send, const_cast<std::byte*>(buffer.data()), buffer.size()),
          where_(where) {}
    send_all_op(send_all_op&&) noexcept = default;

    inline bool try_now() noexcept {
        while (io_op::try_now()) {
            if (all_sent()) return true;
        }
        return false;
    }
    inline bool enlist() noexcept {
        while (io_op::enlist()) {
            if (all_sent()) return true;
        }
        return false;
    }
    inline std::coroutine_handle<> wake() noexcept override {
        // A starved one has not called yet, and a withdrawn one will not.
        if (who == nullptr || withdrawn_ || withdrawn_by_stop() || all_sent()) return io_op::wake();
        return wait_again();
    }
    inline rt::result<void> await_resume() const noexcept { return failure(); }
    inline const char* what() const noexcept { return "a write to a socket"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    inline bool all_sent() noexcept {
        if (result < 0) return true;
        auto n = static_cast<std::size_t>(result);
        data = static_cast<std::byte*>(data) + n;
        size -= n;
        result = 0;
        return size == 0;
    }
    std::source_location where_;
};

/// Reads into, or writes from, several buffers in order; the first 16 count.
class [[nodiscard("it does nothing until it is co_awaited")]] vectored_op
    : public io_op<vectored_op> {
public:
    vectored_op(const io_handle& h, std::span<const std::span<std::byte>> buffers,
                std::source_location where) noexcept;
    vectored_op(const io_handle& h, std::span<const std::span<const std::byte>> buffers,
                std::source_location where) noexcept;
    vectored_op(vectored_op&&) noexcept = default;
    inline void prepare() noexcept { data = &vector_; }
    inline rt::result<std::size_t> await_resume() const noexcept {
        if (result < 0) return failure();
        return static_cast<std::size_t>(result);
    }
    inline const char* what() const noexcept { return "a vectored read or write of a socket"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    io_vector vector_;
    std::source_location where_;
};

}  // namespace detail

struct linger_option {
    bool on = false;
    std::chrono::seconds time{0};  ///< on with 0: close resets the connection
};

/// Options of a socket. Each setter gives the system's error, where it refuses.
class tcp_options {
public:
    explicit tcp_options(native_handle socket) noexcept : socket_(socket) {}
    result<> nodelay(bool on) const;
    result<bool> nodelay() const;
    result<> keepalive(bool on) const;
    result<bool> keepalive() const;
    result<> linger(linger_option value) const;
    result<linger_option> linger() const;
    /// Linux gives twice what was asked, for its own bookkeeping: socket(7).
    result<> receive_buffer(std::size_t bytes) const;
    result<std::size_t> receive_buffer() const;
    result<> send_buffer(std::size_t bytes) const;
    result<std::size_t> send_buffer() const;
    result<bool> reuse_address() const;
    result<bool> reuse_port() const;

private:
    native_handle socket_;
};

enum class shutdown_side : std::uint8_t { read, write, both };

class tcp_writer;

/// The reading half of a stream.
class tcp_reader {
public:
    using here = std::source_location;
    tcp_reader() noexcept = default;
    inline explicit tcp_reader(io_handle h) noexcept : handle_(std::move(h)) {}

    /// Waits for bytes: how many came, 0 at the end. Lossless; a stop withdraws it. Errors:
    /// recv(2).
    inline auto read(std::span<std::byte> buffer, here where = here::current()) {
        return detail::receive_op(handle_, buffer, 0, where);
    }
    /// As read, and leaves the bytes for the next read.
    inline auto peek(std::span<std::byte> buffer, here where = here::current()) {
        return detail::receive_op(handle_, buffer, peek_flag(), where);
    }
    inline auto read_vectored(std::span<const std::span<std::byte>> buffers,
                              here where = here::current()) {
        return detail::vectored_op(handle_, buffers, where);
    }
    [[nodiscard]] inline const io_handle& handle() const noexcept { return handle_; }
    [[nodiscard]] inline io_handle release() && noexcept { return std::move(handle_); }

    static int peek_flag() noexcept;

private:
    io_handle handle_;
};

/// The writing half of a stream. Dropping it tells the peer the end (FIN).
class tcp_writer {
public:
    using here = std::source_location;
    tcp_writer() noexcept = default;
    inline explicit tcp_writer(io_handle h) noexcept : handle_(std::move(h)) {}
    tcp_writer(tcp_writer&&) noexcept = default;
    inline tcp_writer& operator=(tcp_writer&& other) noexcept {
        if (this != &other) {
            finish();
            handle_ = std::move(other.handle_);
        }
        return *this;
    }
    inline ~tcp_writer() { finish(); }

    /// Waits until some of the bytes are taken: how many. Lossless; a stop withdraws it. Errors:
    /// send(2), no SIGPIPE.
    inline auto write(std::span<const std::byte> buffer, here where = here::current()) {
        return detail::send_op(handle_, buffer, where);
    }
    /// Waits until all are taken. Not for select: how much a loser had written would be unknown.
    inline auto write_all(std::span<const std::byte> buffer, here where = here::current()) {
        return detail::send_all_op(handle_, buffer, where);
    }
    inline auto write_vectored(std::span<const std::span<const std::byte>> buffers,
                               here where = here::current()) {
        return detail::vectored_op(handle_, buffers, where);
    }
    result<> shutdown() const;
    [[nodiscard]] inline const io_handle& handle() const noexcept { return handle_; }
    [[nodiscard]] inline io_handle release() && noexcept { return std::move(handle_); }

private:
    void finish() noexcept;
    io_handle handle_;
};

/// A connected stream of bytes. Dropping it closes it. A default-made one is empty, and may only be
/// assigned to.
class tcp_stream {
public:
    using here = std::source_location;
    tcp_stream() noexcept = default;
    inline explicit tcp_stream(io_handle h) noexcept : handle_(std::move(h)) {}

    /// Waits until the connection stands. A stop gives it up and closes the socket. Not for select.
    /// Errors: connect(2), errc::invalid_address for a text that is no address (names are not
    /// resolved).
    static io_task<tcp_stream> connect(endpoint to, here where = here::current());
    static io_task<tcp_stream> connect(std::string address, here where = here::current());

    /// Waits for bytes: how many came, 0 at the end. Resumes on the task's executor. Lossless: a
    /// loser has read nothing. A stop withdraws it. Errors: recv(2), errc::closed after close().
    inline auto read(std::span<std::byte> buffer, here where = here::current()) {
        return detail::receive_op(handle_, buffer, 0, where);
    }
    /// As read, and leaves the bytes for the next read.
    inline auto peek(std::span<std::byte> buffer, here where = here::current()) {
        return detail::receive_op(handle_, buffer, tcp_reader::peek_flag(), where);
    }
    /// Fills the buffers in order; the first 16 count.
    inline auto read_vectored(std::span<const std::span<std::byte>> buffers,
                              here where = here::current()) {
        return detail::vectored_op(handle_, buffers, where);
    }
    /// Waits until some of the bytes are taken: how many. Lossless. Errors: send(2); SIGPIPE is not
    /// raised.
    inline auto write(std::span<const std::byte> buffer, here where = here::current()) {
        return detail::send_op(handle_, buffer, where);
    }
    /// Waits until all are taken. Not for select: how much a loser had written would be unknown.
    inline auto write_all(std::span<const std::byte> buffer, here where = here::current()) {
        return detail::send_all_op(handle_, buffer, where);
    }
    inline auto write_vectored(std::span<const std::span<const std::byte>> buffers,
                               here where = here::current()) {
        return detail::vectored_op(handle_, buffers, where);
    }

    /// Ends one side or both: the peer reads the end. Twice, or after a reset, is no error. Errors:
    /// shutdown(2).
    result<> shutdown(shutdown_side side) const;
    /// Ends what waits on the stream, in other tasks too, with errc::closed.
    inline void close() noexcept { handle_.close_now(); }
    /// Two halves that may live in two tasks.
    [[nodiscard]] std::pair<tcp_reader, tcp_writer> split() &&;
    /// Halves of one stream, together again; misuse for strangers.
    [[nodiscard]] static tcp_stream unsplit(tcp_reader reader, tcp_writer writer,
                                            here where = here::current());

    [[nodiscard]] result<endpoint> local() const;
    [[nodiscard]] result<endpoint> peer() const;
    [[nodiscard]] inline tcp_options options() const noexcept {
        return tcp_options(handle_.native());
    }
    [[nodiscard]] inline const io_handle& handle() const noexcept { return handle_; }

private:
    io_handle handle_;
};

}  // namespace rt
