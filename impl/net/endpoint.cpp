// One pass over the text, from left to right, so that whatever fails fails at the first character
// that is wrong.
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>
module rt.net;
import :sockaddr;

namespace rt {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

class scanner {
public:
    explicit scanner(std::string_view text) noexcept : text_(text) {}

    [[nodiscard]] bool at_end() const noexcept { return at_ == text_.size(); }
    /// NUL at the end. A NUL in the text is as unexpected as any other character that is not asked
    /// for.
    [[nodiscard]] char next(std::size_t ahead = 0) const noexcept {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    bool take(char c) noexcept {
        if (at_end() || next() != c) return false;
        ++at_;
        return true;
    }
    bool fail(std::size_t position, const char* reason) noexcept {
        failure_ = {position, reason};
        return false;
    }
    bool fail(const char* reason) noexcept { return fail(at_, reason); }
    bool expect(char c, const char* reason) noexcept { return take(c) || fail(reason); }
    bool expect_end(const char* reason) noexcept { return at_end() || fail(reason); }
    [[nodiscard]] const parse_failure& failure() const noexcept { return failure_; }

    bool number(std::uint64_t most, std::uint64_t& value, const char* reason) noexcept {
        auto start = at_;
        if (!is_digit(next())) return fail(reason);
        if (next() == '0' && is_digit(next(1))) return fail("a number has a leading zero");
        for (value = 0; is_digit(next()); ++at_) {
            value = value * 10 + static_cast<std::uint64_t>(next() - '0');
            if (value > most) return fail(start, reason);
        }
        return true;
    }
    bool v4(ip_address::v4_bytes& bytes) noexcept {
        for (std::size_t i = 0; i < 4; ++i) {
            if (i != 0 && !expect('.', "an IPv4 address has four numbers with '.' between them"))
                return false;
            std::uint64_t value = 0;
            if (!number(255, value, "a number from 0 to 255 is expected")) return false;
            bytes[i] = static_cast<std::uint8_t>(value);
        }
        return true;
    }
    bool v6(ip_address::v6_bytes& bytes) noexcept;
    bool scope(char terminator, std::uint32_t& scope_id);
    bool port(std::uint16_t& port) noexcept {
        std::uint64_t value = 0;
        if (!number(65535, value, "a port from 0 to 65535 is expected")) return false;
        port = static_cast<std::uint16_t>(value);
        return expect_end("nothing may follow the port");
    }
    [[nodiscard]] char first_of(std::string_view characters) const noexcept {
        auto found = text_.find_first_of(characters);
        return found == text_.npos ? '\0' : text_[found];
    }
    /// An IPv6 address has two colons or more, and one before its first dot.
    [[nodiscard]] bool looks_like_v6() const noexcept {
        return first_of(".:") == ':' && text_.find(':') != text_.rfind(':');
    }

private:
    struct groups {
        std::array<std::uint16_t, 8> value{};
        std::size_t count = 0;
        bool has_gap = false;
        std::size_t gap = 0;  // "::" stands before this group
        std::size_t gap_position = 0;
    };
    bool gap(groups& read) noexcept;
    bool group(groups& read, bool& last) noexcept;

    std::string_view text_;
    std::size_t at_ = 0;
    parse_failure failure_;
};

/// The second colon of a "::", whose first one was taken.
bool scanner::gap(groups& read) noexcept {
    if (read.has_gap) return fail(at_ - 1, "'::' may stand once in an IPv6 address");
    read.has_gap = true;
    read.gap = read.count;
    read.gap_position = at_ - 1;
    return expect(':', "'::' is expected");
}

/// Up to four hexadecimal digits, or the IPv4 address that may stand for the last two groups.
bool scanner::group(groups& read, bool& last) noexcept {
    auto start = at_;
    unsigned value = 0;
    for (int digits = 0; hex_value(next()) >= 0; ++at_, ++digits) {
        if (digits == 4) return fail("a group of an IPv6 address has at most four digits");
        value = value * 16 + static_cast<unsigned>(hex_value(next()));
    }
    if (at_ == start) return fail("a group of an IPv6 address is expected");
    if (next() != '.') {
        if (read.count == 8) return fail(start, "an IPv6 address has eight groups");
        read.value[read.count++] = static_cast<std::uint16_t>(value);
        return true;
    }
    last = true;
    ip_address::v4_bytes tail{};
    if (read.count > 6)
        return fail(start, "an IPv4 address takes the place of the last two groups");
    at_ = start;
    if (!v4(tail)) return false;
    read.value[read.count++] = static_cast<std::uint16_t>(tail[0] << 8 | tail[1]);
    read.value[read.count++] = static_cast<std::uint16_t>(tail[2] << 8 | tail[3]);
    return true;
}

// RFC 4291 §2.2.
bool scanner::v6(ip_address::v6_bytes& bytes) noexcept {
    groups read;
    bool last = false;
    if (take(':') && !gap(read)) return false;
    // After a "::" the address may end; after a single ':' it may not.
    for (bool needed = !read.has_gap; needed || hex_value(next()) >= 0;) {
        if (!group(read, last)) return false;
        if (last || !take(':')) break;
        needed = next() != ':';
        if (!needed && !gap(read)) return false;
    }
    if (!read.has_gap && read.count != 8)
        return fail("an IPv6 address has eight groups, or a '::'");
    if (read.has_gap && read.count == 8) return fail(read.gap_position, "'::' stands for no group");
    auto skipped = 8 - read.count;
    for (std::size_t i = 0; i < read.count; ++i) {
        auto place = read.has_gap && i >= read.gap ? i + skipped : i;
        bytes[2 * place] = static_cast<std::uint8_t>(read.value[i] >> 8);
        bytes[2 * place + 1] = static_cast<std::uint8_t>(read.value[i]);
    }
    return true;
}

/// What follows '%', up to the terminator, or to the end if that is NUL: a number or the name of an
/// interface.
bool scanner::scope(char terminator, std::uint32_t& scope_id) {
    auto length = text_.substr(at_).find(terminator);
    if (length == text_.npos) {
        if (terminator != '\0') return fail(text_.size(), "the ']' is missing");
        length = text_.size() - at_;
    }
    auto name = text_.substr(at_, length);
    if (name.empty()) return fail("a number or name of an interface is expected after '%'");
    if (name.find_first_not_of("0123456789") == name.npos) {
        std::uint64_t value = 0;
        if (!number(0xffffffff, value, "the number of an interface has at most 32 bits"))
            return false;
        scope_id = static_cast<std::uint32_t>(value);
        return true;
    }
    bool has_nul = name.find('\0') != name.npos;  // the system would not read past it
    scope_id = has_nul ? 0 : detail::interface_number(name);
    if (scope_id == 0) return fail("there is no interface of this name");
    at_ += length;
    return true;
}

bool scan_address(scanner& in, char terminator, ip_address& address) {
    if (terminator == '\0' && in.first_of(".:") != ':') {
        ip_address::v4_bytes bytes{};
        if (!in.v4(bytes)) return false;
        address = ip_address(bytes);
        return true;
    }
    ip_address::v6_bytes bytes{};
    std::uint32_t scope_id = 0;
    if (!in.v6(bytes)) return false;
    if (in.take('%') && !in.scope(terminator, scope_id)) return false;
    address = ip_address(bytes, scope_id);
    return true;
}

bool scan_endpoint(scanner& in, endpoint& where) {
    if (in.take('[')) {
        if (!scan_address(in, ']', where.address)) return false;
        if (!in.expect(']', in.at_end() ? "the ']' is missing" : "not part of an IPv6 address"))
            return false;
    } else {
        if (in.at_end()) return in.fail("an address is missing: 127.0.0.1:80 or [::1]:80");
        if (in.looks_like_v6()) return in.fail("an IPv6 address needs brackets: [::1]:80");
        if (in.next() == ':' || in.next() == '*')
            return in.fail("an address is missing: 0.0.0.0:80 for all of IPv4, [::]:80 for all");
        if (!is_digit(in.next()))
            return in.fail("not an address: names are not resolved, write the number");
        ip_address::v4_bytes bytes{};
        if (!in.v4(bytes)) return false;
        where.address = ip_address(bytes);
    }
    return in.expect(':', "a ':' and a port are expected") && in.port(where.port);
}

template <class T>
result<T> finish(const scanner& in, bool scanned, const T& value, parse_failure* why) {
    if (scanned) return value;
    if (why != nullptr) *why = in.failure();
    return errc::invalid_address;
}

}  // namespace

result<endpoint> parse_endpoint(std::string_view text, parse_failure* why) {
    scanner in(text);
    endpoint where;
    bool scanned = scan_endpoint(in, where);
    return finish(in, scanned, where, why);
}

result<ip_address> parse_address(std::string_view text, parse_failure* why) {
    scanner in(text);
    ip_address address;
    bool scanned = scan_address(in, '\0', address) && in.expect_end("not part of an address");
    return finish(in, scanned, address, why);
}

}  // namespace rt
