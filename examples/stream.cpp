// Streams of values: adaptors nest around whatever has next(), and those over channels and timers
// may lose a select without losing a value.
#include <chrono>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "options.hpp"

using namespace std::chrono_literals;

rt::stream<int> squares(int count) {  // a generator: it may also wait between its values
    for (int i = 1; i <= count; ++i) co_yield i* i;
}

rt::task<> produce(rt::sender<int> out, int count) {
    for (int i = 1; i <= count; ++i) {
        if (!co_await out.send(i)) co_return;
    }
}

rt::io_task<> show() {
    // Each stage owns the one inside it. Here: the even ones, as text, three at a time.
    auto even = rt::filter(squares(10), [](int n) { return n % 2 == 0; });
    auto texts = rt::map(std::move(even), [](int n) { return std::to_string(n); });
    auto threes = rt::chunks(std::move(texts), 3);
    while (auto some = co_await threes.next()) {
        for (auto& text : *some) std::cout << text << ' ';
        std::cout << '\n';
    }

    // merge ends when all of its sources have; they give the same type.
    auto [low, from_low] = rt::channel<int>(4);
    auto [high, from_high] = rt::channel<int>(4);
    auto first = rt::spawn(produce(std::move(low), 100));
    auto second = rt::spawn(produce(std::move(high), 100));
    auto all = rt::merge(rt::map(std::move(from_low), [](int n) { return n; }),
                         rt::map(std::move(from_high), [](int n) { return 1000 * n; }));
    long sum = 0;
    for (bool over = false; !over;) {
        // Over a channel next() is lossless: if the time wins, the value stays for the next call.
        auto got = co_await rt::select(all.next(), rt::sleep(10s));
        if (auto* value = std::get_if<0>(&got); value && *value) {
            sum += **value;
        } else {
            over = true;
        }
    }
    std::cout << "the sum is " << sum << '\n';
    co_await first;
    co_await second;
    co_return {};
}

int main(int argc, char** argv) { return options(argc, argv).run(show()); }
