// error: f returns a value; to do something with each, loop
#include <utility>
import rt;

void f(rt::receiver<int> rx) {
    (void)rt::map(std::move(rx), [](int) {});
}
