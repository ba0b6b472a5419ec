// error: an rt::task is awaited in a coroutine of rt, an rt::task or rt::stream
#include "support/foreign.hpp"
import rt;

rt::task<> works();

foreign f() { co_await works(); }
