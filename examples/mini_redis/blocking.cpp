// BLPOP and BRPOP: the first value of any of several lists, as soon as there is one. The client
// waits in a select for that, for its time to be over, or for its peer to go; whoever pushes claims
// it first, so one value goes to one client, and to the one that has waited longest.
#include <chrono>
#include <cmath>
#include <variant>

#include "session.hpp"
#include "waiting.hpp"

namespace mini {

using namespace std::chrono_literals;

namespace {

using popped = blocked_client::popped;
struct wrong_type {};
struct nothing_yet {};
using attempt = std::variant<nothing_yet, popped, wrong_type>;

/// Takes a value at once, or leaves the client in the queue of the key.
attempt pop_or_block(shard& on, const std::string& key, std::shared_ptr<blocked_client> client) {
    std::string unused;
    call c{on, {}, reply(unused)};
    list* values = nullptr;
    if (!c.find(key, values)) return wrong_type();
    if (values == nullptr) {
        on.block(key, std::move(client));
        return nothing_yet();
    }
    if (!client->claim()) return nothing_yet();  // another of its keys was quicker
    popped value{key, take(*values, client->left)};
    on.log_command(client->left ? "LPOP" : "RPOP", key);
    c.drop_if_empty(key, *values);
    return value;
}

bool parse_timeout(session& s, const std::string& text, std::chrono::milliseconds& limit) {
    double seconds = 0;
    if (!to_double(text, seconds)) {
        s.out().error("ERR timeout is not a float or out of range");
    } else if (seconds < 0 || seconds > 9.2e15) {  // more does not fit, and so is negative: Redis
        s.out().error("ERR timeout is negative");
    } else {
        limit = std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
        return true;
    }
    return false;
}

/// Waits for a value, for the end of the time (0: none) or of the peer. What the client sends
/// meanwhile is kept for later.
rt::task<std::optional<popped>> wait(session& s, rt::oneshot_receiver<popped>& answer,
                                     blocked_client& client, std::chrono::milliseconds limit) {
    constexpr std::size_t most = 1024 * 1024;  // of input: who sends more is dropped
    constexpr std::chrono::milliseconds years = 24h * 36500;
    auto end = co_await rt::this_task::now() + (limit > 0ms ? std::min(limit, years) : years);
    for (;;) {
        auto first = co_await rt::select(rt::biased, answer.recv(), s.peer.read(s.in.room()),
                                         rt::sleep_until(end));
        if (first.index() == 0) co_return std::get<0>(std::move(first));
        if (first.index() == 2) break;
        s.took(std::get<1>(first));
        // A client that is gone wants nothing more; the server's own end is another matter.
        if (s.in.size() > most || (s.no_more && !s.owner.draining)) s.ended = true;
        if (s.no_more || s.ended) break;
    }
    if (client.claim()) co_return std::nullopt;
    co_return co_await answer.recv();  // it is on its way
}

struct counted {
    std::atomic<std::uint64_t>& n;
    explicit counted(std::atomic<std::uint64_t>& count) : n(count) { ++n; }
    ~counted() { --n; }
};

rt::task<> pop(session& s, std::vector<std::string> args, bool left) {
    std::chrono::milliseconds limit;
    if (!parse_timeout(s, args.back(), limit)) co_return;
    args.pop_back();
    args.erase(args.begin());
    auto [sender, answer] = rt::oneshot<popped>();
    auto client = std::make_shared<blocked_client>(std::move(sender), left);
    auto& keys = s.owner.keys;
    attempt got;
    std::size_t asked = 0;  // of the keys; in the queues of these it may stand
    while (asked < args.size() && got.index() == 0) {
        auto& key = args[asked++];
        got = co_await keys.at(keys.shard_of(key), s.worker,
                               [key, client](shard& on) { return pop_or_block(on, key, client); });
    }
    std::optional<popped> value;
    bool refused = false, queued = asked > 1;
    if (auto* at_once = std::get_if<popped>(&got)) {
        value = std::move(*at_once);
    } else if (std::holds_alternative<wrong_type>(got) && client->claim()) {
        refused = true;
        s.out().error("WRONGTYPE Operation against a key holding the wrong kind of value");
    } else {
        queued = true;
        counted waiting(s.owner.blocked);
        value = co_await wait(s, answer, *client, limit);
    }
    for (std::size_t i = 0; queued && i < asked; ++i)
        co_await keys.at(keys.shard_of(args[i]), s.worker,
                         [key = args[i], client](shard& on) { on.unblock(key, client); });
    if (value) {
        s.out().array(2);
        s.out().bulk(value->key);
        s.out().bulk(value->value);
    } else if (!refused) {
        s.out().null_array();
    }
}

}  // namespace

rt::task<> blpop(session& s, std::vector<std::string> args) {
    return pop(s, std::move(args), true);
}
rt::task<> brpop(session& s, std::vector<std::string> args) {
    return pop(s, std::move(args), false);
}

}  // namespace mini
