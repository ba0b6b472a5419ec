// Two tasks that wake each other in turns: by a fresh oneshot each time, or by two notifies. An
// operation is a round trip.
#include "row.hpp"

#include <utility>
import rt;

namespace {

rt::task<> answers(rt::receiver<rt::oneshot_sender<int>> rx) {
    while (auto back = co_await rx.recv()) (void)std::move(*back).send(1);
}

rt::task<> by_oneshot(benchmark::State& state) {
    auto [tx, rx] = rt::channel<rt::oneshot_sender<int>>(1);
    auto other = rt::spawn(answers(std::move(rx)));
    for (auto _ : state) {
        auto [back, answer] = rt::oneshot<int>();
        (void)co_await tx.send(std::move(back));
        benchmark::DoNotOptimize(co_await answer.recv());
    }
    {
        auto closed = std::move(tx);
    }
    co_await std::move(other);
}

rt::task<> echoes(rt::notify& asked, rt::notify& answer, const bool& over) {
    for (;;) {
        co_await asked.wait();
        if (over) co_return;
        answer.notify_one();
    }
}

rt::task<> by_notify(benchmark::State& state) {
    rt::notify asked, answer;
    bool over = false;
    auto other = rt::spawn(echoes(asked, answer, over));
    for (auto _ : state) {
        asked.notify_one();
        co_await answer.wait();
    }
    over = true;
    asked.notify_one();
    co_await std::move(other);
}

/// One on each worker, where there are two; under work stealing they may stay together.
rt::task<> across(benchmark::State& state, unsigned last) {
    rt::notify asked, answer;
    bool over = false;
    auto other = rt::spawn_on(last, echoes(asked, answer, over));
    for (auto _ : state) {
        asked.notify_one();
        co_await answer.wait();
    }
    over = true;
    asked.notify_one();
    co_await std::move(other);
}

const bench::row rows[] = {
    {"ping_pong_oneshot", by_oneshot},
    {"ping_pong_notify", by_notify},
    {"ping_pong_across", 1, [](benchmark::State& state, rt::runtime& runtime) {
         runtime.block_on(across(state, runtime.worker_count() - 1));
     }}};

}  // namespace
