// error: or_throw() needs an operation that gives an rt::result
import rt;

rt::task<> f(rt::receiver<int>& rx) { (void)co_await rx.recv().or_throw(); }
