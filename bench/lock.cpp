// What a mutex costs that is free, that eight tasks want, and that eight tasks hold across a yield;
// and what it costs to wake one task, or very many.
#include "row.hpp"

#include <atomic>
#include <cstdint>
import rt;

namespace {

constexpr int turns = 100;

rt::task<> lock_free(benchmark::State& state) {
    rt::mutex mutex;
    for (auto _ : state) {
        auto guard = co_await mutex.lock();
        benchmark::DoNotOptimize(guard);
    }
}

template <bool Yields>
rt::task<> locks(rt::mutex& mutex) {
    for (int i = 0; i < turns; ++i) {
        auto guard = co_await mutex.lock();
        if constexpr (Yields) co_await rt::yield_now();
    }
}

template <bool Yields>
rt::task<> lock_8(benchmark::State& state) {
    rt::mutex mutex;
    for (auto _ : state) {
        (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < 8; ++i) group.spawn(locks<Yields>(mutex));
            co_return;
        });
    }
}

constexpr std::int64_t crowd = 10'000;

rt::task<> waits(rt::notify& bell, std::atomic<std::int64_t>& there,
                 std::atomic<std::int64_t>& gone) {
    ++there;
    co_await bell.wait();
    ++gone;
}

/// They are spawned before the clock goes on; what is timed is the wake of all and their ends.
rt::task<> notify_all(benchmark::State& state) {
    for (auto _ : state) {
        rt::notify bell;
        std::atomic<std::int64_t> there{0}, gone{0};
        state.PauseTiming();
        (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (std::int64_t i = 0; i < crowd; ++i) group.spawn(waits(bell, there, gone));
            while (there < crowd) co_await rt::yield_now();
            state.ResumeTiming();
            bell.notify_all();
            while (gone < crowd) {
                co_await rt::yield_now();
                bell.notify_all();  // on another worker one may have come too late
            }
        });
    }
}

const bench::row rows[] = {{"mutex_free", lock_free},
                           {"mutex_8", 8 * turns, lock_8<false>},
                           {"mutex_8_yield", 8 * turns, lock_8<true>},
                           {"notify_all", crowd, notify_all}};

}  // namespace
