// The commands: what each is called, how many arguments it takes, where its keys are, and what it
// does to the shard of its key.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "resp.hpp"
#include "shard.hpp"

namespace mini {

/// One command on its way through a shard.
struct call {
    shard& on;
    std::span<const std::string_view> args;
    reply out;
    bool changed = false;  // it goes to the append-only file as it came
    bool filled = false;   // its key's list has grown: somebody may wait for that

    [[nodiscard]] std::string_view key() const noexcept { return args[1]; }
    /// The value of that type at the key; null: no such key. False: another type, and the client
    /// has been told.
    template <class T>
    bool find(std::string_view key, T*& value) {
        value = nullptr;
        auto* found = on.find(key);
        if (found == nullptr) return true;
        if (auto* held = std::get_if<object::held<T>>(&found->second.value)) {
            if constexpr (std::is_same_v<T, std::string>) {
                value = held;
            } else {
                value = held->get();
            }
            return true;
        }
        out.error("WRONGTYPE Operation against a key holding the wrong kind of value");
        return false;
    }
    /// The value of that type, made where there was none; null: another type, as above.
    template <class T>
    T* find_or_make(std::string_view key) {
        T* value = nullptr;
        if (!find(key, value) || value != nullptr) return value;
        auto& made = on.make(key).second.value;
        if constexpr (std::is_same_v<T, std::string>) {
            return &made.template emplace<std::string>();
        } else {
            return made.template emplace<std::unique_ptr<T>>(std::make_unique<T>()).get();
        }
    }
    bool integer(std::string_view text, std::int64_t& number) {
        if (to_integer(text, number)) return true;
        out.error("ERR value is not an integer or out of range");
        return false;
    }
    void syntax_error() { out.error("ERR syntax error"); }
    /// The third argument, if there is one: how many are to be popped. False: as integer().
    bool pop_count(std::int64_t& count) {
        if (args.size() < 3 || (to_integer(args[2], count) && count >= 0)) return true;
        out.error("ERR value is out of range, must be positive");
        return false;
    }
    /// An empty list, hash or set is none.
    template <class T>
    void drop_if_empty(std::string_view key, const T& value) {
        if (value.empty()) on.erase(key);
    }
};

/// How a command finds its shards.
enum class route : std::uint8_t {
    one_key,      // args[1] is its only key
    sum_keys,     // all arguments are keys: the sum of what each gives (DEL, EXISTS)
    list_keys,    // likewise: an array (MGET)
    set_pairs,    // keys and values by turns: OK when all are done (MSET)
    sum_shards,   // every shard: the sum (DBSIZE)
    list_shards,  // every shard: their arrays, one after another (KEYS)
    all_shards,   // every shard: OK (FLUSHALL)
    client,       // the connection or the server, at once
    waits,        // likewise, but it may have to wait
};

class session;

struct command {
    std::string_view name;  // in lower case
    int arity;              // with the name; negative: at least so many
    route to;
    bool writes;
    void (*run)(call&) = nullptr;  // by the shard; for the two last routes one of those below
    void (*answer)(session&, const arguments&) = nullptr;
    rt::task<> (*wait)(session&, std::vector<std::string>) = nullptr;

    [[nodiscard]] bool takes(std::size_t count) const noexcept {
        return arity >= 0 ? count == static_cast<std::size_t>(arity)
                          : count >= static_cast<std::size_t>(-arity);
    }
};

/// STRLEN, LLEN, HLEN, SCARD, ZCARD.
template <class T>
void size_of(call& c) {
    T* value = nullptr;
    if (c.find(c.key(), value)) c.out.integer(value ? static_cast<std::int64_t>(value->size()) : 0);
}

/// HDEL, SREM, ZREM.
template <class T>
void remove_from(call& c) {
    T* value = nullptr;
    if (!c.find(c.key(), value)) return;
    std::int64_t removed = 0;
    if (value != nullptr) {
        for (auto each : c.args.subspan(2)) removed += value->erase(each);
        c.drop_if_empty(c.key(), *value);
    }
    c.changed = removed > 0;
    c.out.integer(removed);
}

/// NX, XX, GT and LT, of EXPIRE and ZADD.
struct conditions {
    bool nx = false, xx = false, gt = false, lt = false;
    /// False: the word is none of them.
    bool take(std::string_view word) noexcept {
        if (same_word(word, "nx")) return nx = true;
        if (same_word(word, "xx")) return xx = true;
        if (same_word(word, "gt")) return gt = true;
        if (same_word(word, "lt")) return lt = true;
        return false;
    }
};

/// Null: there is none of that name.
const command* find_command(std::string_view name) noexcept;
std::span<const command> all_commands() noexcept;

/// Runs it, and writes to the log what it has changed.
void execute(const command& what, call& c);

/// A reply that says what is wrong with a request: an unknown command, or too few arguments.
void refuse(const command* what, const arguments& args, reply out);

/// "h?llo*": true if the text matches (redis.io/commands/keys).
bool glob(std::string_view pattern, std::string_view text) noexcept;

/// [first, last] of LRANGE and its like, within a sequence of that size; negative ones count from
/// the end. Empty if first > last.
struct index_range {
    std::int64_t first, last;
    [[nodiscard]] bool empty() const noexcept { return first > last; }
    [[nodiscard]] std::int64_t size() const noexcept { return empty() ? 0 : last - first + 1; }
};
inline index_range clip(std::int64_t first, std::int64_t last, std::size_t size) noexcept {
    auto n = static_cast<std::int64_t>(size);
    if (first < 0) first = first < -n ? 0 : first + n;
    if (last < 0) last += n;
    if (last >= n) last = n - 1;
    if (first > last || first >= n) return {0, -1};
    return {first, last};
}

// The files strings.cpp, keys.cpp, lists.cpp, hashes.cpp, sets.cpp and sorted_sets.cpp.
std::span<const command> string_commands() noexcept;
std::span<const command> key_commands() noexcept;
std::span<const command> list_commands() noexcept;
std::span<const command> hash_commands() noexcept;
std::span<const command> set_commands() noexcept;
std::span<const command> sorted_set_commands() noexcept;
std::span<const command> client_commands() noexcept;

}  // namespace mini
