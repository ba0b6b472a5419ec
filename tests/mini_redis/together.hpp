// Many clients at once on the same keys. Redis has one thread, so every command is atomic; a server
// with more of them has to be as good. These return what is wrong, or nothing.
#pragma once
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "resp_client.hpp"

// Each INCR and each RPUSH is answered with a number that no other gets.
inline std::string one_key_of_many_clients(int port, const std::vector<std::string>& words) {
    constexpr std::size_t clients = 8, rounds = 40, depth = 50;
    resp_client(port).ask({"DEL", words[1]});
    std::vector<std::vector<long>> got(clients);
    std::vector<std::string> lost(clients);
    std::vector<std::thread> threads;
    for (std::size_t c = 0; c < clients; ++c)
        threads.emplace_back([&, c] {
            try {
                resp_client client(port);
                std::string batch;
                for (std::size_t i = 0; i < depth; ++i) batch += encode(words);
                for (std::size_t round = 0; round < rounds; ++round) {
                    client.send(batch);
                    for (std::size_t i = 0; i < depth; ++i)
                        got[c].push_back(std::strtol(client.receive().text.c_str(), nullptr, 10));
                }
            } catch (const connection_lost& why) {
                lost[c] = why.what();
            }
        });
    for (auto& t : threads) t.join();
    std::vector<long> all;
    for (std::size_t c = 0; c < clients; ++c) {
        if (!lost[c].empty()) return words[0] + ": " + lost[c];
        // What one client asks is done in its order, so its numbers grow.
        if (!std::is_sorted(got[c].begin(), got[c].end())) return words[0] + " out of order";
        all.insert(all.end(), got[c].begin(), got[c].end());
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i)
        if (all[i] != static_cast<long>(i) + 1)
            return words[0] + ": the answers are not 1 to " + std::to_string(all.size()) +
                   ", but one is " + std::to_string(all[i]) + " at place " + std::to_string(i + 1);
    return {};
}

// MSET sets all of its keys at once: an MGET never sees some of them.
inline std::string many_keys_at_once(int port) {
    std::vector<std::string> mget{"MGET"};
    for (char k = 'a'; k <= 'h'; ++k) mget.push_back(std::string("multi:") + k);
    std::atomic<bool> over = false;
    auto write = [&](int who) {
        try {
            resp_client client(port);
            for (int i = 0; !over; ++i) {
                std::vector<std::string> mset{"MSET"};
                for (std::size_t k = 1; k < mget.size(); ++k) {
                    // One in the order of the keys and one against it, for who locks them in turn.
                    mset.push_back(mget[who == 0 ? k : mget.size() - k]);
                    mset.push_back(std::to_string(who) + ":" + std::to_string(i));
                }
                client.ask(mset);
            }
        } catch (const connection_lost&) {  // the reader will see it too
        }
    };
    std::thread writers[] = {std::thread(write, 0), std::thread(write, 1)};
    std::string wrong;
    try {
        resp_client client(port);
        for (int i = 0; i < 3000 && wrong.empty(); ++i) {
            reply r = client.ask(mget);
            for (auto& e : r.elements)
                if (e.raw != r.elements[0].raw) wrong = "MGET sees half an MSET: " + shown(r.raw);
        }
    } catch (const connection_lost& why) {
        wrong = why.what();
    }
    over = true;
    for (auto& w : writers) w.join();
    return wrong;
}
