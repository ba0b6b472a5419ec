// error: if that is acceptable, say so: rt::allow_loss(...)
#include <chrono>
import rt;

rt::task<> f(rt::stream<int>& values) {
    (void)co_await rt::select(values.next(), rt::sleep(std::chrono::seconds(1)));
}
