// select: the first of several things. What loses has taken nothing, so a loop over it misses
// nothing.
#include <chrono>
#include <iostream>
#include <string>
#include <variant>

#include "options.hpp"

using namespace std::chrono_literals;

rt::task<> produce(rt::sender<int> out) {
    for (int i = 1; i <= 3; ++i) {
        co_await rt::sleep(15ms);
        if (!co_await out.send(i)) co_return;  // nobody receives any more
    }
}  // the last sender goes: the receiver sees the end

rt::task<std::string> slow_answer() {
    co_await rt::sleep(1h);
    co_return "too late";
}

rt::io_task<> watch() {
    auto [out, in] = rt::channel<int>(4);
    auto producer = rt::spawn(produce(std::move(out)));
    rt::interval ticks(10ms);
    int numbers = 0, beats = 0;
    for (bool open = true; open;) {
        // A variant: its index tells the arm. Ticks that lose are still due in the next round.
        auto first = co_await rt::select(in.recv(), ticks.tick());
        if (auto* number = std::get_if<0>(&first)) {
            open = number->has_value();
            numbers += open;
        } else {
            ++beats;
        }
    }
    std::cout << numbers << " numbers came, " << (beats > 0 ? "with" : "without")
              << " ticks between\n";

    // A whole task may lose what it was doing: the compiler asks to say that this is meant.
    auto raced = co_await rt::select(rt::allow_loss(slow_answer()), rt::sleep(5ms));
    std::cout << (raced.index() == 1 ? "the answer came too late\n" : "an answer\n");

    // timeout is the same in short: a result, errc::timed_out when the time is up.
    auto answer = co_await rt::timeout(5ms, slow_answer());
    std::cout << (answer ? *answer : answer.error().message()) << '\n';
    co_await producer;
    co_return {};
}

int main(int argc, char** argv) { return options(argc, argv).run(watch()); }
