// A value costs no allocation on its way through adaptors, whether it is there or is waited for.
#include "stream/helpers.hpp"
#include "support/allocations.hpp"

#include <functional>
#include <optional>
#include <variant>

namespace {

/// One thread does all the work, so its own counter sees it all.
TEST(StreamAllocation, adaptors_allocate_nothing_for_a_value_b82_b83) {
    auto runtime = rt::runtime::builder().current_thread().build();
    runtime.block_on([]() -> rt::task<> {
        auto [to_a, a] = rt::channel<int>(4);
        auto [to_b, b] = rt::channel<int>(4);
        auto even = [](int i) { return i % 2 == 0; };
        auto all = rt::map(rt::merge(rt::filter(std::move(a), even), std::move(b)), std::negate{});
        auto echo = rt::spawn([&]() -> rt::task<> {
            for (;;) {
                co_await rt::yield_now();
                (void)to_a.try_send(2);
            }
        });
        for (int i = 0; i < 3; ++i) {  // the first rounds warm up
            auto before = taken;
            for (int k = 0; k < 100; ++k) {
                (void)to_a.try_send(1);
                (void)to_b.try_send(2);
                auto first = co_await rt::select(all.next(), rt::sleep(24h));
                EXPECT_EQ(std::get<0>(first), -2);
                EXPECT_EQ(co_await all.next(), -2);
                EXPECT_EQ(co_await all.next(), -2);
            }
            if (i > 0) EXPECT_EQ(taken - before, 0);
        }
    }());
}

}  // namespace
