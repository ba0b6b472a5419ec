// error: this cannot be awaited: give a task (f(), with the parentheses) or an operation
import rt;

rt::task<int> works();

rt::task<> f() { (void)co_await rt::shield(works); }
