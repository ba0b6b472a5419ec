// Writing: every address has one text (RFC 5952), and parses as itself again.
module;
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
module rt.net;

namespace rt {
namespace {

void append_v4(std::string& to, const std::uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) {
        if (i != 0) to += '.';
        to += std::to_string(bytes[i]);
    }
}

void append_hex(std::string& to, unsigned value) {
    std::array<char, 8> digits;
    auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    to.append(digits.data(), end);
}

// RFC 5952 §4: no leading zeros, lower case, and "::" for the first of the longest runs of two
// zeros or more.
void append_v6(std::string& to, const ip_address::v6_bytes& bytes) {
    auto group = [&](std::size_t i) { return unsigned{bytes[2 * i]} << 8 | bytes[2 * i + 1]; };
    std::size_t gap = 8, longest = 1;
    for (std::size_t i = 0; i < 8; ++i) {
        auto end = i;
        while (end < 8 && group(end) == 0) ++end;
        if (end - i > longest) {
            gap = i;
            longest = end - i;
        }
    }
    for (std::size_t i = 0; i < 8;) {
        if (i == gap) {
            to += "::";
            i += longest;
            continue;
        }
        if (i != 0 && i != gap + longest) to += ':';
        append_hex(to, group(i++));
    }
}

std::uint64_t mixed(std::uint64_t x) noexcept {  // the finaliser of splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

}  // namespace

std::string to_string(const ip_address& address) {
    std::string text;
    auto bytes = address.to_v6();
    if (address.is_v4()) {
        append_v4(text, &bytes[12]);
        return text;
    }
    if (address.is_v4_mapped()) {  // RFC 5952 §5: known to carry an IPv4 address
        text = "::ffff:";
        append_v4(text, &bytes[12]);
    } else {
        append_v6(text, bytes);
    }
    if (address.scope_id() != 0) text += '%' + std::to_string(address.scope_id());
    return text;
}

std::string to_string(const endpoint& where) {
    auto port = ':' + std::to_string(where.port);
    if (where.address.is_v4()) return to_string(where.address) + port;
    return '[' + to_string(where.address) + ']' + port;
}

}  // namespace rt

std::size_t std::hash<rt::ip_address>::operator()(const rt::ip_address& address) const noexcept {
    std::array<std::uint64_t, 2> words;
    auto bytes = address.to_v6();
    std::memcpy(words.data(), bytes.data(), bytes.size());
    auto kind = std::uint64_t{address.scope_id()} << 1 | std::uint64_t{address.is_v6()};
    return rt::mixed(words[0] + rt::mixed(words[1] + rt::mixed(kind + 0x9e3779b97f4a7c15)));
}

std::size_t std::hash<rt::endpoint>::operator()(const rt::endpoint& where) const noexcept {
    return rt::mixed(std::hash<rt::ip_address>()(where.address) + where.port);
}
