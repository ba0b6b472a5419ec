// error: it does nothing until it is co_awaited
#include <chrono>
import rt;

void f() { rt::sleep(std::chrono::seconds(1)); }
