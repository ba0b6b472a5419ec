// Lists.
#include <algorithm>

#include "commands.hpp"

namespace mini {

namespace {

void push(call& c, bool left, bool only_there) {
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr && only_there) return c.out.integer(0);
    if (values == nullptr) values = c.find_or_make<list>(c.key());
    for (auto value : c.args.subspan(2)) {
        left ? (void)values->emplace_front(value) : (void)values->emplace_back(value);
    }
    c.changed = c.filled = true;
    c.out.integer(static_cast<std::int64_t>(values->size()));
}
void lpush(call& c) { push(c, true, false); }
void rpush(call& c) { push(c, false, false); }
void lpushx(call& c) { push(c, true, true); }
void rpushx(call& c) { push(c, false, true); }

void pop(call& c, bool left) {
    if (c.args.size() > 3) return refuse(find_command(c.args[0]), {}, c.out);
    std::int64_t count = 1;
    bool many = c.args.size() == 3;
    if (!c.pop_count(count)) return;
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr) return many ? c.out.null_array() : c.out.null();
    auto n = std::min<std::size_t>(static_cast<std::size_t>(count), values->size());
    if (many) c.out.array(n);
    c.changed = n > 0;
    for (; n > 0; --n) c.out.bulk(take(*values, left));
    c.drop_if_empty(c.key(), *values);
}
void lpop(call& c) { pop(c, true); }
void rpop(call& c) { pop(c, false); }

void range(call& c) {
    std::int64_t first = 0, last = 0;
    if (!c.integer(c.args[2], first) || !c.integer(c.args[3], last)) return;
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr) return c.out.array(0);
    auto part = clip(first, last, values->size());
    c.out.array(static_cast<std::size_t>(part.size()));
    auto from = values->begin() + part.first;
    std::for_each(from, from + part.size(), [&](const std::string& v) { c.out.bulk(v); });
}

void trim(call& c) {
    std::int64_t first = 0, last = 0;
    if (!c.integer(c.args[2], first) || !c.integer(c.args[3], last)) return;
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values != nullptr) {
        auto part = clip(first, last, values->size());
        values->erase(values->begin() + part.first + part.size(), values->end());
        values->erase(values->begin(), values->begin() + part.first);
        c.drop_if_empty(c.key(), *values);
        c.changed = true;
    }
    c.out.ok();
}

/// The value at an index, counted from the end if it is negative; null: there is none.
std::string* at(list& values, std::int64_t index) {
    auto size = static_cast<std::int64_t>(values.size());
    if (index < 0) index += size;
    return index < 0 || index >= size ? nullptr : &values[static_cast<std::size_t>(index)];
}

void index(call& c) {
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr) return c.out.null();
    std::int64_t index = 0;
    if (!c.integer(c.args[2], index)) return;
    auto* value = at(*values, index);
    value ? c.out.bulk(*value) : c.out.null();
}

void set_at(call& c) {
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr) return c.out.error("ERR no such key");
    std::int64_t index = 0;
    if (!c.integer(c.args[2], index)) return;
    auto* value = at(*values, index);
    if (value == nullptr) return c.out.error("ERR index out of range");
    value->assign(c.args[3]);
    c.changed = true;
    c.out.ok();
}

/// The first `count` from the left, the last from the right if it is negative, all if it is 0.
void remove(call& c) {
    std::int64_t count = 0;
    if (!c.integer(c.args[2], count)) return;
    list* values = nullptr;
    if (!c.find(c.key(), values)) return;
    if (values == nullptr) return c.out.integer(0);
    std::int64_t removed = 0;
    auto goes = [&, wanted = c.args[3]](const std::string& value) {
        if (value != wanted || (count != 0 && removed == (count < 0 ? -count : count)))
            return false;
        ++removed;
        return true;
    };
    if (count >= 0) {
        values->erase(std::remove_if(values->begin(), values->end(), goes), values->end());
    } else {
        auto kept = std::remove_if(values->rbegin(), values->rend(), goes);
        values->erase(values->begin(), kept.base());
    }
    c.drop_if_empty(c.key(), *values);
    c.changed = removed > 0;
    c.out.integer(removed);
}

constexpr command commands[] = {
    {"lindex", 3, route::one_key, false, index},  {"llen", 2, route::one_key, false, size_of<list>},
    {"lpop", -2, route::one_key, true, lpop},     {"lpush", -3, route::one_key, true, lpush},
    {"lpushx", -3, route::one_key, true, lpushx}, {"lrange", 4, route::one_key, false, range},
    {"lrem", 4, route::one_key, true, remove},    {"lset", 4, route::one_key, true, set_at},
    {"ltrim", 4, route::one_key, true, trim},     {"rpop", -2, route::one_key, true, rpop},
    {"rpush", -3, route::one_key, true, rpush},   {"rpushx", -3, route::one_key, true, rpushx},
};

}  // namespace

std::span<const command> list_commands() noexcept { return commands; }

}  // namespace mini
