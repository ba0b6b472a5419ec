// Ctrl-C drains: no new connections, and those that are open finish what they have begun.
#include <array>
#include <chrono>
#include <csignal>
#include <iostream>
#include <span>
#include <variant>

#include "options.hpp"

using namespace std::chrono_literals;

struct room {
    rt::mutex mutex;  // tasks may run on several workers
    int inside = 0;   // guarded by mutex
    rt::notify left;  // somebody has left
};

// Answers in upper case; "slowly" is half a second of work, so that there is something to drain.
rt::io_task<> shout(rt::tcp_stream peer) {
    std::array<std::byte, 1024> buffer;
    while (auto n = co_await peer.read(buffer).or_return()) {
        co_await rt::sleep(500ms);
        for (auto& b : std::span(buffer).first(n)) {
            auto c = std::to_integer<char>(b);
            if (c >= 'a' && c <= 'z') b = std::byte(c - 32);
        }
        co_await peer.write_all(std::span(buffer).first(n)).or_return();
    }
    co_return {};
}

rt::task<> guest(room& room, rt::tcp_stream peer) {
    (void)co_await shout(std::move(peer));  // a peer that resets is no concern of the others
    auto guard = co_await room.mutex.lock();
    --room.inside;
    room.left.notify_one();
}

// Waits until the room is empty, but two seconds at most: an idle guest would keep us for ever.
rt::task<> drain(room& room, rt::task_group& guests) {
    auto end = co_await rt::this_task::now() + 2s;
    for (;;) {
        {
            auto guard = co_await room.mutex.lock();
            if (room.inside == 0) co_return;
        }
        auto first = co_await rt::select(room.left.wait(), rt::sleep_until(end));
        if (first.index() == 1) co_return guests.stop();  // it unwinds them: their streams close
    }
}

rt::io_task<> serve(rt::endpoint at) {
    auto listener = co_await rt::tcp_listener::bind(at).or_return();
    auto interrupts = rt::signals(SIGINT, SIGTERM);  // caught from here on
    if (!interrupts) co_return interrupts.error();
    if (auto at_port = listener.local()) say_listening(*at_port);
    room room;
    co_return co_await rt::with_group([&](rt::task_group& guests) -> rt::io_task<> {
        for (;;) {
            auto first = co_await rt::select(listener.accept(), interrupts->next());
            if (first.index() == 1) break;
            auto connection = std::move(std::get<0>(first));
            if (!connection) co_return connection.error();
            {
                auto guard = co_await room.mutex.lock();
                ++room.inside;
            }
            guests.spawn(guest(room, std::move(connection->stream)));
        }
        std::cout << "draining" << std::endl;
        guests.spawn(drain(room, guests));
        co_return {};
    });
}

int main(int argc, char** argv) {
    options given(argc, argv);
    return given.run(serve(given.at));
}
