// Addresses as values: parsed strictly, written in one way, compared and hashed by what they mean.
//
// Text is where addresses go wrong: 010.0.0.1 is 8.0.0.1 to some parsers, and "1.2.3.4:99999" wraps
// round in others. So what is accepted is RFC 4291 §2.2 and four plain decimal numbers, and nothing
// besides; what is written is RFC 5952; and what is refused is refused with the position and the
// reason. No name is looked up here.
module;
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
export module rt.net:endpoint;
import rt.task;

export namespace rt {

/// An IPv4 or IPv6 address, the latter with the number of an interface if it is link-local.
/// Default: 0.0.0.0.
class ip_address {
public:
    using v4_bytes = std::array<std::uint8_t, 4>;
    using v6_bytes = std::array<std::uint8_t, 16>;

    constexpr ip_address() noexcept = default;
    constexpr ip_address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept
        : bytes_{a, b, c, d} {}
    /// In the order in which they are written and sent.
    constexpr explicit ip_address(v4_bytes bytes) noexcept {
        for (std::size_t i = 0; i < 4; ++i) bytes_[i] = bytes[i];
    }
    constexpr explicit ip_address(v6_bytes bytes, std::uint32_t scope_id = 0) noexcept
        : bytes_(bytes), scope_(scope_id), v6_(true) {}

    static constexpr ip_address any_v4() noexcept { return ip_address(); }
    static constexpr ip_address any_v6() noexcept { return ip_address(v6_bytes{}); }
    static constexpr ip_address loopback_v4() noexcept { return ip_address(127, 0, 0, 1); }
    static constexpr ip_address loopback_v6() noexcept {
        v6_bytes bytes{};
        bytes[15] = 1;
        return ip_address(bytes);
    }

    [[nodiscard]] constexpr bool is_v4() const noexcept { return !v6_; }
    [[nodiscard]] constexpr bool is_v6() const noexcept { return v6_; }
    /// The four bytes of an IPv4 address; of an IPv6 address the first four.
    [[nodiscard]] constexpr v4_bytes to_v4() const noexcept {
        return {bytes_[0], bytes_[1], bytes_[2], bytes_[3]};
    }
    /// The sixteen bytes of an IPv6 address; an IPv4 address as ::ffff:a.b.c.d.
    [[nodiscard]] constexpr v6_bytes to_v6() const noexcept {
        if (v6_) return bytes_;
        v6_bytes mapped{};
        mapped[10] = mapped[11] = 0xff;
        for (std::size_t i = 0; i < 4; ++i) mapped[12 + i] = bytes_[i];
        return mapped;
    }
    /// The number of an interface (RFC 4007), where the address means something else on each; 0:
    /// none is said.
    [[nodiscard]] constexpr std::uint32_t scope_id() const noexcept { return scope_; }

    [[nodiscard]] constexpr bool is_unspecified() const noexcept { return bytes_ == v6_bytes{}; }
    /// 127.0.0.0/8, or ::1.
    [[nodiscard]] constexpr bool is_loopback() const noexcept {
        return v6_ ? bytes_ == loopback_v6().bytes_ : bytes_[0] == 127;
    }
    /// 224.0.0.0/4, or ff00::/8.
    [[nodiscard]] constexpr bool is_multicast() const noexcept {
        return v6_ ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0;
    }
    /// 169.254.0.0/16, or fe80::/10.
    [[nodiscard]] constexpr bool is_link_local() const noexcept {
        return v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80
                   : bytes_[0] == 169 && bytes_[1] == 254;
    }
    /// An IPv4 address in the clothes of IPv6, as a dual-stack socket reports its peers:
    /// ::ffff:0:0/96.
    [[nodiscard]] constexpr bool is_v4_mapped() const noexcept {
        for (std::size_t i = 0; i < 10; ++i)
            if (bytes_[i] != 0) return false;
        return v6_ && bytes_[10] == 0xff && bytes_[11] == 0xff;
    }
    /// The IPv4 address inside a mapped one; any other unchanged.
    [[nodiscard]] constexpr ip_address unmapped() const noexcept {
        if (!is_v4_mapped()) return *this;
        return ip_address(bytes_[12], bytes_[13], bytes_[14], bytes_[15]);
    }

    friend constexpr bool operator==(const ip_address&, const ip_address&) noexcept = default;
    /// IPv4 before IPv6, then by bytes, then by scope.
    friend constexpr std::strong_ordering operator<=>(const ip_address& a,
                                                      const ip_address& b) noexcept {
        if (a.v6_ != b.v6_) return a.v6_ <=> b.v6_;
        if (auto order = a.bytes_ <=> b.bytes_; order != 0) return order;
        return a.scope_ <=> b.scope_;
    }

private:
    v6_bytes bytes_{};  // of an IPv4 address the first four, and zeros
    std::uint32_t scope_ = 0;
    bool v6_ = false;
};

/// Where a socket is, or connects to.
struct endpoint {
    ip_address address;
    std::uint16_t port = 0;

    friend constexpr bool operator==(const endpoint&, const endpoint&) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(const endpoint&,
                                                      const endpoint&) noexcept = default;
};

/// Why and where a text is not an address. A text that ends too soon fails at its end.
struct parse_failure {
    std::size_t position = 0;
    const char* reason = "";
};

/// "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80", "[fe80::1%eth0]:80"; errc::invalid_address for all
/// else, and *why says more. Names such as "localhost:80" are not resolved.
result<endpoint> parse_endpoint(std::string_view text, parse_failure* why = nullptr);
/// "127.0.0.1", "::1", "fe80::1%2"; otherwise as parse_endpoint.
result<ip_address> parse_address(std::string_view text, parse_failure* why = nullptr);

/// As parse_endpoint and parse_address read it, with the interface as a number.
std::string to_string(const ip_address& address);
std::string to_string(const endpoint& where);

}  // namespace rt

export template <>
struct std::hash<rt::ip_address> {
    std::size_t operator()(const rt::ip_address& address) const noexcept;
};

export template <>
struct std::hash<rt::endpoint> {
    std::size_t operator()(const rt::endpoint& where) const noexcept;
};
