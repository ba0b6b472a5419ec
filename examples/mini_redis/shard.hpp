// A part of the keyspace. Whoever uses it is alone with it: on its worker, or under its lock
// (keyspace.hpp). Nothing here waits.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "resp.hpp"
#include "values.hpp"
import rt;

namespace mini {

/// A client in BLPOP or BRPOP. It may wait in several shards: who serves it must claim it first.
struct blocked_client {
    struct popped {
        std::string key, value;
    };
    blocked_client(rt::oneshot_sender<popped> sender, bool from_left)
        : answer(std::move(sender)), left(from_left) {}
    [[nodiscard]] bool claim() noexcept { return !claimed.exchange(true); }

    std::atomic<bool> claimed{false};
    rt::oneshot_sender<popped> answer;
    bool left;
};

/// A key that has, or no longer has, an instant at which it expires.
struct expiry_note {
    std::string key;
    std::int64_t at;  // object::never: forget it
};

class shard {
public:
    using entry = std::pair<const std::string, object>;

    /// The key's entry; what has expired by now goes first.
    entry* find(std::string_view key);
    /// The same; a new and empty one where there was none.
    entry& make(std::string_view key);
    bool erase(std::string_view key);
    void expire_at(entry& found, std::int64_t at);
    [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
    [[nodiscard]] std::size_t with_expiry() const noexcept { return expiring_; }
    template <class F>
    void each(F f) {
        for (auto& e : keys_) f(e);
    }
    void clear();

    // Clients that wait for a list to be filled.
    void block(const std::string& key, std::shared_ptr<blocked_client> client);
    void unblock(const std::string& key, const std::shared_ptr<blocked_client>& client);
    void serve_blocked(std::string_view key);

    /// What changes something goes to the append-only file, if there is one.
    void log(std::span<const std::string_view> args);
    template <class... A>
    void log_command(const A&... args) {
        const std::string_view all[] = {args...};
        log(all);
    }

    std::int64_t now = 0;     // in milliseconds since 1970; whoever comes sets it
    bool logging = false;     // set before the server serves
    std::string pending_log;  // for the writer of the append-only file
    std::optional<rt::unbounded_sender<expiry_note>> expiries;
    std::minstd_rand random{std::random_device()()};
    std::uint64_t expired = 0;

private:
    text_map<object> keys_;
    text_map<std::deque<std::shared_ptr<blocked_client>>> blocked_;
    std::size_t expiring_ = 0;
};

std::int64_t wall_clock();

}  // namespace mini
