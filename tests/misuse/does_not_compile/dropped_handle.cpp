// error: a dropped join_handle stops its task: keep it, await it, or detach() it
import rt;

rt::task<int> works();

void f() { rt::spawn(works()); }
