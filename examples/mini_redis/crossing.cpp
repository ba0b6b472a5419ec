// How a batch of requests reaches the shards of other workers: one message for each of them, all at
// once. Requests cross as text and are parsed again there: bytes are what workers share best.
#include <utility>

#include "session.hpp"

namespace mini {

void crossing::send(unsigned i, std::span<const std::string_view> args) {
    append_request(parts_[i], args.data(), args.size());
    order_.push_back(i);
}

std::string& crossing::here() {
    order_.push_back(at_home);
    begins_.push_back(local_.size());
    return local_;
}

crossing::answers run_requests(shard& on, std::string_view requests) {
    crossing::answers done;
    request_parser parser;
    while (parser.parse(requests) == request_parser::outcome::complete) {
        call c{on, parser.args(), reply(done.text)};
        execute(*find_command(parser.args()[0]), c);
        done.ends.push_back(done.text.size());
        requests.remove_prefix(parser.size());
    }
    return done;
}

rt::task<> crossing::run(keyspace& keys, std::string& out) {
    std::vector<std::pair<unsigned, rt::join_handle<answers>>> sent;
    for (unsigned i = 0; i < parts_.size(); ++i) {
        if (parts_[i].empty()) continue;
        sent.emplace_back(i, keys.send(i, [text = std::exchange(parts_[i], {})](shard& on) {
            return run_requests(on, text);
        }));
    }
    struct returned {
        answers replies;
        std::size_t next = 0;
    };
    std::vector<returned> from(parts_.size());
    for (auto& [i, handle] : sent) from[i].replies = co_await handle;
    std::size_t local = 0;
    begins_.push_back(local_.size());
    for (auto i : order_) {
        if (i == at_home) {
            out.append(local_, begins_[local], begins_[local + 1] - begins_[local]);
            ++local;
        } else {
            auto& [replies, next] = from[i];
            auto begin = next == 0 ? 0 : replies.ends[next - 1];
            out.append(replies.text, begin, replies.ends[next] - begin);
            ++next;
        }
    }
    order_.clear();
    local_.clear();
    begins_.clear();
}

}  // namespace mini
