// The rows that run in one process: each on a runtime of both flavors with 1 and 2 workers, as
// NAME/FLAVOR/WORKERS. What is timed is the loop over its state; an iteration may be many
// operations, and the row says how many.
//
// RT_BENCH_COUNT=N counts in the place of timing (bench/count): each row of one worker runs a few
// iterations, and then those and about N operations more, so that the difference of the two runs is
// that of the operations and of nothing else. Under callgrind each run leaves a file with its
// instructions. What is driven from outside of the runtime is not counted: it depends on the turns
// that two threads take.
#pragma once
#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
import rt;

namespace bench {

using inner = std::function<rt::task<>(benchmark::State&)>;
/// For what is driven from outside of the runtime.
using outer = std::function<void(benchmark::State&, rt::runtime&)>;

/// by_row: once, by what the row gives to SetIterationTime(), which may stand for bytes. It is not
/// counted.
enum class measured { by_clock, by_row };

struct row {
    row(const std::string& name, std::int64_t operations, const inner& what,
        measured how = measured::by_clock);
    row(const std::string& name, std::int64_t operations, const outer& what);
    row(const std::string& name, const inner& what) : row(name, 1, what) {}
};

}  // namespace bench
