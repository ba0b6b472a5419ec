// error: send a std::unique_ptr of what may throw
import rt;

struct value {
    value() = default;
    value(value&&) noexcept(false);
};

void f() { (void)rt::channel<value>(1); }
