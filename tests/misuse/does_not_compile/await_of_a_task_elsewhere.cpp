// error: an rt::task is awaited in a coroutine of rt, an rt::task or rt::stream
#include <coroutine>
import rt;

struct foreign {
    struct promise_type {
        foreign get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

rt::task<> works();

foreign f() { co_await works(); }
