// What the tests expect of a server: at once, or after a moment.
#pragma once
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "resp_client.hpp"

struct failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void expect(const std::string& what, const std::string& expected, const std::string& got) {
    if (got == expected) return;
    throw failed(what + "\n  expected: " + shown(expected) + "\n  got:      " + shown(got));
}

// Asks until the answer is right: what a server does about a client that is gone takes a moment.
inline void eventually(const std::string& what, std::function<bool()> holds,
                       std::chrono::seconds limit = std::chrono::seconds(10)) {
    using namespace std::chrono_literals;
    for (auto end = std::chrono::steady_clock::now() + limit; !holds();) {
        if (std::chrono::steady_clock::now() > end)
            throw failed(what + ": not within " + std::to_string(limit.count()) + " s");
        std::this_thread::sleep_for(10ms);
    }
}

inline long info(resp_client& client, const std::string& section, const std::string& name) {
    std::string text = client.ask({"INFO", section}).text;
    auto at = text.find("\n" + name + ":");
    if (at == std::string::npos) throw failed("INFO " + section + " has no " + name);
    return std::stol(text.substr(at + name.size() + 2));
}

inline void only_this_one_is_left(resp_client& client) {
    eventually("connected_clients:1",
               [&] { return info(client, "clients", "connected_clients") == 1; });
    eventually("blocked_clients:0",
               [&] { return info(client, "clients", "blocked_clients") == 0; });
}
