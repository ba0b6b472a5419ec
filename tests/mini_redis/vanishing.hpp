// Clients that go in the middle of something.
#pragma once
#include <string>
#include <vector>

#include "expect.hpp"
#include "resp_client.hpp"

// Half of them reset their connections when they go.
inline std::vector<resp_client> crowd_in_the_middle(int port, int count) {
    static const std::string parts[] = {
        "",
        "*2\r\n$3\r\nGET\r\n$10\r\nabc",
        encode({"BLPOP", "queue", "queue2", "0"}),
        encode({"SUBSCRIBE", "channel", "channel2"}),
        encode({"PING"}) + "GET half",
        encode({"BLPOP", "queue", "0"}) + encode({"LPUSH", "queue", "never"})};
    std::vector<resp_client> crowd;
    for (int i = 0; i < count; ++i) {
        auto& client = crowd.emplace_back(port);
        client.send(parts[i % 6]);
        if (i / 6 % 2 == 0) client.reset_at_end();
    }
    return crowd;
}

// A pop whose client is gone takes nothing, and neither does a subscription listen.
inline void nobody_takes_or_listens(resp_client& witness) {
    expect("LPUSH after it", ":1\r\n", witness.ask({"LPUSH", "queue", "x"}).raw);
    expect("LPOP after it", "$1\r\nx\r\n", witness.ask({"LPOP", "queue"}).raw);
    expect("PUBLISH after it", ":0\r\n", witness.ask({"PUBLISH", "channel", "x"}).raw);
}
