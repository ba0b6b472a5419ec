// What it costs to wait in a select, beside the same wait without one, and to be stopped.
#include "row.hpp"

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>
import rt;

using namespace std::chrono_literals;

namespace {

rt::task<> select_2_ready(benchmark::State& state) {
    rt::notify a, b;
    for (auto _ : state) {
        a.notify_one();
        b.notify_one();
        benchmark::DoNotOptimize(co_await rt::select(a.wait(), b.wait()));
    }
}

rt::task<> wakes(rt::notify& asked, rt::notify& answer, const bool& over) {
    for (;;) {
        co_await asked.wait();
        if (over) co_return;
        answer.notify_one();
    }
}

/// Another task wakes the first of its arms, which all wait. One arm: no select.
template <std::size_t... Others>
rt::task<> woken_with(benchmark::State& state, std::index_sequence<Others...>) {
    rt::notify asked, answer, never;
    bool over = false;
    auto other = rt::spawn(wakes(asked, answer, over));
    for (auto _ : state) {
        asked.notify_one();
        if constexpr (sizeof...(Others) == 0) {
            co_await answer.wait();
        } else {
            benchmark::DoNotOptimize(
                co_await rt::select(answer.wait(), (static_cast<void>(Others), never.wait())...));
        }
    }
    over = true;
    asked.notify_one();
    co_await std::move(other);
}
template <std::size_t Arms>
rt::task<> woken(benchmark::State& state) {
    return woken_with(state, std::make_index_sequence<Arms - 1>());
}

rt::task<> timeout_ready(benchmark::State& state) {
    rt::notify bell;
    for (auto _ : state) {
        bell.notify_one();
        benchmark::DoNotOptimize(co_await rt::timeout(1h, bell.wait()));
    }
}

constexpr std::size_t crowd = 10'000;

rt::task<> waits(rt::notify& never) { co_await never.wait(); }

/// The time is that of their stops and of their ends.
rt::task<> stop_suspended(benchmark::State& state) {
    rt::notify never;
    std::vector<rt::join_handle<>> all;
    all.reserve(crowd);
    for (auto _ : state) {
        state.PauseTiming();
        for (std::size_t i = 0; i < crowd; ++i) all.push_back(rt::spawn(waits(never)));
        for (int i = 0; i < 10; ++i) co_await rt::yield_now();
        state.ResumeTiming();
        for (auto& task : all) task.stop();
        for (auto& task : all)
            while (!task.done()) co_await rt::yield_now();
        all.clear();
    }
}

const bench::row rows[] = {
    {"select_2_ready", select_2_ready}, {"wait_woken", woken<1>},
    {"select_2_woken", woken<2>},       {"select_8_woken", woken<8>},
    {"timeout_ready", timeout_ready},   {"stop_suspended", crowd, stop_suspended}};

}  // namespace
