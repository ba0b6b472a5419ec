// The trees of bench/fork_join.cpp, for oneTBB: rows ROW WORKERS [SECONDS] prints the nanoseconds
// of an operation, as the rows of the other peers do.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

std::int64_t fib(int n) {
    if (n < 2) return n;
    std::int64_t left = 0;
    tbb::task_group group;
    group.run([&] { left = fib(n - 1); });
    auto right = fib(n - 2);
    group.wait();
    return left + right;
}

std::int64_t skynet(std::int64_t from, std::int64_t size) {
    if (size == 1) return from;
    std::array<std::int64_t, 10> parts{};
    tbb::task_group group;
    for (std::int64_t i = 0; i < 10; ++i)
        group.run([&, i] {
            parts[static_cast<std::size_t>(i)] = skynet(from + i * size / 10, size / 10);
        });
    group.wait();
    std::int64_t sum = 0;
    for (auto part : parts) sum += part;
    return sum;
}

struct board {
    int size, row;
    std::uint32_t columns, down, up;
};
std::int64_t queens(board b) {
    if (b.row == b.size) return 1;
    std::array<std::int64_t, 32> parts{};
    int n = 0;
    tbb::task_group group;
    for (int c = 0; c < b.size; ++c) {
        auto column = 1u << c, down = 1u << (c + b.row), up = 1u << (c - b.row + b.size - 1);
        if ((b.columns & column) || (b.down & down) || (b.up & up)) continue;
        board next{b.size, b.row + 1, b.columns | column, b.down | down, b.up | up};
        group.run([&parts, next, n] { parts[static_cast<std::size_t>(n)] = queens(next); });
        ++n;
    }
    group.wait();
    std::int64_t sum = 0;
    for (int i = 0; i < n; ++i) sum += parts[static_cast<std::size_t>(i)];
    return sum;
}

struct row {
    const char* name;
    double operations;
    std::int64_t (*run)();
    std::int64_t gives;
};
const row rows[] = {{"fib_30", 1'346'269, [] { return fib(30); }, 832'040},
                    {"skynet_1e6", 1'111'110, [] { return skynet(0, 1'000'000); }, 499'999'500'000},
                    {"queens_11", 166'926, [] { return queens({11, 0, 0, 0, 0}); }, 2'680}};

}  // namespace

int main(int argc, char** argv) {
    const row* wanted = nullptr;
    for (auto& r : rows) {
        if (argc < 2) std::puts(r.name);
        if (argc > 1 && std::strcmp(argv[1], r.name) == 0) wanted = &r;
    }
    if (argc < 2) return 0;
    if (wanted == nullptr) {
        std::fprintf(stderr, "rows: no row '%s'; without arguments they are listed\n", argv[1]);
        return 2;
    }
    int workers = argc > 2 ? std::atoi(argv[2]) : 1;
    double seconds = argc > 3 ? std::atof(argv[3]) : 0.3;
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                              static_cast<std::size_t>(workers));
    tbb::task_arena arena(workers);
    for (long times = 1;; times *= 2) {
        auto begin = std::chrono::steady_clock::now();
        for (long i = 0; i < times; ++i)
            if (arena.execute(wanted->run) != wanted->gives) return 1;
        std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        if (took.count() < seconds) continue;
        std::printf("%.3f\n",
                    took.count() * 1e9 / (static_cast<double>(times) * wanted->operations));
        return 0;
    }
}
