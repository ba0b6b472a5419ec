// Sorted sets. A rank is counted from an end: its cost is linear, which a tree that knows the sizes
// of its branches would avoid.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <limits>

#include "commands.hpp"

namespace mini {

namespace {

struct zadd_options : conditions {
    bool changed = false, incr = false;
};

/// The index of the first score; 0: the client was refused.
std::size_t parse(call& c, zadd_options& o) {
    std::size_t i = 2;
    for (; i < c.args.size(); ++i) {
        auto word = c.args[i];
        if (o.take(word)) continue;
        if (same_word(word, "ch")) {
            o.changed = true;
        } else if (same_word(word, "incr")) {
            o.incr = true;
        } else {
            break;
        }
    }
    auto left = c.args.size() - i;
    if (left == 0 || left % 2 != 0) {
        c.syntax_error();
    } else if (o.nx && o.xx) {
        c.out.error("ERR XX and NX options at the same time are not compatible");
    } else if ((o.gt && o.nx) || (o.lt && o.nx) || (o.gt && o.lt)) {
        c.out.error("ERR GT, LT, and/or NX options at the same time are not compatible");
    } else if (o.incr && left > 2) {
        c.out.error("ERR INCR option supports a single increment-element pair");
    } else {
        return i;
    }
    return 0;
}

void add(call& c, std::size_t first, const zadd_options& o) {
    for (auto i = first; i < c.args.size(); i += 2) {
        double score = 0;
        if (!to_double(c.args[i], score)) return c.out.error("ERR value is not a valid float");
    }
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    if (members == nullptr && o.xx) return o.incr ? c.out.null() : c.out.integer(0);
    if (members == nullptr) members = c.find_or_make<sorted_set>(c.key());
    std::int64_t added = 0, updated = 0;
    std::optional<double> result;
    for (auto i = first; i < c.args.size(); i += 2) {
        double score = 0;
        (void)to_double(c.args[i], score);
        auto member = c.args[i + 1];
        auto* old = members->find(member);
        if (old ? o.nx : o.xx) continue;
        if (old && o.incr) score += *old;
        if (std::isnan(score)) return c.out.error("ERR resulting score is not a number (NaN)");
        if (old && ((o.gt && score <= *old) || (o.lt && score >= *old))) continue;
        added += old == nullptr;
        updated += old != nullptr && *old != score;
        members->put(member, score);
        result = score;
    }
    c.changed = added + updated > 0;
    c.drop_if_empty(c.key(), *members);
    if (!o.incr) return c.out.integer(o.changed ? added + updated : added);
    result ? c.out.bulk(from_double(*result)) : c.out.null();
}
void zadd(call& c) {
    zadd_options options;
    if (auto first = parse(c, options)) add(c, first, options);
}
void zincrby(call& c) {
    zadd_options options;
    options.incr = true;
    if (auto first = parse(c, options)) add(c, first, options);  // as Redis: options here too
}

void zscore(call& c) {
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    auto* score = members ? members->find(c.args[2]) : nullptr;
    score ? c.out.bulk(from_double(*score)) : c.out.null();
}

void rank(call& c, bool reverse) {
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    auto* score = members ? members->find(c.args[2]) : nullptr;
    if (score == nullptr) return c.out.null();
    auto& order = members->order();
    auto before = std::distance(order.begin(), order.find({*score, c.args[2]}));
    c.out.integer(reverse ? static_cast<std::int64_t>(order.size()) - 1 - before : before);
}
void zrank(call& c) { rank(c, false); }
void zrevrank(call& c) { rank(c, true); }

void write(call& c, const sorted_set::place& at, bool with_score) {
    c.out.bulk(at.second);
    if (with_score) c.out.bulk(from_double(at.first));
}

void range(call& c, bool reverse, bool may_reverse) {
    bool with_scores = false;
    for (auto word : c.args.subspan(4)) {
        if (same_word(word, "withscores")) {
            with_scores = true;
        } else if (may_reverse && same_word(word, "rev")) {
            reverse = true;
        } else {
            return c.syntax_error();
        }
    }
    std::int64_t first = 0, last = 0;
    if (!c.integer(c.args[2], first) || !c.integer(c.args[3], last)) return;
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    auto part = clip(first, last, members ? members->size() : 0);
    auto n = static_cast<std::size_t>(part.size());
    c.out.array(with_scores ? 2 * n : n);
    if (n == 0) return;
    auto& order = members->order();
    if (reverse) {
        auto at = std::next(order.rbegin(), part.first);
        for (; n > 0; --n) write(c, *at++, with_scores);
    } else {
        auto at = std::next(order.begin(), part.first);
        for (; n > 0; --n) write(c, *at++, with_scores);
    }
}
void zrange(call& c) { range(c, false, true); }
void zrevrange(call& c) { range(c, true, false); }

/// "1.5", "(1.5" without the bound itself, "-inf".
struct score_bound {
    double score = 0;
    bool open = false;
    bool parse(std::string_view text) {
        open = text.starts_with('(');
        std::string number(text.substr(open ? 1 : 0));
        char* end = nullptr;
        score = std::strtod(number.c_str(), &end);  // as Redis: nothing at all is 0
        return *end == 0 && !std::isnan(score);
    }
};
void zcount(call& c) {
    score_bound low, high;
    if (!low.parse(c.args[2]) || !high.parse(c.args[3]))
        return c.out.error("ERR min or max is not a float");
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    if (members == nullptr) return c.out.integer(0);
    auto n = std::count_if(members->order().begin(), members->order().end(), [&](const auto& at) {
        return (low.open ? at.first > low.score : at.first >= low.score) &&
               (high.open ? at.first < high.score : at.first <= high.score);
    });
    c.out.integer(n);
}

void pop(call& c, bool least) {
    std::int64_t count = 1;
    if (c.args.size() > 3) return c.syntax_error();
    if (!c.pop_count(count)) return;
    sorted_set* members = nullptr;
    if (!c.find(c.key(), members)) return;
    if (members == nullptr) return c.out.array(0);
    auto n = std::min<std::size_t>(static_cast<std::size_t>(count), members->size());
    c.out.array(2 * n);
    c.changed = n > 0;
    for (; n > 0; --n) {
        auto& order = members->order();
        auto at = least ? order.begin() : std::prev(order.end());
        write(c, *at, true);
        members->erase(std::string(at->second));
    }
    c.drop_if_empty(c.key(), *members);
}
void zpopmin(call& c) { pop(c, true); }
void zpopmax(call& c) { pop(c, false); }

constexpr command commands[] = {
    {"zadd", -4, route::one_key, true, zadd},
    {"zcard", 2, route::one_key, false, size_of<sorted_set>},
    {"zcount", 4, route::one_key, false, zcount},
    {"zincrby", 4, route::one_key, true, zincrby},
    {"zpopmax", -2, route::one_key, true, zpopmax},
    {"zpopmin", -2, route::one_key, true, zpopmin},
    {"zrange", -4, route::one_key, false, zrange},
    {"zrank", 3, route::one_key, false, zrank},
    {"zrem", -3, route::one_key, true, remove_from<sorted_set>},
    {"zrevrange", -4, route::one_key, false, zrevrange},
    {"zrevrank", 3, route::one_key, false, zrevrank},
    {"zscore", 3, route::one_key, false, zscore},
};

}  // namespace

std::span<const command> sorted_set_commands() noexcept { return commands; }

}  // namespace mini
