// What a task costs from spawn to join: a thousand at a time.
#include "row.hpp"

#include <utility>
#include <vector>
import rt;

namespace {

constexpr int batch = 1000;

rt::task<int> works(int n) { co_return n; }

rt::task<> spawn_join(benchmark::State& state) {
    std::vector<rt::join_handle<int>> all;
    all.reserve(batch);
    for (auto _ : state) {
        for (int i = 0; i < batch; ++i) all.push_back(rt::spawn(works(i)));
        for (auto& task : all) benchmark::DoNotOptimize(co_await std::move(task));
        all.clear();
    }
}

rt::task<> spawn_group(benchmark::State& state) {
    for (auto _ : state) {
        (void)co_await rt::with_group([](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < batch; ++i) group.spawn(works(i));
            co_return;
        });
    }
}

/// From a thread that is not the runtime's, which waits for them in the end.
void spawn_outside(benchmark::State& state, rt::runtime& runtime) {
    std::vector<rt::join_handle<int>> all;
    all.reserve(batch);
    auto handle = runtime.handle();
    for (auto _ : state) {
        for (int i = 0; i < batch; ++i) all.push_back(handle.spawn(works(i)));
        runtime.block_on([](std::vector<rt::join_handle<int>>& all) -> rt::task<> {
            for (auto& task : all) benchmark::DoNotOptimize(co_await std::move(task));
        }(all));
        all.clear();
    }
}

const bench::row rows[] = {{"spawn_join", batch, spawn_join},
                           {"spawn_group", batch, spawn_group},
                           {"spawn_outside", batch, spawn_outside}};

}  // namespace
