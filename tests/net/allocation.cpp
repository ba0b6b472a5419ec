// A round trip of an echo server costs no allocation, on either reactor.
#include "net/helpers.hpp"
#include "support/allocations.hpp"

#include <array>

namespace {

class NetAllocation : public testing::TestWithParam<rt::reactor_kind> {};
INSTANTIATE_TEST_SUITE_P(Each, NetAllocation,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](const auto& info) {
                             return info.param == rt::reactor_kind::epoll ? "epoll" : "uring";
                         });

rt::task<long> round_trips(rt::tcp_stream& stream, int n) {
    std::array<std::byte, 64> buffer{};
    auto before = taken;
    for (int i = 0; i < n; ++i) {
        (co_await stream.write_all(buffer)).or_throw();
        (co_await rt::read_exact(stream, buffer)).or_throw();
    }
    co_return taken - before;
}

// One thread does the work of both ends, so its own counter sees it all.
TEST_P(NetAllocation, an_echo_round_trip_allocates_nothing) {
    auto runtime = rt::runtime::builder().current_thread().reactor(GetParam()).build();
    auto body = []() -> rt::task<long> {
        auto [near, far] = co_await make_tcp_pair();
        auto server = rt::spawn(echo(std::move(far)));
        co_await round_trips(near, 100);  // frames find their sizes
        auto allocations = co_await round_trips(near, 1000);
        (void)near.shutdown(rt::shutdown_side::write);
        (co_await server).or_throw();
        co_return allocations;
    };
    if (sanitized) GTEST_SKIP() << "nothing is counted under the sanitizers";
    EXPECT_EQ(runtime.block_on(body()), 0);
}

}  // namespace
