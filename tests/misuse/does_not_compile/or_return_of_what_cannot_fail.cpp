// error: this one cannot fail: co_await it as it is
#include <chrono>
import rt;

rt::io_task<> f() {
    co_await rt::sleep(std::chrono::seconds(1)).or_return();
    co_return {};
}
