// error: an rt::stream yields values
import rt;

void f(rt::stream<int&> values) { (void)values.next(); }
