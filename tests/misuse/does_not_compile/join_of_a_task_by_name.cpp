// error: pass f() itself, or std::move(task)
import rt;

rt::task<> f(rt::task<int> one, rt::task<int> two) { (void)co_await rt::join(one, two); }
