// error: this arm cannot be awaited: give an operation, or a task (f(), with the parentheses)
#include <chrono>
import rt;

rt::task<int> works();

rt::task<> f() { (void)co_await rt::select(works, rt::sleep(std::chrono::seconds(1))); }
