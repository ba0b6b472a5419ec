// What the tests of sockets have in common: pairs of connected streams, bytes, and waiting without
// time.
#pragma once
#include "support/process.hpp"
#include "task/helpers.hpp"

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Two ends of one connection over the loopback interface.
struct tcp_pair {
    rt::tcp_stream near, far;
};

inline rt::task<rt::tcp_listener> listen(rt::bind_options options = {}) {
    co_return (co_await rt::tcp_listener::bind("127.0.0.1:0", options)).or_throw();
}
inline rt::task<rt::tcp_stream> connect_to(const rt::tcp_listener& listener) {
    co_return (co_await rt::tcp_stream::connect(listener.local().value())).or_throw();
}
inline rt::task<tcp_pair> make_pair_of(rt::tcp_listener& listener) {
    auto near = co_await connect_to(listener);
    auto far = (co_await listener.accept()).or_throw();
    co_return tcp_pair{std::move(near), std::move(far.stream)};
}
inline rt::task<tcp_pair> make_tcp_pair() {
    auto listener = co_await listen();
    co_return co_await make_pair_of(listener);
}

/// Writes back what it reads, until the peer has sent all.
inline rt::io_task<> echo(rt::tcp_stream peer) {
    std::array<std::byte, 512> buffer;
    while (auto n = co_await peer.read(buffer).or_return())
        co_await peer.write_all(std::span(buffer).first(n)).or_return();
    co_return {};
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string text_of(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
/// Bytes that tell their position.
inline std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> all(size);
    for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<std::byte>(i * 31 + (i >> 8) * 7);
    return all;
}
/// All up to the end.
inline rt::task<std::string> read_to_end(rt::tcp_stream& stream) {
    std::string all;
    std::vector<std::byte> buffer(64 * 1024);
    for (;;) {
        auto n = (co_await stream.read(buffer)).or_throw();
        if (n == 0) co_return all;
        all += text_of(std::span(buffer).first(n));
    }
}
/// Exactly so many bytes.
inline rt::task<std::string> read_text(rt::tcp_stream& stream, std::size_t size) {
    std::vector<std::byte> buffer(size);
    (co_await rt::read_exact(stream, buffer)).or_throw();
    co_return text_of(buffer);
}
/// Closes with a reset instead of an end.
inline void reset(rt::tcp_stream stream) {
    stream.options().linger({.on = true, .time = 0s}).value();
}

inline rt::task<> until(std::function<bool()> holds) {
    while (!holds()) co_await rt::yield_now();
}
/// Until the kernel (or epoll's reactor) holds so many operations.
inline rt::task<> until_in_flight(std::int64_t count) {
    while (rt::audit().operations_in_flight < count) co_await rt::yield_now();
}

/// Ends soon: an arm that wins after the others have been published.
inline rt::join_handle<void> soon() {
    return rt::spawn([]() -> rt::task<> { co_await rt::yield_now(); });
}
