// error: a task does nothing until it is co_awaited or spawned
import rt;

rt::task<int> works();

void f() { works(); }
