#include "shard.hpp"

#include <algorithm>
#include <chrono>

namespace mini {

std::int64_t wall_clock() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

shard::entry* shard::find(std::string_view key) {
    auto found = keys_.find(key);
    if (found == keys_.end()) return nullptr;
    if (found->second.expired(now)) {
        log_command("DEL", key);  // the file does not tell time: it says what time has done
        ++expired;
        --expiring_;
        keys_.erase(found);
        return nullptr;
    }
    return &*found;
}

shard::entry& shard::make(std::string_view key) {
    if (auto* found = find(key)) return *found;
    return *keys_.try_emplace(std::string(key)).first;
}

bool shard::erase(std::string_view key) {
    auto* found = find(key);
    if (found == nullptr) return false;
    expire_at(*found, object::never);
    keys_.erase(keys_.find(key));
    return true;
}

void shard::expire_at(entry& found, std::int64_t at) {
    auto& [key, object] = found;
    if (object.expires == at) return;
    expiring_ += at != object::never;
    expiring_ -= object.expires != object::never;
    object.expires = at;
    if (expiries) (void)expiries->send({key, at});
}

void shard::clear() {
    std::vector<std::string_view> args{"DEL"};
    for (auto& [key, object] : keys_) {
        args.push_back(key);
        if (object.expires != object::never && expiries) (void)expiries->send({key, object::never});
        if (args.size() == 1000) {
            log(args);
            args.resize(1);
        }
    }
    if (args.size() > 1) log(args);
    text_map<mini::object>().swap(keys_);
    expiring_ = 0;
}

void shard::block(const std::string& key, std::shared_ptr<blocked_client> client) {
    blocked_[key].push_back(std::move(client));
}

void shard::unblock(const std::string& key, const std::shared_ptr<blocked_client>& client) {
    auto found = blocked_.find(key);
    if (found == blocked_.end()) return;
    std::erase(found->second, client);
    if (found->second.empty()) blocked_.erase(found);
}

void shard::serve_blocked(std::string_view key) {
    if (blocked_.empty()) return;
    auto waiting = blocked_.find(key);
    if (waiting == blocked_.end()) return;
    auto* found = find(key);
    if (found == nullptr) return;
    auto* filled = std::get_if<std::unique_ptr<list>>(&found->second.value);
    if (filled == nullptr) return;
    auto& values = **filled;
    while (!waiting->second.empty() && !values.empty()) {
        auto client = std::move(waiting->second.front());
        waiting->second.pop_front();
        if (!client->claim()) continue;  // served elsewhere, or it has given up
        auto& taken = client->left ? values.front() : values.back();
        auto back = client->answer.send({std::string(key), std::move(taken)});
        if (back) {  // it was stopped
            taken = std::move(back->value);
            continue;
        }
        client->left ? values.pop_front() : values.pop_back();
        log_command(client->left ? "LPOP" : "RPOP", key);
    }
    if (waiting->second.empty()) blocked_.erase(waiting);
    if (values.empty()) erase(key);
}

void shard::log(std::span<const std::string_view> args) {
    if (logging) append_request(pending_log, args.data(), args.size());
}

}  // namespace mini
