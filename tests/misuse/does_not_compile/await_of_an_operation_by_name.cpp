// error: an operation is awaited once, where it is made
#include <chrono>
import rt;

rt::task<> f() {
    auto limit = rt::sleep(std::chrono::seconds(1));
    co_await limit;
}
