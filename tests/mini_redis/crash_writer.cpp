// Used by tests/mini_redis/crash: writes to a server that will be killed, and knows afterwards what
// the server had promised.
//   crash_writer write PORT PREFIX NOTES [COUNT]  sets PREFIX1 = 1, PREFIX2 = 2, ... as fast as it
//   is
//     acknowledged, until the server is gone or COUNT is reached; NOTES gets a line "number time"
//     for each acknowledgement, the time in nanoseconds of CLOCK_REALTIME.
//   crash_writer check PORT PREFIX NOTES TIME     prints how many were acknowledged, acknowledged
//   more
//     than a second before TIME, found, and lost (of the second lot); 1 if any is lost or wrong.
//   crash_writer ask PORT WORD...                 one command; prints its reply.
#include <chrono>
#include <fstream>
#include <iostream>

#include "resp_client.hpp"

namespace {

long now() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

void write(resp_client& client, const std::string& prefix, const std::string& notes, long count) {
    std::vector<long> times;
    try {
        // A few are on the way at any time, so that the server always has something to do.
        for (long sent = 0; static_cast<long>(times.size()) < count;) {
            std::string batch;
            for (; sent < count && sent - static_cast<long>(times.size()) < 16; ++sent) {
                std::string i = std::to_string(sent + 1);
                batch += encode({"SET", prefix + i, i});
            }
            client.send(batch);
            if (auto r = client.receive(); r.raw != "+OK\r\n")
                throw std::runtime_error("SET got " + shown(r.raw));
            times.push_back(now());
        }
    } catch (const connection_lost&) {  // killed, as was to be
    }
    std::ofstream out(notes);
    for (std::size_t i = 0; i < times.size(); ++i) out << i + 1 << ' ' << times[i] << '\n';
}

int check(resp_client& client, const std::string& prefix, const std::string& notes, long killed) {
    std::ifstream in(notes);
    long acknowledged = 0, old = 0, found = 0, lost = 0, wrong = 0;
    std::vector<std::pair<long, long>> batch;
    auto ask = [&] {
        std::string gets;
        for (auto& [i, time] : batch) gets += encode({"GET", prefix + std::to_string(i)});
        client.send(gets);
        for (auto& [i, time] : batch) {
            reply r = client.receive();
            bool is_old = killed - time > 1'000'000'000;
            ++acknowledged;
            old += is_old;
            found += !r.nil;
            lost += r.nil && is_old;
            wrong += !r.nil && r.text != std::to_string(i);
        }
        batch.clear();
    };
    for (long i, time; in >> i >> time;) {
        batch.emplace_back(i, time);
        if (batch.size() == 1000) ask();
    }
    ask();
    std::cout << acknowledged << ' ' << old << ' ' << found << ' ' << lost << '\n';
    if (wrong != 0) std::cerr << wrong << " values are wrong\n";
    return lost == 0 && wrong == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
    std::vector<std::string> words(argv + 1, argv + argc);
    std::string what = words.size() < 3 ? "" : words[0];
    if (what == "ask") {
        resp_client client(std::stoi(words[1]));
        std::cout << client.ask({words.begin() + 2, words.end()}).text << '\n';
    } else if (what == "write" && words.size() >= 4) {
        resp_client client(std::stoi(words[1]));
        write(client, words[2], words[3], words.size() > 4 ? std::stol(words[4]) : 1'000'000'000);
    } else if (what == "check" && words.size() == 5) {
        resp_client client(std::stoi(words[1]));
        return check(client, words[2], words[3], std::stol(words[4]));
    } else {
        std::cerr << "usage: crash_writer write|check|ask PORT ..., see the top of its source\n";
        return 2;
    }
} catch (const std::exception& error) {
    std::cerr << "crash_writer: " << error.what() << '\n';
    return 1;
}
