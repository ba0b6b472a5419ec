// A channel between tasks: bounded, so that a fast producer waits for a slow consumer.
#include <iostream>

#include "options.hpp"

rt::task<> produce(rt::sender<int> out, int from, int to) {
    for (int i = from; i < to; ++i) {
        if (!co_await out.send(i)) co_return;  // an error: the receiver has gone
    }
}

rt::task<long> consume(rt::receiver<int> in) {
    long sum = 0;
    while (auto value = co_await in.recv()) sum += *value;  // empty: the last sender has gone
    co_return sum;
}

rt::io_task<> pipeline() {
    auto [out, in] = rt::channel<int>(16);
    auto sum = rt::spawn(consume(std::move(in)));
    // The group joins its tasks before it returns; if one failed, it would stop the others.
    co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
        for (int i = 0; i < 4; ++i) group.spawn(produce(out, i * 1000, (i + 1) * 1000));
        co_return;
    }).or_return();
    {  // Our own sender goes too: the consumer would wait for it for ever.
        auto last = std::move(out);
    }
    std::cout << "the sum is " << co_await sum << '\n';
    co_return {};
}

int main(int argc, char** argv) { return options(argc, argv).run(pipeline()); }
