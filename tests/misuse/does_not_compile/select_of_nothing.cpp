// error: rt::select takes 1 to 64 arms
import rt;

rt::task<> f() { co_await rt::select(); }
