// error: rt::allow_loss(std::move(x))
#include <chrono>
import rt;

rt::task<> f(rt::task<int> work) {
    (void)co_await rt::select(rt::allow_loss(work), rt::sleep(std::chrono::seconds(1)));
}
