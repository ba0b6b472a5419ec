// error: a permit that is dropped is given back at once
import rt;

rt::task<> f(rt::semaphore& places) { (co_await places.acquire()).value(); }
