// What it costs to await a task: one that is ready, one that suspends, a hundred deep, and one that
// fails through frames.
#include "row.hpp"

#include <stdexcept>
#include <string>
#include <system_error>
import rt;

namespace {

rt::task<int> ready() { co_return 1; }

rt::task<int> through(int frames) {
    if (frames == 1) co_return 1;
    co_return co_await through(frames - 1);
}

rt::io_task<int> fails(int frames) {
    if (frames == 1) co_return std::make_error_code(std::errc::timed_out);
    co_return co_await fails(frames - 1).or_return();
}

rt::task<int> throws(int frames) {
    if (frames == 1) throw std::runtime_error("");
    co_return co_await throws(frames - 1);
}

rt::task<> await_ready(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await ready());
}

rt::task<> suspends() { co_await rt::yield_now(); }
rt::task<> await_suspended(benchmark::State& state) {
    for (auto _ : state) co_await suspends();
}

rt::task<> await_100_deep(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(co_await through(100));
}

bench::row errors(int frames) {
    return {"error_" + std::to_string(frames), [frames](benchmark::State& state) -> rt::task<> {
                for (auto _ : state) benchmark::DoNotOptimize((co_await fails(frames)).error());
            }};
}

bench::row exceptions(int frames) {
    return {"exception_" + std::to_string(frames), [frames](benchmark::State& state) -> rt::task<> {
                for (auto _ : state) {
                    try {
                        benchmark::DoNotOptimize(co_await throws(frames));
                    } catch (const std::exception&) {
                    }
                }
            }};
}

const bench::row rows[] = {{"await_ready", await_ready},
                           {"await_suspended", await_suspended},
                           {"await_100_deep", await_100_deep},
                           errors(1),
                           errors(8),
                           exceptions(1),
                           exceptions(8)};

}  // namespace
