// error: put tasks into an rt::join_set
#include <utility>
#include <vector>
import rt;

rt::task<> f(std::vector<rt::task<int>> tasks) { (void)co_await rt::select_any(std::move(tasks)); }
