#include "commands.hpp"

#include <unordered_map>

namespace mini {

namespace {

struct any_case_hash {  // FNV-1a
    std::size_t operator()(std::string_view text) const noexcept {
        std::size_t h = 14695981039346656037u;
        for (char c : text) h = (h ^ static_cast<unsigned char>(lower(c))) * 1099511628211u;
        return h;
    }
};
struct any_case_equal {
    bool operator()(std::string_view a, std::string_view b) const noexcept {
        if (a.size() != b.size()) return false;
        for (std::size_t i = 0; i < a.size(); ++i)
            if (lower(a[i]) != lower(b[i])) return false;
        return true;
    }
};

std::vector<command> gather() {
    std::vector<command> all;
    for (auto part : {string_commands(), key_commands(), list_commands(), hash_commands(),
                      set_commands(), sorted_set_commands(), client_commands()})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

}  // namespace

std::span<const command> all_commands() noexcept {
    static const auto all = gather();
    return all;
}

const command* find_command(std::string_view name) noexcept {
    static const auto by_name = [] {
        std::unordered_map<std::string_view, const command*, any_case_hash, any_case_equal> map;
        for (auto& c : all_commands()) map.emplace(c.name, &c);
        return map;
    }();
    auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second;
}

void execute(const command& what, call& c) {
    what.run(c);
    if (c.changed) c.on.log(c.args);
    if (c.filled) c.on.serve_blocked(c.key());
}

void refuse(const command* what, const arguments& args, reply out) {
    if (what != nullptr) {
        out.error("ERR wrong number of arguments for '" + std::string(what->name) + "' command");
        return;
    }
    std::string shown;
    for (std::size_t i = 1; i < args.size() && shown.size() < 128; ++i)
        shown += "'" + as_c_prints(args[i], 128 - shown.size()) + "' ";
    out.error("ERR unknown command '" + as_c_prints(args[0], 128) +
              "', with args beginning with: " + shown);
}

}  // namespace mini
