// An echo server: what comes is sent back, on as many connections as come.
#include <array>
#include <span>

#include "options.hpp"

rt::io_task<> echo(rt::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    // Each connection is a task that reads as if it were alone. The buffer is lent to the kernel
    // while the task waits, and is free again when the await returns.
    while (auto n = co_await peer.read(buffer).or_return())  // 0: the peer is done
        co_await peer.write_all(std::span(buffer).first(n)).or_return();
    co_return {};
}  // the stream goes with its frame, and closes

int main(int argc, char** argv) {
    options given(argc, argv);
    // One listener per worker; a connection stays on the worker that accepted it (thread per core),
    // or runs where there is room (work stealing).
    return given.run(rt::serve_each(given.at, echo, {.on_listening = say_listening}));
}
