// error: if that is acceptable, say so: rt::allow_loss(...)
#include <chrono>
#include <string_view>
import rt;

rt::task<> f(rt::tcp_stream& peer) {
    (void)co_await rt::select(peer.write_all(rt::as_bytes("hello")),
                              rt::sleep(std::chrono::seconds(1)));
}
