// error: a task is awaited once: co_await std::move(task), or co_await f()
import rt;

rt::task<int> f(rt::task<int> work) {
    co_await work;
    co_return co_await work;
}
