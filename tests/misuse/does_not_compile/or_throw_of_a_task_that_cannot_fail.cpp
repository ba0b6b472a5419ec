// error: or_throw() needs an rt::io_task<T>
import rt;

rt::task<int> works();

rt::task<> f() { (void)co_await works().or_throw(); }
