#include "row.hpp"

#include "../tests/support/allocations.hpp"

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

/// Iterations to count; 0: time them.
std::int64_t counted() {
    const char* n = std::getenv("RT_BENCH_COUNT");
    return n ? std::atoll(n) : 0;
}

void add(const std::string& name, std::int64_t operations, unsigned workers, const outer& what) {
    for (auto flavor : {rt::runtime_flavor::work_stealing, rt::runtime_flavor::thread_per_core}) {
        bool stealing = flavor == rt::runtime_flavor::work_stealing;
        auto full = name + (stealing ? "/stealing/" : "/per_core/") + std::to_string(workers);
        auto timed = [=](benchmark::State& state) {
            auto runtime = rt::runtime::builder().flavor(flavor).workers(workers).build();
            what(state, runtime);
            state.SetItemsProcessed(state.iterations() * operations);
        };
        if (counted() == 0) {
            benchmark::RegisterBenchmark(full.c_str(), timed)
                ->UseRealTime()
                ->MeasureProcessCPUTime();
            continue;
        }
        if (workers != 1) continue;
        for (auto [run, factor] : {std::pair("/few", 1), std::pair("/many", 11)}) {
            auto label = full + run;
            auto once = [=](benchmark::State& state) {
                CALLGRIND_ZERO_STATS;
                timed(state);
                CALLGRIND_DUMP_STATS_AT(label.c_str());
                state.counters["operations"] = static_cast<double>(state.iterations() * operations);
            };
            benchmark::RegisterBenchmark(label.c_str(), once)->Iterations(counted() * factor);
        }
    }
}

}  // namespace

row::row(const std::string& name, std::int64_t operations, const outer& what) {
    for (unsigned workers : {1u, 2u}) add(name, operations, workers, what);
}

row::row(const std::string& name, std::int64_t operations, const inner& what)
    : row(name, operations, [=](benchmark::State& state, rt::runtime& runtime) {
          long allocations = 0;
          runtime.block_on([](auto& what, auto& state, long& allocations) -> rt::task<> {
              auto before = ::taken;
              co_await what(state);
              allocations = ::taken - before;
          }(what, state, allocations));
          // Of one thread: where there are two workers, nobody knows of which.
          if (runtime.worker_count() == 1)
              state.counters["allocations"] = static_cast<double>(allocations);
      }) {}

}  // namespace bench
