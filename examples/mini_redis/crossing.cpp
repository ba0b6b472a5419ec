// How a batch of requests reaches the shards of other workers: one message for each of them, all at
// once. Requests cross as text and are parsed again there: bytes are what workers share best.
#include <utility>

#include "session.hpp"

namespace mini {

void crossing::send(unsigned i, std::span<const std::string_view> args) {
    append_request(parts_[i].requests, args.data(), args.size());
    order_.push_back(i);
}

std::string& crossing::here() {
    order_.push_back(at_home);
    begins_.push_back(local_.size());
    return local_;
}

crossing::answers run_requests(shard& on, std::string_view requests) {
    constexpr std::size_t enough = 64 * 1024;
    crossing::answers done;
    request_parser parser;
    while (done.text.size() < enough &&
           parser.parse(requests) == request_parser::outcome::complete) {
        call c{on, parser.args(), reply(done.text)};
        execute(*find_command(parser.args()[0]), c);
        done.ends.push_back(done.text.size());
        requests.remove_prefix(parser.size());
    }
    done.left = requests;
    return done;
}

rt::task<> crossing::run(keyspace& keys, std::string& out) {
    std::vector<std::pair<unsigned, rt::join_handle<answers>>> sent;
    for (unsigned i = 0; i < parts_.size(); ++i) {
        auto& p = parts_[i];
        if (p.requests.empty() || p.next < p.back.ends.size()) continue;
        sent.emplace_back(i, keys.send(i, [text = std::exchange(p.requests, {})](shard& on) {
            return run_requests(on, text);
        }));
    }
    for (auto& [i, handle] : sent) {
        auto& p = parts_[i];
        p.back = co_await handle;
        p.next = 0;
        p.requests = std::move(p.back.left);
    }
    while (!order_.empty()) {
        if (order_.front() == at_home) {
            auto begin = begins_.front();
            begins_.pop_front();
            out.append(local_, begin, (begins_.empty() ? local_.size() : begins_.front()) - begin);
        } else {
            auto& p = parts_[order_.front()];
            if (p.next == p.back.ends.size()) co_return;  // it is to be asked again
            auto begin = p.next == 0 ? 0 : p.back.ends[p.next - 1];
            out.append(p.back.text, begin, p.back.ends[p.next] - begin);
            ++p.next;
        }
        order_.pop_front();
    }
    local_.clear();
}

}  // namespace mini
