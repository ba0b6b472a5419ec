// error: make it in the select, or std::move(op)
#include <chrono>
import rt;

rt::task<> f(rt::receiver<int>& rx) {
    auto limit = rt::sleep(std::chrono::seconds(1));
    (void)co_await rt::select(rx.recv(), limit);
}
