// What giving way costs, alone and among others.
#include "row.hpp"

#include <string>
#include <vector>
import rt;

namespace {

constexpr int turns = 100;

rt::task<> gives_way() {
    for (int i = 0; i < turns; ++i) co_await rt::yield_now();
}

bench::row yields(int tasks) {
    return {"yield_" + std::to_string(tasks), turns * tasks,
            [tasks](benchmark::State& state) -> rt::task<> {
                for (auto _ : state) {
                    (void)co_await rt::with_group([tasks](rt::task_group& group) -> rt::task<> {
                        for (int i = 0; i < tasks; ++i) group.spawn(gives_way());
                        co_return;
                    });
                }
            }};
}

const bench::row rows[] = {yields(1), yields(100), yields(10'000)};

}  // namespace
