// Channels of PUBLISH and SUBSCRIBE. Each subscriber has one mailbox for all of its channels, an
// rt::channel; a message is made once and shared. A publisher never waits for a
// subscriber. The mailbox needs no bound of its own: its session always empties it into the
// client's output, and is ended when that exceeds the limit.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "values.hpp"
import rt;

namespace mini {

class channels {
public:
    using message = std::shared_ptr<const std::string>;  // as it is written to the client
    using mailbox = rt::unbounded_sender<message>;

    rt::task<> subscribe(std::string channel, std::uint64_t client, mailbox to);
    rt::task<> unsubscribe(std::string channel, std::uint64_t client);
    /// To how many it went.
    rt::task<std::size_t> publish(std::string channel, std::string text);

private:
    struct subscriber {
        std::uint64_t client;
        mailbox to;
    };
    rt::mutex mutex_;
    text_map<std::vector<subscriber>> subscribers_;  // guarded by mutex_
};

}  // namespace mini
