// error: rt::select takes 1 to 64 arms
#include <chrono>
#include <cstddef>
#include <utility>
import rt;

template <std::size_t... I>
rt::task<> f(std::index_sequence<I...>) {
    (void)co_await rt::select(rt::sleep(std::chrono::seconds(I))...);
}
rt::task<> g() { return f(std::make_index_sequence<65>()); }
