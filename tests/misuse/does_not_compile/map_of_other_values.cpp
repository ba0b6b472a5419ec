// error: f takes a value of the stream
#include <string>
#include <utility>
import rt;

void f(rt::receiver<int> rx) {
    (void)rt::map(std::move(rx), [](std::string text) { return text; });
}
