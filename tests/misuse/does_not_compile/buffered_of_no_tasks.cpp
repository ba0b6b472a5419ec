// error: stream_of_tasks
#include <utility>
import rt;

void f(rt::receiver<int> rx) { (void)rt::buffered(std::move(rx), 8); }
