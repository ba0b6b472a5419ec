// error: or_return() ends a coroutine that returns a result: make it rt::io_task<T>
#include <array>
#include <cstddef>
import rt;

rt::task<> f(rt::tcp_stream& peer) {
    std::array<std::byte, 8> buffer;
    (void)co_await peer.read(buffer).or_return();
}
