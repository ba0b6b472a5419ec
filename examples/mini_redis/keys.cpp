// Keys, whatever they hold: their end, their type, their time.
#include <limits>

#include "commands.hpp"
#include "expiry.hpp"

namespace mini {

std::optional<expiry_unit> expiry_unit_of(std::string_view word) noexcept {
    if (same_word(word, "ex")) return expiry_unit{1000, true};
    if (same_word(word, "px")) return expiry_unit{1, true};
    if (same_word(word, "exat")) return expiry_unit{1000, false};
    if (same_word(word, "pxat")) return expiry_unit{1, false};
    return std::nullopt;
}

bool expiry_instant(call& c, std::string_view text, expiry_unit unit, std::int64_t& at,
                    const char* command, std::int64_t least) {
    if (!c.integer(text, at)) return false;
    if (at < least || __builtin_mul_overflow(at, unit.milliseconds, &at) ||
        (unit.relative && __builtin_add_overflow(at, c.on.now, &at))) {
        c.out.error("ERR invalid expire time in '" + std::string(command) + "' command");
        return false;
    }
    return true;
}

namespace {

void del(call& c) {
    bool was_there = c.on.erase(c.key());
    if (was_there) c.on.log_command("DEL", c.key());
    c.out.integer(was_there);
}
void exists(call& c) { c.out.integer(c.on.find(c.key()) != nullptr); }
void type(call& c) {
    auto* found = c.on.find(c.key());
    c.out.simple(found ? found->second.type() : "none");
}

/// One shard's part of KEYS.
void keys(call& c) {
    std::size_t count = 0;
    std::string matching;
    reply to(matching);
    c.on.each([&](shard::entry& e) {
        if (e.second.expired(c.on.now)) return;
        if (c.args[1] != "*" && !glob(c.args[1], e.first)) return;
        to.bulk(e.first);
        ++count;
    });
    c.out.array(count);
    c.out.text() += matching;
}
void dbsize(call& c) { c.out.integer(static_cast<std::int64_t>(c.on.size())); }
void flush(call& c) {
    if (c.args.size() > 2 ||
        (c.args.size() == 2 && !same_word(c.args[1], "async") && !same_word(c.args[1], "sync")))
        return c.syntax_error();
    c.on.clear();
    c.out.ok();
}

/// NX, XX, GT, LT: whether the new instant may take the old one's place.
struct expire_condition : conditions {
    [[nodiscard]] bool holds(std::int64_t old, std::int64_t at) const noexcept {
        if (nx && old != object::never) return false;
        if (xx && old == object::never) return false;
        if (gt && (old == object::never || at <= old)) return false;
        return !(lt && old != object::never && at >= old);
    }
};
bool parse(call& c, expire_condition& on) {
    for (auto word : c.args.subspan(3)) {
        if (!on.take(word)) {
            c.out.error("ERR Unsupported option " + std::string(word));
            return false;
        }
    }
    if (on.nx && (on.xx || on.gt || on.lt)) {
        c.out.error("ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (on.gt && on.lt) {
        c.out.error("ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

void expire(call& c, expiry_unit unit, const char* name) {
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    expire_condition on;
    std::int64_t at = 0;
    if (!parse(c, on) || !expiry_instant(c, c.args[2], unit, at, name, least)) return;
    auto* found = c.on.find(c.key());
    if (found == nullptr || !on.holds(found->second.expires, at)) return c.out.integer(0);
    if (at <= c.on.now) {
        c.on.erase(c.key());
        c.on.log_command("DEL", c.key());
    } else {
        c.on.expire_at(*found, at);
        c.on.log_command("PEXPIREAT", c.key(), std::to_string(at));
    }
    c.out.integer(1);
}
void expire_s(call& c) { expire(c, {1000, true}, "expire"); }
void expire_ms(call& c) { expire(c, {1, true}, "pexpire"); }
void expire_at_s(call& c) { expire(c, {1000, false}, "expireat"); }
void expire_at_ms(call& c) { expire(c, {1, false}, "pexpireat"); }

void persist(call& c) {
    auto* found = c.on.find(c.key());
    if (found == nullptr || found->second.expires == object::never) return c.out.integer(0);
    c.on.expire_at(*found, object::never);
    c.changed = true;
    c.out.integer(1);
}

void time_left(call& c, std::int64_t unit) {
    auto* found = c.on.find(c.key());
    if (found == nullptr) return c.out.integer(-2);
    if (found->second.expires == object::never) return c.out.integer(-1);
    c.out.integer((found->second.expires - c.on.now + unit / 2) / unit);
}
void ttl(call& c) { time_left(c, 1000); }
void pttl(call& c) { time_left(c, 1); }

constexpr command commands[] = {
    {"dbsize", 1, route::sum_shards, false, dbsize},
    {"del", -2, route::sum_keys, true, del},
    {"exists", -2, route::sum_keys, false, exists},
    {"expire", -3, route::one_key, true, expire_s},
    {"expireat", -3, route::one_key, true, expire_at_s},
    {"flushall", -1, route::all_shards, true, flush},
    {"flushdb", -1, route::all_shards, true, flush},
    {"keys", 2, route::list_shards, false, keys},
    {"persist", 2, route::one_key, true, persist},
    {"pexpire", -3, route::one_key, true, expire_ms},
    {"pexpireat", -3, route::one_key, true, expire_at_ms},
    {"pttl", 2, route::one_key, false, pttl},
    {"touch", -2, route::sum_keys, false, exists},
    {"ttl", 2, route::one_key, false, ttl},
    {"type", 2, route::one_key, false, type},
    {"unlink", -2, route::sum_keys, true, del},
};

}  // namespace

std::span<const command> key_commands() noexcept { return commands; }

bool glob(std::string_view pattern, std::string_view text) noexcept {
    if (text.empty()) return pattern.empty();  // as in Redis, not even "**" matches it
    std::size_t p = 0, t = 0;
    std::size_t star = std::string_view::npos, tried = 0;  // the last *, and what it has eaten
    while (t < text.size() || p < pattern.size()) {
        if (p < pattern.size()) {
            char c = pattern[p];
            if (c == '*') {
                star = p++;
                tried = t;
                continue;
            }
            std::size_t after = p + 1;
            bool matches = false;
            if (t >= text.size()) {
            } else if (c == '?') {
                matches = true;
            } else if (c == '[') {
                auto i = p + 1;
                bool inverted = i < pattern.size() && pattern[i] == '^';
                if (inverted) ++i;
                for (; i < pattern.size() && pattern[i] != ']'; ++i) {
                    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
                        matches |= pattern[++i] == text[t];
                    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
                        auto [low, high] = std::minmax(pattern[i], pattern[i + 2]);
                        matches |= low <= text[t] && text[t] <= high;
                        i += 2;
                    } else {
                        matches |= pattern[i] == text[t];
                    }
                }
                matches ^= inverted;
                after = i < pattern.size() ? i + 1 : i;
            } else {
                if (c == '\\' && p + 1 < pattern.size()) c = pattern[p + 1], after = p + 2;
                matches = c == text[t];
            }
            if (matches) {
                p = after;
                ++t;
                continue;
            }
        }
        if (star == std::string_view::npos || tried >= text.size()) return false;
        p = star + 1;
        t = ++tried;
    }
    return true;
}

}  // namespace mini
