// Keys that expire are deleted when their time comes, not only when somebody asks for them: a
// task for each shard waits in a select for the first of them, and for news of others.
#include <algorithm>
#include <chrono>
#include <variant>

#include "server.hpp"

namespace mini {

rt::task<> server::expire_keys(unsigned i, rt::receiver<expiry_note> notes) {
    rt::delay_queue<std::string> due;
    text_map<decltype(due)::key> waiting;
    auto wait_until = [&](std::string key, std::int64_t at) {
        std::chrono::milliseconds delay(std::max<std::int64_t>(1, at - wall_clock() + 1));
        if (auto known = waiting.find(key); known != waiting.end()) {
            due.reset(known->second, delay);
        } else {
            auto place = due.insert(key, delay);
            waiting.emplace(std::move(key), place);
        }
    };
    for (;;) {
        auto first = co_await rt::select(due.next(), notes.recv());
        if (auto* arrived = std::get_if<0>(&first)) {
            auto& key = **arrived;
            waiting.erase(key);
            // The wall clock may have been set meanwhile, or the key has another time.
            auto at = co_await keys.at(i, i, [key](shard& on) {
                auto* left = on.find(key);
                return left ? left->second.expires : object::never;
            });
            if (at != object::never) wait_until(std::move(key), at);
        } else if (auto& note = std::get<1>(first); !note) {
            co_return;
        } else if (note->at != object::never) {
            wait_until(std::move(note->key), note->at);
        } else if (auto known = waiting.find(note->key); known != waiting.end()) {
            (void)due.remove(known->second);
            waiting.erase(known);
        }
    }
}

}  // namespace mini
