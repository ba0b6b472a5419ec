#include "pubsub.hpp"

#include <utility>

#include "resp.hpp"

namespace mini {

rt::task<> channels::subscribe(std::string channel, std::uint64_t client, mailbox to) {
    auto guard = co_await mutex_.lock();
    subscribers_[std::move(channel)].push_back({client, std::move(to)});
}

rt::task<> channels::unsubscribe(std::string channel, std::uint64_t client) {
    auto guard = co_await mutex_.lock();
    auto found = subscribers_.find(channel);
    if (found == subscribers_.end()) co_return;
    std::erase_if(found->second, [&](const subscriber& s) { return s.client == client; });
    if (found->second.empty()) subscribers_.erase(found);
}

rt::task<std::size_t> channels::publish(std::string channel, std::string text) {
    auto guard = co_await mutex_.lock();
    auto found = subscribers_.find(channel);
    if (found == subscribers_.end()) co_return 0;
    std::string all;
    reply to(all);
    to.array(3);
    to.bulk("message");
    to.bulk(channel);
    to.bulk(text);
    auto shared = std::make_shared<const std::string>(std::move(all));
    std::erase_if(found->second, [&](subscriber& s) { return !s.to.send(message(shared)); });
    auto count = found->second.size();
    if (count == 0) subscribers_.erase(found);
    co_return count;
}

}  // namespace mini
