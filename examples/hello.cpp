// The smallest program: a task that waits, and one that it spawns.
#include <chrono>
#include <iostream>
#include <string>

#include "options.hpp"

using namespace std::chrono_literals;

rt::task<std::string> greeting(std::string name) {
    co_await rt::sleep(10ms);  // waits without holding a thread
    co_return "hello, " + name;
}

rt::io_task<> hello() {
    auto spawned = rt::spawn(greeting("spawned task"));  // runs at the same time as the line below
    std::cout << co_await greeting("awaited task") << '\n';
    std::cout << co_await spawned << '\n';  // a handle that is dropped would stop its task
    co_return {};
}

int main(int argc, char** argv) { return options(argc, argv).run(hello()); }
