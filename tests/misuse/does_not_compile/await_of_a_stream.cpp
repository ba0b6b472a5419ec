// error: or the next() of a stream
import rt;

rt::task<> f(rt::stream<int>& values) { (void)co_await values; }
