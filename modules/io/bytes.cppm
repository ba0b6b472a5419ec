// Readers and writers of bytes, and what can be built on any of them.
//
// A read or write borrows its buffer: when the await returns, on success, error and stop alike,
// nobody else touches it.
module;
#include <algorithm>
#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <string_view>
#include <system_error>
export module rt.io:bytes;
import rt.task;

export namespace rt {

/// co_await r.read(buffer) gives result<std::size_t>: how much came, 0 at the end. Short reads are
/// no error.
template <class R>
concept reader = requires(R& r, std::span<std::byte> buffer) {
    requires std::same_as<await_result_t<decltype(r.read(buffer))>, result<std::size_t>>;
};

/// co_await w.write(buffer) gives result<std::size_t>: how much was taken, at least 1 unless the
/// buffer is empty.
template <class W>
concept writer = requires(W& w, std::span<const std::byte> buffer) {
    requires std::same_as<await_result_t<decltype(w.write(buffer))>, result<std::size_t>>;
};

/// The bytes of a text, to be written: peer.write_all(rt::as_bytes("hello")). They are borrowed.
inline std::span<const std::byte> as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}

namespace detail {
/// A reader or writer that reports more than it was given would corrupt memory: misuse.
inline std::size_t checked_count(std::size_t count, std::size_t given,
                                 std::source_location where) noexcept {
    if (count > given) misuse("a reader or writer reports more bytes than it was given", where);
    return count;
}
}  // namespace detail

/// Fills the buffer. errc::unexpected_end when the stream ends before; *received tells how much
/// came in any case. Stopped in the middle, what came is in the buffer and lost to the stream: so
/// it may not lose a select.
template <reader R>
io_task<> read_exact(R& from, std::span<std::byte> buffer, std::size_t* received = nullptr,
                     std::source_location where = std::source_location::current()) {
    std::size_t filled = 0;
    if (received) *received = 0;
    while (filled < buffer.size()) {
        auto rest = buffer.subspan(filled);
        auto n = detail::checked_count(co_await from.read(rest).or_return(), rest.size(), where);
        if (n == 0) co_return errc::unexpected_end;
        filled += n;
        if (received) *received = filled;
    }
    co_return {};
}

/// Writes all of the buffer. It may not lose a select: how much was written would be unknown.
template <writer W>
io_task<> write_all(W& to, std::span<const std::byte> buffer,
                    std::source_location where = std::source_location::current()) {
    while (!buffer.empty()) {
        auto n = detail::checked_count(co_await to.write(buffer).or_return(), buffer.size(), where);
        buffer = buffer.subspan(n);
    }
    co_return {};
}

/// From a reader to a writer until the reader ends: how much went across.
template <reader R, writer W>
io_task<std::uint64_t> copy(R& from, W& to,
                            std::source_location where = std::source_location::current()) {
    constexpr std::size_t room = 16 * 1024;
    auto buffer = std::make_unique_for_overwrite<std::byte[]>(room);
    std::uint64_t total = 0;
    for (;;) {
        std::span all(buffer.get(), room);
        auto n = detail::checked_count(co_await from.read(all).or_return(), room, where);
        if (n == 0) co_return total;
        co_await write_all(to, all.first(n), where).or_return();
        total += n;
    }
}

}  // namespace rt
