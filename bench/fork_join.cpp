// Trees of tasks: a group for each inner node, as the users of such benchmarks write them.
#include "row.hpp"

#include <array>
#include <cstdint>
import rt;

namespace {

/// One half is spawned, the other one is awaited here.
rt::task<std::int64_t> fib(int n) {
    if (n < 2) co_return n;
    auto left = rt::spawn(fib(n - 1));
    auto right = co_await fib(n - 2);
    co_return right + co_await std::move(left);
}

rt::task<std::int64_t> skynet(std::int64_t from, std::int64_t size) {
    if (size == 1) co_return from;
    std::array<rt::join_handle<std::int64_t>, 10> parts;
    for (std::int64_t i = 0; i < 10; ++i)
        parts[static_cast<std::size_t>(i)] = rt::spawn(skynet(from + i * size / 10, size / 10));
    std::int64_t sum = 0;
    for (auto& part : parts) sum += co_await std::move(part);
    co_return sum;
}

template <int N>
rt::task<> fibs(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await fib(N));
}
template <std::int64_t Leaves>
rt::task<> skynets(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await skynet(0, Leaves));
}

// The operations are the tasks.
const bench::row rows[] = {{"fib_20", 10'946, fibs<20>},
                           {"fib_30", 1'346'269, fibs<30>},
                           {"skynet_1e3", 1'110, skynets<1'000>},
                           {"skynet_1e6", 1'111'110, skynets<1'000'000>}};

}  // namespace
