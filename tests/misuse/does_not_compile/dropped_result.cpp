// error: ignoring return value of type 'result<
import rt;

rt::task<> f(rt::sender<int>& tx) { co_await tx.send(1); }
