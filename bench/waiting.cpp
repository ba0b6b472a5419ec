// What it costs to wait: each row beside an await of a task that is ready, with its allocations.
#include "../tests/support/allocations.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>
import rt;

using namespace std::chrono_literals;

namespace {

/// Counts the allocations of a loop, once it is warm.
class counted {
public:
    explicit counted(benchmark::State& state) : state_(state), before_(::taken) {}
    ~counted() {
        state_.counters["allocations"] = benchmark::Counter(static_cast<double>(::taken - before_),
                                                            benchmark::Counter::kAvgIterations);
    }

private:
    benchmark::State& state_;
    long before_;
};

rt::task<int> ready() { co_return 1; }

rt::task<> await_ready_task(benchmark::State& state) {
    benchmark::DoNotOptimize(co_await ready());
    counted here(state);
    for (auto _ : state) benchmark::DoNotOptimize(co_await ready());
}

rt::task<> select_two_ready(benchmark::State& state) {
    rt::notify a, b;
    counted here(state);
    for (auto _ : state) {
        a.notify_one();
        b.notify_one();
        benchmark::DoNotOptimize(co_await rt::select(a.wait(), b.wait()));
    }
}

/// Another task wakes one of two arms that wait; and what the two wakes cost without a select.
rt::task<> wakes(rt::notify& asked, rt::notify& answer, const bool& over) {
    for (;;) {
        co_await asked.wait();
        if (over) co_return;
        answer.notify_one();
    }
}
template <bool Selects>
rt::task<> woken(benchmark::State& state) {
    rt::notify asked, answer, never;
    bool over = false;
    auto other = rt::spawn(wakes(asked, answer, over));
    for (int i = 0; i < 10; ++i) co_await rt::yield_now();
    {
        counted here(state);
        for (auto _ : state) {
            asked.notify_one();
            if constexpr (Selects) {
                benchmark::DoNotOptimize(co_await rt::select(answer.wait(), never.wait()));
            } else {
                co_await answer.wait();
            }
        }
    }
    over = true;
    asked.notify_one();
    co_await other;
}

rt::task<> timeout_around_ready(benchmark::State& state) {
    rt::notify bell;
    bell.notify_one();
    benchmark::DoNotOptimize(co_await rt::timeout(1h, bell.wait()));
    counted here(state);
    for (auto _ : state) {
        bell.notify_one();
        benchmark::DoNotOptimize(co_await rt::timeout(1h, bell.wait()));
    }
}

/// A task each, suspended; the time is that of their stops and of their ends.
rt::task<> stop_suspended(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    rt::notify never;
    long stopped = 0;
    for (auto _ : state) {
        state.PauseTiming();
        std::vector<rt::join_handle<>> all;
        all.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
            all.push_back(
                rt::spawn([](rt::notify& never) -> rt::task<> { co_await never.wait(); }(never)));
        for (int i = 0; i < 10; ++i) co_await rt::yield_now();
        auto before = ::taken;
        state.ResumeTiming();
        for (auto& t : all) t.stop();
        for (auto& t : all)
            while (!t.done()) co_await rt::yield_now();
        stopped += ::taken - before;
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
    state.counters["allocations"] =
        static_cast<double>(stopped) / static_cast<double>(state.iterations() * state.range(0));
}

void on_one_thread(benchmark::State& state, rt::task<> (*body)(benchmark::State&)) {
    rt::runtime::builder().current_thread().build().block_on(body(state));
}

BENCHMARK_CAPTURE(on_one_thread, await_ready_task, await_ready_task);
BENCHMARK_CAPTURE(on_one_thread, select_two_ready, select_two_ready);
BENCHMARK_CAPTURE(on_one_thread, wait_woken, woken<false>);
BENCHMARK_CAPTURE(on_one_thread, select_woken, woken<true>);
BENCHMARK_CAPTURE(on_one_thread, timeout_around_ready, timeout_around_ready);
BENCHMARK_CAPTURE(on_one_thread, stop_suspended, stop_suspended)->Arg(100'000);

}  // namespace
