// Endpoints: what parses, how it is written, and where and why everything else fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>
import rt;

namespace {

struct valid {
    const char* text;
    const char* written;  // as RFC 5952 writes it
};

constexpr valid valid_texts[] = {
    {"127.0.0.1:8080", "127.0.0.1:8080"},
    {"0.0.0.0:0", "0.0.0.0:0"},
    {"255.255.255.255:65535", "255.255.255.255:65535"},
    {"[::1]:80", "[::1]:80"},
    {"[::]:0", "[::]:0"},
    {"[1::]:80", "[1::]:80"},
    {"[2001:db8::1]:443", "[2001:db8::1]:443"},
    {"[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"},
    {"[2001:0db8:0000:0000:0001:0000:0000:0001]:1", "[2001:db8::1:0:0:1]:1"},
    {"[2001:db8:0:1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"},
    {"[2001:db8::1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"},
    {"[2001:0:0:1:0:0:0:1]:1", "[2001:0:0:1::1]:1"},
    {"[1:2:3:4:5:6:7:8]:9", "[1:2:3:4:5:6:7:8]:9"},
    {"[1:2:3:4:5:6:7::]:9", "[1:2:3:4:5:6:7:0]:9"},
    {"[::2:3:4:5:6:7:8]:9", "[0:2:3:4:5:6:7:8]:9"},
    {"[0:0:3:4:5:6:0:0]:9", "[::3:4:5:6:0:0]:9"},
    {"[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80"},
    {"[::FFFF:c000:0201]:80", "[::ffff:192.0.2.1]:80"},
    {"[64:ff9b::192.0.2.33]:80", "[64:ff9b::c000:221]:80"},
    {"[1:2:3:4:5:6:7.8.9.10]:80", "[1:2:3:4:5:6:708:90a]:80"},
    {"[fe80::1%2]:80", "[fe80::1%2]:80"},
    {"[fe80::1%4294967295]:80", "[fe80::1%4294967295]:80"},
    {"[fe80::1%0]:80", "[fe80::1]:80"},
};

struct invalid {
    const char* text;
    std::size_t position;
    const char* reason;  // a part of it
};

constexpr invalid invalid_texts[] = {
    {"", 0, "address is missing"},
    {":8080", 0, "address is missing"},
    {"*:80", 0, "address is missing"},
    {"localhost:80", 0, "resolve"},
    {"host:", 0, "resolve"},
    {"host", 0, "resolve"},
    {" 1.2.3.4:80", 0, "not an address"},
    {"-1.2.3.4:80", 0, "not an address"},
    {"1.2.3.4:99999", 8, "65535"},
    {"1.2.3.4:65536", 8, "65535"},
    {"1.2.3.4:18446744073709551617", 8, "65535"},
    {"1.2.3.4:080", 8, "leading zero"},
    {"1.2.3.4:-1", 8, "65535"},
    {"1.2.3.4:+1", 8, "65535"},
    {"1.2.3.4: 80", 8, "65535"},
    {"1.2.3.4:80 ", 10, "follow the port"},
    {"1.2.3.4:80x", 10, "follow the port"},
    {"1.2.3.4:0x50", 9, "follow the port"},
    {"1.2.3.4/24:80", 7, "':' and a port"},
    {"1.2.3.4%2:80", 7, "':' and a port"},
    {"1.2.3.4.5:80", 7, "':' and a port"},
    {"1.2.3.4x:80", 7, "':' and a port"},
    {"1.2.3:80", 5, "four numbers"},
    {"8080", 0, "255"},
    {"1.2.3.256:80", 6, "255"},
    {"1.2.3.1000:80", 6, "255"},
    {"1..3.4:80", 2, "255"},
    {"1.2.3.:80", 6, "255"},
    {"01.2.3.4:80", 0, "leading zero"},
    {"1.2.3.00:80", 6, "leading zero"},
    {"0x7f.0.0.1:80", 1, "four numbers"},
    {"3com.example:80", 1, "four numbers"},
    {"::1:80", 0, "brackets"},
    {"fe80::1:80", 0, "brackets"},
    {"1:2:3:4:5:6:7:8:80", 0, "brackets"},
    {"1.2.3.4:80:90", 10, "follow the port"},
    {"[]:80", 1, "group"},
    {"[:1]:80", 2, "'::'"},
    {"[1]:80", 2, "eight groups"},
    {"[1:2:3:4:5:6:7]:80", 14, "eight groups"},
    {"[1:2:3:4:5:6:7:8:9]:80", 17, "eight groups"},
    {"[1:2:3:4:5:6:7:]:80", 15, "group"},
    {"[1::2::3]:80", 5, "once"},
    {"[:::1]:80", 3, "not part"},
    {"[1:::2]:80", 4, "not part"},
    {"[1:2:3:4::5:6:7:8]:80", 8, "stands for no group"},
    {"[12345::]:80", 5, "four digits"},
    {"[g::]:80", 1, "group"},
    {"[1:g::]:80", 3, "group"},
    {"[::1", 4, "']'"},
    {"[::1:80", 7, "']'"},
    {"[::1x]:80", 4, "not part"},
    {"[::1 ]:80", 4, "not part"},
    {"[::1]", 5, "':' and a port"},
    {"[::1]80", 5, "':' and a port"},
    {"[::1]:", 6, "65535"},
    {"[::1]:99999", 6, "65535"},
    {"[[::1]]:80", 1, "group"},
    {"[127.0.0.1]:80", 10, "eight groups"},
    {"[1:2:3:4:5:6:7:1.2.3.4]:80", 15, "last two groups"},
    {"[::1.2.3]:80", 8, "four numbers"},
    {"[::1.2.3.4:5]:80", 10, "not part"},
    {"[::1.2.3.256]:80", 9, "255"},
    {"[::a.2.3.4]:80", 3, "255"},
    {"[fe80::1%]:80", 9, "interface"},
    {"[fe80::1%2", 10, "']'"},
    {"[fe80::1%4294967296]:80", 9, "32 bits"},
    {"[fe80::1%02]:80", 9, "leading zero"},
    {"[fe80::1%no-such-interface-here]:80", 9, "no interface"},
    {"1.2.3.4\xc2\xa0:80", 7, "':' and a port"},
};

TEST(Endpoint, valid_texts_parse_and_are_written_as_rfc_5952_says_b80) {
    for (auto [text, written] : valid_texts) {
        auto where = rt::parse_endpoint(text);
        ASSERT_TRUE(where) << text;
        EXPECT_EQ(rt::to_string(*where), written) << text;
        EXPECT_EQ(rt::parse_endpoint(written), where) << text;
    }
}

TEST(Endpoint, malformed_texts_fail_with_position_and_reason_b80) {
    for (auto [text, position, reason] : invalid_texts) {
        rt::parse_failure why;
        auto where = rt::parse_endpoint(text, &why);
        EXPECT_EQ(where.error(), rt::errc::invalid_address) << text;
        EXPECT_EQ(why.position, position) << text << ": " << why.reason;
        EXPECT_NE(std::string_view(why.reason).find(reason), std::string_view::npos)
            << text << ": " << why.reason;
    }
}

TEST(Endpoint, a_text_that_ends_too_soon_fails_at_its_end_b80) {
    for (auto [text, written] : valid_texts) {
        std::string_view whole = text;
        for (std::size_t length = 0; length < whole.size(); ++length) {
            auto prefix = whole.substr(0, length);
            rt::parse_failure why;
            if (rt::parse_endpoint(prefix, &why)) continue;  // a port with fewer digits
            EXPECT_EQ(why.position, length) << prefix << ": " << why.reason;
        }
    }
}

TEST(Endpoint, every_changed_character_parses_or_fails_inside_the_text_b80) {
    const std::string characters = std::string("0a:.[]%x ") + '\0';
    for (auto [text, written] : valid_texts) {
        for (std::size_t i = 0; text[i] != '\0'; ++i) {
            for (char c : characters) {
                std::string changed = text;
                changed[i] = c;
                rt::parse_failure why;
                auto where = rt::parse_endpoint(changed, &why);
                if (where) {
                    EXPECT_EQ(rt::parse_endpoint(rt::to_string(*where)), where) << changed;
                } else {
                    EXPECT_LE(why.position, changed.size()) << changed;
                    EXPECT_STRNE(why.reason, "") << changed;
                }
            }
        }
    }
}

TEST(Endpoint, an_interface_may_be_given_by_its_name_b80) {
    auto where = rt::parse_endpoint("[fe80::1%lo]:80");
    ASSERT_TRUE(where) << "this system has no interface called lo";
    EXPECT_NE(where->address.scope_id(), 0u);
    EXPECT_EQ(rt::parse_endpoint(rt::to_string(*where)), where);
    using std::literals::operator""sv;
    EXPECT_FALSE(rt::parse_endpoint("[fe80::1%lo\0x]:80"sv));
}

TEST(Endpoint, an_address_alone_has_no_port_and_no_brackets) {
    EXPECT_EQ(rt::parse_address("10.1.2.3"), rt::ip_address(10, 1, 2, 3));
    EXPECT_EQ(rt::parse_address("::1"), rt::ip_address::loopback_v6());
    EXPECT_EQ(rt::parse_address("fe80::1%3")->scope_id(), 3u);
    for (const char* text : {"", "[::1]", "10.1.2.3:80", "10.1.2", "::1%", "localhost", "1:2"})
        EXPECT_EQ(rt::parse_address(text).error(), rt::errc::invalid_address) << text;
}

TEST(Endpoint, addresses_know_their_kind) {
    auto address = [](const char* text) { return rt::parse_address(text).value(); };
    EXPECT_TRUE(address("0.0.0.0").is_unspecified());
    EXPECT_TRUE(address("::").is_unspecified());
    EXPECT_TRUE(address("127.1.2.3").is_loopback());
    EXPECT_TRUE(address("::1").is_loopback());
    EXPECT_FALSE(address("::2").is_loopback());
    EXPECT_TRUE(address("239.0.0.1").is_multicast());
    EXPECT_TRUE(address("ff02::1").is_multicast());
    EXPECT_TRUE(address("169.254.0.1").is_link_local());
    EXPECT_TRUE(address("febf::1").is_link_local());
    EXPECT_FALSE(address("fec0::1").is_link_local());
    EXPECT_TRUE(address("::ffff:1.2.3.4").is_v4_mapped());
    EXPECT_FALSE(address("1.2.3.4").is_v4_mapped());
    EXPECT_EQ(address("::ffff:1.2.3.4").unmapped(), address("1.2.3.4"));
    EXPECT_EQ(address("::1").unmapped(), address("::1"));
    EXPECT_EQ(rt::ip_address(address("1.2.3.4").to_v6()), address("::ffff:1.2.3.4"));
}

TEST(Endpoint, they_are_ordered_and_hashed_by_value) {
    std::vector<rt::endpoint> sorted;
    for (const char* text :
         {"1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:1", "[::1]:80", "[::1]:81", "[::1%1]:1", "[::2]:1"})
        sorted.push_back(rt::parse_endpoint(text).value());
    EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
    std::unordered_set<rt::endpoint> set(sorted.begin(), sorted.end());
    EXPECT_EQ(set.size(), sorted.size());
    EXPECT_TRUE(set.contains({rt::ip_address(1, 2, 3, 5), 1}));
    std::unordered_set<std::size_t> hashes;
    for (auto& where : sorted) hashes.insert(std::hash<rt::endpoint>()(where));
    EXPECT_EQ(hashes.size(), sorted.size());
}

}  // namespace
