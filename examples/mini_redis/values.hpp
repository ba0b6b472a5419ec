// What a key can hold.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace mini {

/// Lookups by string_view, without making a string.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>()(text);
    }
};
template <class V>
using text_map = std::unordered_map<std::string, V, text_hash, std::equal_to<>>;

/// Keys in the order of their insertion, found by hash, and one at random in constant time. Small
/// ones keep their order when a key goes; in large ones the last takes the place of what goes.
template <class V>
class ordered_map {
public:
    struct slot {
        V value;
        std::size_t place;
    };
    using node = std::pair<const std::string, slot>;

    [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
    [[nodiscard]] bool empty() const noexcept { return order_.empty(); }
    [[nodiscard]] const node& at(std::size_t place) const noexcept { return *order_[place]; }
    [[nodiscard]] V* find(std::string_view key) noexcept {
        auto found = map_.find(key);
        return found == map_.end() ? nullptr : &found->second.value;
    }
    /// True: it was not there.
    bool set(std::string_view key, V value) {
        if (auto* old = find(key)) {
            *old = std::move(value);
            return false;
        }
        auto inserted = map_.emplace(key, slot{std::move(value), order_.size()}).first;
        order_.push_back(&*inserted);
        return true;
    }
    bool erase(std::string_view key) {
        auto found = map_.find(key);
        if (found == map_.end()) return false;
        auto place = found->second.place;
        if (order_.size() <= 128) {
            order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(place));
            for (auto i = place; i < order_.size(); ++i) order_[i]->second.place = i;
        } else {
            order_[place] = order_.back();
            order_[place]->second.place = place;
            order_.pop_back();
        }
        map_.erase(found);
        return true;
    }

private:
    text_map<slot> map_;
    std::vector<node*> order_;  // nodes stay where they are
};

/// The value at one end of a list, which it leaves.
inline std::string take(std::deque<std::string>& values, bool left) {
    auto value = std::move(left ? values.front() : values.back());
    left ? values.pop_front() : values.pop_back();
    return value;
}

struct nothing {};
using list = std::deque<std::string>;
using hash = ordered_map<std::string>;
using set = ordered_map<nothing>;

/// Members by score, and by text among equals.
class sorted_set {
public:
    using place = std::pair<double, std::string_view>;
    [[nodiscard]] const double* find(std::string_view member) const {
        auto found = scores_.find(member);
        return found == scores_.end() ? nullptr : &found->second;
    }
    void put(std::string_view member, double score) {
        auto [entry, added] = scores_.try_emplace(std::string(member), score);
        if (!added) {
            if (entry->second == score) return;
            order_.erase({entry->second, entry->first});
            entry->second = score;
        }
        order_.emplace(score, entry->first);
    }
    bool erase(std::string_view member) {
        auto found = scores_.find(member);
        if (found == scores_.end()) return false;
        order_.erase({found->second, found->first});
        scores_.erase(found);
        return true;
    }
    [[nodiscard]] const std::set<place>& order() const noexcept { return order_; }
    [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
    [[nodiscard]] bool empty() const noexcept { return order_.empty(); }

private:
    text_map<double> scores_;
    std::set<place> order_;  // views of the keys of scores_, which stay where they are
};

/// A key's value, and when it expires.
struct object {
    static constexpr std::int64_t never = 0;
    template <class T>
    using held = std::conditional_t<std::is_same_v<T, std::string>, T, std::unique_ptr<T>>;

    std::variant<std::string, held<list>, held<hash>, held<set>, held<sorted_set>> value;
    std::int64_t expires = never;  // milliseconds since 1970

    [[nodiscard]] bool expired(std::int64_t now) const noexcept {
        return expires != never && expires <= now;
    }
    [[nodiscard]] const char* type() const noexcept {
        constexpr const char* names[] = {"string", "list", "hash", "set", "zset"};
        return names[value.index()];
    }
};

}  // namespace mini
