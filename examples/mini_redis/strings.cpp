// Strings and counters.
#include <algorithm>
#include <limits>

#include "commands.hpp"
#include "expiry.hpp"

namespace mini {

namespace {

using string = std::string;

void get(call& c) {
    string* value = nullptr;
    if (!c.find(c.key(), value)) return;
    value ? c.out.bulk(*value) : c.out.null();
}

void store(call& c, shard::entry* found, std::string_view value, std::int64_t expires) {
    if (found == nullptr) found = &c.on.make(c.key());
    if (auto* old = std::get_if<string>(&found->second.value)) {
        old->assign(value);
    } else {
        found->second.value = string(value);
    }
    c.on.expire_at(*found, expires);
}

/// The log gets the instant, not the time that was left.
void log_set(call& c, std::string_view value, std::int64_t expires) {
    if (expires == object::never) {
        c.on.log_command("SET", c.key(), value);
    } else {
        c.on.log_command("SET", c.key(), value, "PXAT", std::to_string(expires));
    }
}

struct set_options {
    bool if_missing = false, if_there = false, get = false, keep_ttl = false;
    std::int64_t expires = object::never;
};

/// False: the client has been told what is wrong.
bool parse(call& c, set_options& options) {
    std::optional<expiry_unit> unit;
    std::string_view time;
    for (std::size_t i = 3; i < c.args.size(); ++i) {
        auto word = c.args[i];
        auto when = expiry_unit_of(word);
        if (same_word(word, "nx") && !options.if_there) {
            options.if_missing = true;
        } else if (same_word(word, "xx") && !options.if_missing) {
            options.if_there = true;
        } else if (same_word(word, "get")) {
            options.get = true;
        } else if (same_word(word, "keepttl") && !unit) {
            options.keep_ttl = true;
        } else if (when && unit.value_or(*when) == *when && !options.keep_ttl &&
                   i + 1 < c.args.size()) {
            unit = when;
            time = c.args[++i];
        } else {
            c.syntax_error();
            return false;
        }
    }
    return !unit || expiry_instant(c, time, *unit, options.expires, "set");
}

void set(call& c) {
    set_options options;
    if (c.args.size() > 3 && !parse(c, options)) return;
    auto* found = c.on.find(c.key());
    if (options.get) {
        string* old = nullptr;
        if (!c.find(c.key(), old)) return;
        old ? c.out.bulk(*old) : c.out.null();
    }
    if (found ? options.if_missing : options.if_there) {
        if (!options.get) c.out.null();
        return;
    }
    if (options.keep_ttl && found) options.expires = found->second.expires;
    store(c, found, c.args[2], options.expires);
    log_set(c, c.args[2], options.expires);
    if (!options.get) c.out.ok();
}

void setnx(call& c) {
    if (c.on.find(c.key())) return c.out.integer(0);
    store(c, nullptr, c.args[2], object::never);
    c.changed = true;
    c.out.integer(1);
}

void set_with_time(call& c, expiry_unit unit, const char* name) {
    std::int64_t expires = 0;
    if (!expiry_instant(c, c.args[2], unit, expires, name)) return;
    store(c, c.on.find(c.key()), c.args[3], expires);
    log_set(c, c.args[3], expires);
    c.out.ok();
}
void setex(call& c) { set_with_time(c, {1000, true}, "setex"); }
void psetex(call& c) { set_with_time(c, {1, true}, "psetex"); }

void getset(call& c) {
    string* old = nullptr;
    if (!c.find(c.key(), old)) return;
    old ? c.out.bulk(*old) : c.out.null();
    store(c, c.on.find(c.key()), c.args[2], object::never);
    log_set(c, c.args[2], object::never);
}

void getdel(call& c) {
    string* value = nullptr;
    if (!c.find(c.key(), value)) return;
    if (value == nullptr) return c.out.null();
    c.out.bulk(*value);
    c.on.log_command("DEL", c.key());
    c.on.erase(c.key());
}

/// One key's part of MGET: no string, no value.
void mget(call& c) {
    auto* found = c.on.find(c.key());
    auto* value = found ? std::get_if<string>(&found->second.value) : nullptr;
    value ? c.out.bulk(*value) : c.out.null();
}
/// One pair's part of MSET.
void mset(call& c) {
    store(c, c.on.find(c.key()), c.args[2], object::never);
    c.on.log_command("SET", c.key(), c.args[2]);
    c.out.ok();
}

void append(call& c) {
    string* value = nullptr;
    if (!c.find(c.key(), value)) return;
    if (value && value->size() + c.args[2].size() > static_cast<std::size_t>(longest_bulk))
        return c.out.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    value = c.find_or_make<string>(c.key());
    value->append(c.args[2]);
    c.changed = true;
    c.out.integer(static_cast<std::int64_t>(value->size()));
}

void getrange(call& c) {
    std::int64_t first = 0, last = 0;
    if (!c.integer(c.args[2], first) || !c.integer(c.args[3], last)) return;
    string* value = nullptr;
    if (!c.find(c.key(), value)) return;
    auto size = value ? static_cast<std::int64_t>(value->size()) : 0;
    if (first < 0 && last < 0 && first > last) return c.out.bulk("");
    if (first < 0) first = std::max<std::int64_t>(0, first + size);
    if (last < 0) last = std::max<std::int64_t>(0, last + size);
    last = std::min(last, size - 1);
    if (first > last || size == 0) return c.out.bulk("");
    c.out.bulk(std::string_view(*value).substr(static_cast<std::size_t>(first),
                                               static_cast<std::size_t>(last - first + 1)));
}

void add(call& c, std::int64_t by) {
    string* value = nullptr;
    if (!c.find(c.key(), value)) return;
    std::int64_t number = 0;
    if (value && !c.integer(*value, number)) return;
    if (__builtin_add_overflow(number, by, &number))
        return c.out.error("ERR increment or decrement would overflow");
    if (value == nullptr) value = c.find_or_make<string>(c.key());
    *value = std::to_string(number);
    c.changed = true;
    c.out.integer(number);
}
void incr(call& c) { add(c, 1); }
void decr(call& c) { add(c, -1); }
void incrby(call& c) {
    std::int64_t by = 0;
    if (c.integer(c.args[2], by)) add(c, by);
}
void decrby(call& c) {
    std::int64_t by = 0;
    if (!c.integer(c.args[2], by)) return;
    if (by == std::numeric_limits<std::int64_t>::min())
        return c.out.error("ERR decrement would overflow");
    add(c, -by);
}

constexpr command commands[] = {
    {"append", 3, route::one_key, true, append},
    {"decr", 2, route::one_key, true, decr},
    {"decrby", 3, route::one_key, true, decrby},
    {"get", 2, route::one_key, false, get},
    {"getdel", 2, route::one_key, true, getdel},
    {"getrange", 4, route::one_key, false, getrange},
    {"getset", 3, route::one_key, true, getset},
    {"incr", 2, route::one_key, true, incr},
    {"incrby", 3, route::one_key, true, incrby},
    {"mget", -2, route::list_keys, false, mget},
    {"mset", -3, route::set_pairs, true, mset},
    {"psetex", 4, route::one_key, true, psetex},
    {"set", -3, route::one_key, true, set},
    {"setex", 4, route::one_key, true, setex},
    {"setnx", 3, route::one_key, true, setnx},
    {"strlen", 2, route::one_key, false, size_of<string>},
};

}  // namespace

std::span<const command> string_commands() noexcept { return commands; }

}  // namespace mini
