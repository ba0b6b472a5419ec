// What a task takes that waits: the resident set of very many, of which nobody has been woken yet.
// And what as many sleeps cost, and how late the latest of them wakes.
#include "row.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>
import rt;

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t crowd = 1'000'000;

/// In seconds that are bytes: a nanosecond of these rows is a byte.
double resident() {
    long pages = 0;
    if (auto* file = std::fopen("/proc/self/statm", "r")) {
        (void)std::fscanf(file, "%*d %ld", &pages);
        std::fclose(file);
    }
    return static_cast<double>(pages) * 4096 * 1e-9;
}

rt::task<> waits(rt::notify& bell, std::atomic<std::int64_t>& there) {
    ++there;
    co_await bell.wait();
}
rt::task<> sleeps(std::atomic<std::int64_t>& there) {
    ++there;
    co_await rt::sleep(1h);
}

template <class Make>
rt::task<> crowd_of(benchmark::State& state, Make make) {
    std::vector<rt::join_handle<>> all(static_cast<std::size_t>(crowd));
    for (auto _ : state) {
        std::atomic<std::int64_t> there{0};
        auto before = resident();
        for (auto& task : all) task = rt::spawn(make(there));
        while (there < crowd) co_await rt::yield_now();
        co_await rt::yield_now();
        state.SetIterationTime(resident() - before);
        for (auto& task : all) task.stop();
        for (auto& task : all) (void)co_await task.outcome();
    }
}

rt::task<> on_notify(benchmark::State& state) {
    rt::notify bell;
    co_await crowd_of(state, [&](auto& there) { return waits(bell, there); });
}
rt::task<> asleep(benchmark::State& state) {
    co_await crowd_of(state, [](auto& there) { return sleeps(there); });
}

constexpr int sleepers = 100'000;

rt::task<> sleeps_until(std::chrono::steady_clock::time_point when,
                        std::atomic<std::int64_t>& latest) {
    co_await rt::sleep_until(when);
    auto late = (std::chrono::steady_clock::now() - when).count();
    auto seen = latest.load(std::memory_order_relaxed);
    while (late > seen && !latest.compare_exchange_weak(seen, late)) {
    }
}

double cpu_seconds() {
    std::timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// 100 000 that end within a tenth of a second, a thousand in each millisecond.
template <bool Late>
rt::task<> many_sleeps(benchmark::State& state) {
    for (auto _ : state) {
        std::atomic<std::int64_t> latest{0};
        auto began = cpu_seconds();
        auto first = std::chrono::steady_clock::now() + 100ms;
        (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            for (int i = 0; i < sleepers; ++i)
                group.spawn(sleeps_until(first + (i * 7919 % 100) * 1ms, latest));
            co_return;
        });
        state.SetIterationTime(Late ? 1e-9 * static_cast<double>(latest.load())
                                    : cpu_seconds() - began);
    }
}

const bench::row rows[] = {{"memory_notify", crowd, on_notify, bench::measured::by_row},
                           {"memory_sleep", crowd, asleep, bench::measured::by_row},
                           {"sleeps_cpu", sleepers, many_sleeps<false>, bench::measured::by_row},
                           {"sleeps_late", 1, many_sleeps<true>, bench::measured::by_row}};

}  // namespace
