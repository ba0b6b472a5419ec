// error: a guard that is dropped unlocks at once
import rt;

rt::task<> f(rt::mutex& m) { co_await m.lock(); }
