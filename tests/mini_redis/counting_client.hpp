// A client that counts up. The replies are 1, 2, 3, ...: none can be lost, doubled or torn unseen.
// One thread sends and one reads, so that a server which ends finds commands on their way.
#pragma once
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "resp_client.hpp"

class counting_client {
public:
    counting_client(int port, const std::string& key, bool stubborn)
        : incr_(encode({"INCR", key})), stubborn_(stubborn), client_(port) {
        sender_ = std::thread([this] { send(); });
        reader_ = std::thread([this] { read(); });
    }
    ~counting_client() {
        shutdown(client_.fd(), SHUT_RDWR);  // nothing to do, unless the test has failed
        sender_.join();
        reader_.join();
    }

    std::atomic<long> sent = 0, answered = 0;
    std::atomic<bool> term = false, idle = false, ended = false;
    std::string wrong;  // for who has seen ended

private:
    std::string incr_;
    bool stubborn_;
    resp_client client_;
    std::thread sender_, reader_;

    // A stubborn one goes on after the signal: what it sends then may be refused, but must not cost
    // it the answers to what it had sent before.
    void send() try {
        std::string batch;
        for (int i = 0; i < 50; ++i) batch += incr_;
        while (!term || stubborn_) {
            while (sent - answered > 5000 && !ended)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            client_.send(batch);
            sent += 50;
        }
        idle = true;
    } catch (const connection_lost&) {
        idle = true;
    }
    void read() {
        std::string all, expected;
        try {
            for (;;) {
                std::string got = client_.receive().raw;
                expected = ":" + std::to_string(answered + 1) + "\r\n";
                if (got != expected && wrong.empty())
                    wrong = "expected " + shown(expected) + ", got " + shown(got);
                ++answered;
            }
        } catch (const connection_lost& lost) {
            if (wrong.empty() && lost.what() == std::string("no answer"))
                wrong = "neither answer nor end";
            if (auto torn = client_.unread(); !torn.empty()) wrong = "torn reply: " + shown(torn);
        }
        ended = true;
    }
};
