// error: await a task (co_await f(), with the parentheses)
import rt;

rt::task<int> works();

rt::task<> f() { (void)co_await works; }
