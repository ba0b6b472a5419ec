#include "session.hpp"
#include "waiting.hpp"

namespace mini {

namespace {

void confirm(session& s, std::string_view what, const std::string* channel) {
    auto out = s.out();
    out.array(3);
    out.bulk(what);
    channel ? out.bulk(*channel) : out.null();
    out.integer(static_cast<std::int64_t>(s.subscribed.size()));
}

}  // namespace

rt::task<> publish(session& s, std::vector<std::string> args) {
    auto count = co_await s.owner.topics.publish(std::move(args[1]), std::move(args[2]));
    s.out().integer(static_cast<std::int64_t>(count));
}

rt::task<> subscribe(session& s, std::vector<std::string> args) {
    if (!s.mailbox) {
        auto [in, out] = rt::unbounded_channel<channels::message>();
        s.mailbox = std::move(in);
        s.messages = std::move(out);
    }
    for (std::size_t i = 1; i < args.size(); ++i) {
        if (s.subscribed.insert(args[i]).second)
            co_await s.owner.topics.subscribe(args[i], s.id, *s.mailbox);
        confirm(s, "subscribe", &args[i]);
    }
}

rt::task<> unsubscribe(session& s, std::vector<std::string> args) {
    args.erase(args.begin());
    if (args.empty()) args.assign(s.subscribed.begin(), s.subscribed.end());
    if (args.empty()) confirm(s, "unsubscribe", nullptr);
    for (auto& channel : args) {
        if (s.subscribed.erase(channel) != 0) {
            co_await s.owner.topics.unsubscribe(channel, s.id);
            // What was published before goes before the confirmation, and nothing after it.
            while (auto message = s.messages->try_recv()) s.out().text() += **message;
        }
        confirm(s, "unsubscribe", &channel);
    }
}

}  // namespace mini
