// error: this is awaited in a coroutine of rt, an rt::task or rt::stream
#include "support/foreign.hpp"
import rt;

rt::task<> works();

foreign f() { (void)co_await rt::join(works(), works()); }
