// error: keep(const value&) returns a bool
#include <utility>
import rt;

void f(rt::receiver<int> rx) {
    (void)rt::filter(std::move(rx), [](int) {});
}
