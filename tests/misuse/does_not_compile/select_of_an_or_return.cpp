// error: an arm's or_return() has no coroutine of its own to end
#include <array>
#include <cstddef>
import rt;

rt::io_task<> f(rt::tcp_stream& peer) {
    std::array<std::byte, 8> buffer;
    (void)co_await rt::select(peer.read(buffer).or_return());
    co_return {};
}
