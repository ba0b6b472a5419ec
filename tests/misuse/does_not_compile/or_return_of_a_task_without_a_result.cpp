// error: or_return() ends a coroutine that returns a result: make it rt::io_task<T>
import rt;

rt::io_task<int> reads();

rt::task<> f() { (void)co_await reads().or_return(); }
