// What a message costs through a channel, from one sender and from four.
#include "row.hpp"

#include <string>
#include <utility>
import rt;

namespace {

constexpr int messages = 10'000;

rt::task<> sends(rt::sender<int> tx, int n) {
    for (int i = 0; i < n; ++i) (void)co_await tx.send(std::move(i));
}
rt::task<> sends(rt::unbounded_sender<int> tx, int n) {
    for (int i = 0; i < n; ++i) {
        (void)tx.send(i);
        co_await rt::consume_budget();
    }
}

template <class Make>
bench::row through(const std::string& name, int senders, Make make) {
    return {name + '_' + std::to_string(senders) + "to1", messages,
            [=](benchmark::State& state) -> rt::task<> {
                for (auto _ : state) {
                    auto [tx, rx] = make();
                    (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
                        for (int i = 0; i < senders; ++i)
                            group.spawn(sends(tx, messages / senders));
                        {
                            auto last = std::move(tx);
                        }
                        while (auto value = co_await rx.recv()) benchmark::DoNotOptimize(*value);
                    });
                }
            }};
}

const bench::row rows[] = {
    through("channel_100", 1, [] { return rt::channel<int>(100); }),
    through("channel_100", 4, [] { return rt::channel<int>(100); }),
    through("channel_unbounded", 1, [] { return rt::unbounded_channel<int>(); }),
    through("channel_unbounded", 4, [] { return rt::unbounded_channel<int>(); }),
};

}  // namespace
