#include "row.hpp"

#include "../tests/support/allocations.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif
import rt;

namespace bench {

namespace {

/// Operations to count in a row; 0: time it.
std::int64_t to_count() {
    const char* n = std::getenv("RT_BENCH_COUNT");
    return n ? std::atoll(n) : 0;
}

template <class F>
void each_way(const std::string& name, F f) {
    for (unsigned workers : {1u, 2u}) {
        f(name + "/stealing/" + std::to_string(workers), rt::runtime_flavor::work_stealing,
          workers);
        f(name + "/per_core/" + std::to_string(workers), rt::runtime_flavor::thread_per_core,
          workers);
    }
}

rt::runtime made(rt::runtime_flavor flavor, unsigned workers) {
    return rt::runtime::builder().flavor(flavor).workers(workers).build();
}

struct allocated {
    long times = 0, bytes = 0;
};
rt::task<> run(const inner& what, benchmark::State& state, allocated& by_it) {
    allocated before{::taken, ::taken_bytes};
    co_await what(state);
    by_it = {::taken - before.times, ::taken_bytes - before.bytes};
}

void count(const std::string& name, rt::runtime_flavor flavor, std::int64_t operations,
           const inner& what) {
    auto few = std::max<std::int64_t>(1, to_count() / 10 / operations);
    auto more = std::max<std::int64_t>(1, to_count() / operations);
    for (auto [label, iterations] :
         {std::pair(name + ",few", few), std::pair(name + ",many", few + more)}) {
        auto counted = [=](benchmark::State& state) {
            allocated by_it;
            CALLGRIND_ZERO_STATS;
            made(flavor, 1).block_on(run(what, state, by_it));
            CALLGRIND_DUMP_STATS_AT(label.c_str());
            state.counters["operations"] = static_cast<double>(iterations * operations);
            state.counters["allocations"] = static_cast<double>(by_it.times);
            state.counters["bytes"] = static_cast<double>(by_it.bytes);
        };
        benchmark::RegisterBenchmark(label.c_str(), counted)->Iterations(iterations);
    }
}

}  // namespace

namespace {

void time(const std::string& name, std::int64_t operations, const outer& what, measured how) {
    if (to_count() != 0) return;
    each_way(name, [&](const std::string& full, auto flavor, unsigned workers) {
        auto timed = [=](benchmark::State& state) {
            auto runtime = made(flavor, workers);
            what(state, runtime);
            state.SetItemsProcessed(state.iterations() * operations);
        };
        auto* row = benchmark::RegisterBenchmark(full.c_str(), timed);
        if (how == measured::by_row) {
            row->UseManualTime()->Iterations(1);
        } else {
            row->UseRealTime()->MeasureProcessCPUTime();
        }
    });
}

}  // namespace

row::row(const std::string& name, std::int64_t operations, const outer& what) {
    time(name, operations, what, measured::by_clock);
}

row::row(const std::string& name, std::int64_t operations, const inner& what, measured how) {
    auto from_outside = [=](benchmark::State& state, rt::runtime& runtime) {
        allocated by_it;
        runtime.block_on(run(what, state, by_it));
    };
    time(name, operations, from_outside, how);
    constexpr std::int64_t most = 20'000;  // a smaller one stands for those with more
    if (to_count() == 0 || operations > most || how == measured::by_row) return;
    each_way(name, [&](const std::string& full, auto flavor, unsigned workers) {
        if (workers == 1) count(full, flavor, operations, what);
    });
}

}  // namespace bench
