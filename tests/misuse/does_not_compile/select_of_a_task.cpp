// error: if that is acceptable, say so: rt::allow_loss(...)
#include <chrono>
import rt;

rt::task<int> works();

rt::task<> f() { (void)co_await rt::select(works(), rt::sleep(std::chrono::seconds(1))); }
