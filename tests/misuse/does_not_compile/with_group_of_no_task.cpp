// error: the body of rt::with_group takes a group and gives a task
import rt;

rt::task<> f() {
    co_await rt::with_group([](rt::task_group&) {});
}
