// error: this task gives no rt::result, so co_await it as it is
import rt;

rt::task<int> works();

rt::io_task<int> f() { co_return co_await works().or_return(); }
