// error: send a pointer or a std::reference_wrapper instead of a reference
import rt;

void f() { (void)rt::channel<int&>(1); }
