// What a timer costs that is cancelled, as most are; alone, and among very many.
#include "row.hpp"

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>
import rt;

using namespace std::chrono_literals;

namespace {

rt::task<> cancelled(benchmark::State& state) {
    rt::notify bell;
    for (auto _ : state) {
        bell.notify_one();
        benchmark::DoNotOptimize(co_await rt::select(rt::biased, rt::sleep(1h), bell.wait()));
    }
}

constexpr std::size_t mass = 10'000;

/// Tasks that sleep, and are stopped.
rt::task<> mass_of_sleeps(benchmark::State& state) {
    std::vector<rt::join_handle<>> all;
    all.reserve(mass);
    for (auto _ : state) {
        for (std::size_t i = 0; i < mass; ++i)
            all.push_back(rt::spawn(
                [](std::size_t i) -> rt::task<> { co_await rt::sleep(1h + i * 1ms); }(i)));
        for (int i = 0; i < 3; ++i) co_await rt::yield_now();
        for (auto& task : all) task.stop();
        for (auto& task : all) benchmark::DoNotOptimize(co_await task.outcome());
        all.clear();
    }
}

const bench::row rows[] = {{"timer_cancel", cancelled}, {"timer_mass", mass, mass_of_sleeps}};

}  // namespace
