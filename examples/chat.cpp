// A chat room: every line goes to everybody else. A reader that is too slow is dropped, with a
// message: the room's memory is bounded by its guests' queues, whatever they do.
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "options.hpp"

using namespace std::chrono_literals;
using line = std::shared_ptr<const std::string>;  // one copy, however many guests

struct guest {
    std::optional<rt::sender<line>> queue;  // none: it was too slow, and is being shown out
};
struct room {
    rt::mutex mutex;  // guests come and go on every worker
    std::list<guest> guests;
};

rt::task<std::list<guest>::iterator> enter(room& room, rt::sender<line> queue) {
    auto guard = co_await room.mutex.lock();
    co_return room.guests.insert(room.guests.end(), guest{std::move(queue)});
}

rt::task<> say(room& room, std::list<guest>::iterator from, std::string text) {
    auto shared = std::make_shared<const std::string>(std::move(text) + "\n");
    auto guard = co_await room.mutex.lock();
    for (auto g = room.guests.begin(); g != room.guests.end(); ++g) {
        if (g == from || !g->queue) continue;
        // Never waits: a full queue belongs to a guest that does not read.
        if (!g->queue->try_send(shared)) g->queue.reset();
    }
}

rt::io_task<> converse(room& room, rt::tcp_stream stream) {
    auto [in, out] = std::move(stream).split();
    rt::buffered_reader lines(std::move(in), 1000);
    auto [queue, heard] = rt::channel<line>(64);
    auto self = co_await enter(room, std::move(queue));
    std::string farewell;
    for (;;) {
        // Both are lossless: the half of a line that came stays in the reader while we speak.
        auto first = co_await rt::select(lines.read_line(), heard.recv());
        if (auto* said = std::get_if<0>(&first)) {
            if (!*said) farewell = "your line is too long\n";
            if (!*said || !**said) break;
            co_await say(room, self, std::move(***said));
        } else if (auto& message = std::get<1>(first)) {
            auto sent = co_await rt::timeout(5s, out.write_all(rt::as_bytes(**message)));
            if (!sent) farewell = "you read too slowly\n";
            if (!sent) break;
        } else {
            farewell = "you read too slowly\n";  // the room has dropped our queue
            break;
        }
    }
    {
        auto guard = co_await room.mutex.lock();
        room.guests.erase(self);
    }
    (void)co_await rt::timeout(1s, out.write_all(rt::as_bytes(farewell)));
    co_return {};
}

int main(int argc, char** argv) {
    options given(argc, argv);
    room room;
    auto serve = [&room](rt::tcp_stream s) { return converse(room, std::move(s)); };
    return given.run(rt::serve_each(given.at, serve, {.on_listening = say_listening}));
}
