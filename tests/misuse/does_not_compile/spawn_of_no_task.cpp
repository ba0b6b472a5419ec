// error: rt::spawn runs a task, or a callable that gives one
import rt;

void f() {
    rt::spawn([] {});
}
