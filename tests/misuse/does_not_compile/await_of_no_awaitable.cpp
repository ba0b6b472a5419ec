// error: this cannot be awaited
import rt;

rt::task<> f() { co_await 42; }
