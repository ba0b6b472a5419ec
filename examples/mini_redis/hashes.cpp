// Hashes: fields and their values.
#include "commands.hpp"

namespace mini {

namespace {

/// The pairs of HSET and HMSET; the number of new fields, or nothing when the client was refused.
std::optional<std::int64_t> set_pairs(call& c, const char* name) {
    if (c.args.size() % 2 != 0) {
        c.out.error("ERR wrong number of arguments for '" + std::string(name) + "' command");
        return std::nullopt;
    }
    auto* fields = c.find_or_make<hash>(c.key());
    if (fields == nullptr) return std::nullopt;
    std::int64_t added = 0;
    for (std::size_t i = 2; i < c.args.size(); i += 2)
        added += fields->set(c.args[i], std::string(c.args[i + 1]));
    c.changed = true;
    return added;
}
void hset(call& c) {
    if (auto added = set_pairs(c, "hset")) c.out.integer(*added);
}
void hmset(call& c) {
    if (set_pairs(c, "hmset")) c.out.ok();
}
void hsetnx(call& c) {
    auto* fields = c.find_or_make<hash>(c.key());
    if (fields == nullptr) return;
    if (fields->find(c.args[2])) return c.out.integer(0);
    fields->set(c.args[2], std::string(c.args[3]));
    c.changed = true;
    c.out.integer(1);
}

void field(call& c, hash* fields, std::string_view name) {
    auto* value = fields ? fields->find(name) : nullptr;
    value ? c.out.bulk(*value) : c.out.null();
}
void hget(call& c) {
    hash* fields = nullptr;
    if (c.find(c.key(), fields)) field(c, fields, c.args[2]);
}
void hmget(call& c) {
    hash* fields = nullptr;
    if (!c.find(c.key(), fields)) return;
    c.out.array(c.args.size() - 2);
    for (auto name : c.args.subspan(2)) field(c, fields, name);
}
void hexists(call& c) {
    hash* fields = nullptr;
    if (c.find(c.key(), fields)) c.out.integer(fields && fields->find(c.args[2]));
}
void all(call& c, bool names, bool values) {
    hash* fields = nullptr;
    if (!c.find(c.key(), fields)) return;
    auto count = fields ? fields->size() : 0;
    c.out.array(names && values ? 2 * count : count);
    for (std::size_t i = 0; i < count; ++i) {
        auto& [name, slot] = fields->at(i);
        if (names) c.out.bulk(name);
        if (values) c.out.bulk(slot.value);
    }
}
void hgetall(call& c) { all(c, true, true); }
void hkeys(call& c) { all(c, true, false); }
void hvals(call& c) { all(c, false, true); }

void hincrby(call& c) {
    std::int64_t by = 0, number = 0;
    hash* fields = nullptr;
    if (!c.integer(c.args[3], by) || !c.find(c.key(), fields)) return;
    auto* value = fields ? fields->find(c.args[2]) : nullptr;
    if (value && !to_integer(*value, number))
        return c.out.error("ERR hash value is not an integer");
    if (__builtin_add_overflow(number, by, &number))
        return c.out.error("ERR increment or decrement would overflow");
    c.find_or_make<hash>(c.key())->set(c.args[2], std::to_string(number));
    c.changed = true;
    c.out.integer(number);
}

constexpr command commands[] = {
    {"hdel", -3, route::one_key, true, remove_from<hash>},
    {"hexists", 3, route::one_key, false, hexists},
    {"hget", 3, route::one_key, false, hget},
    {"hgetall", 2, route::one_key, false, hgetall},
    {"hincrby", 4, route::one_key, true, hincrby},
    {"hkeys", 2, route::one_key, false, hkeys},
    {"hlen", 2, route::one_key, false, size_of<hash>},
    {"hmget", -3, route::one_key, false, hmget},
    {"hmset", -4, route::one_key, true, hmset},
    {"hset", -4, route::one_key, true, hset},
    {"hsetnx", 4, route::one_key, true, hsetnx},
    {"hvals", 2, route::one_key, false, hvals},
};

}  // namespace

std::span<const command> hash_commands() noexcept { return commands; }

}  // namespace mini
