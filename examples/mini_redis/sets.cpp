// Sets.
#include <algorithm>

#include "commands.hpp"

namespace mini {

namespace {

void sadd(call& c) {
    auto* members = c.find_or_make<set>(c.key());
    if (members == nullptr) return;
    std::int64_t added = 0;
    for (auto member : c.args.subspan(2)) added += members->set(member, {});
    c.changed = added > 0;
    c.out.integer(added);
}

void sismember(call& c) {
    set* members = nullptr;
    if (c.find(c.key(), members)) c.out.integer(members && members->find(c.args[2]));
}
void smembers(call& c) {
    set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    c.out.array(members ? members->size() : 0);
    for (std::size_t i = 0; members && i < members->size(); ++i) c.out.bulk(members->at(i).first);
}

std::string_view any_of(call& c, const set& members) {
    return members.at(c.on.random() % members.size()).first;
}

/// The log gets the members that chance has chosen.
void spop(call& c) {
    if (c.args.size() > 3) return c.syntax_error();
    std::int64_t count = 1;
    bool many = c.args.size() == 3;
    if (!c.pop_count(count)) return;
    set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    if (members == nullptr) return many ? c.out.array(0) : c.out.null();
    auto n = std::min<std::size_t>(static_cast<std::size_t>(count), members->size());
    if (many) c.out.array(n);
    for (; n > 0; --n) {
        auto member = any_of(c, *members);
        c.out.bulk(member);
        c.on.log_command("SREM", c.key(), member);
        members->erase(std::string(member));
    }
    c.drop_if_empty(c.key(), *members);
}

/// A positive count gives different members, a negative one may repeat them.
void srandmember(call& c) {
    if (c.args.size() > 3) return c.syntax_error();
    std::int64_t count = 1;
    bool many = c.args.size() == 3;
    if (many && !c.integer(c.args[2], count)) return;
    constexpr std::int64_t most_repeated = 1'000'000;  // Redis has no such limit, but much memory
    if (count < -most_repeated) return c.out.error("ERR value is out of range");
    set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    if (members == nullptr) return many ? c.out.array(0) : c.out.null();
    if (!many) return c.out.bulk(any_of(c, *members));
    if (count < 0) {
        c.out.array(static_cast<std::size_t>(-count));
        for (; count < 0; ++count) c.out.bulk(any_of(c, *members));
        return;
    }
    auto n = std::min<std::size_t>(static_cast<std::size_t>(count), members->size());
    c.out.array(n);
    // Each of those that are left is as likely as the others (Knuth 2, 3.4.2, algorithm S).
    for (std::size_t i = 0; n > 0; ++i) {
        if (c.on.random() % (members->size() - i) >= n) continue;
        c.out.bulk(members->at(i).first);
        --n;
    }
}

constexpr command commands[] = {
    {"sadd", -3, route::one_key, true, sadd},
    {"scard", 2, route::one_key, false, size_of<set>},
    {"sismember", 3, route::one_key, false, sismember},
    {"smembers", 2, route::one_key, false, smembers},
    {"spop", -2, route::one_key, true, spop},
    {"srandmember", -2, route::one_key, false, srandmember},
    {"srem", -3, route::one_key, true, remove_from<set>},
};

}  // namespace

std::span<const command> set_commands() noexcept { return commands; }

}  // namespace mini
