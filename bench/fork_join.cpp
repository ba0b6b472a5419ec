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

/// The queens that stand already, in bits.
struct board {
    int size, row;
    std::uint32_t columns, down, up;
};
rt::task<std::int64_t> queens(board b) {
    if (b.row == b.size) co_return 1;
    std::array<rt::join_handle<std::int64_t>, 16> parts;
    std::size_t n = 0;
    for (int c = 0; c < b.size; ++c) {
        auto column = 1u << c, down = 1u << (c + b.row), up = 1u << (c - b.row + b.size - 1);
        if ((b.columns & column) || (b.down & down) || (b.up & up)) continue;
        parts[n++] =
            rt::spawn(queens({b.size, b.row + 1, b.columns | column, b.down | down, b.up | up}));
    }
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += co_await std::move(parts[i]);
    co_return sum;
}

template <int N>
rt::task<> queens_of(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await queens({N, 0, 0, 0, 0}));
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
const bench::row rows[] = {
    {"fib_20", 10'946, fibs<20>},          {"fib_30", 1'346'269, fibs<30>},
    {"skynet_1e3", 1'110, skynets<1'000>}, {"skynet_1e6", 1'111'110, skynets<1'000'000>},
    {"queens_6", 153, queens_of<6>},       {"queens_11", 166'926, queens_of<11>}};

}  // namespace
