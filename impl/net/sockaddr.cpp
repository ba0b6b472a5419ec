// In a unit of its own: htons() and its like expand to functions with internal linkage, which a
// module must not show.
module;
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
module rt.net;
import rt.task;
import :sockaddr;

namespace rt::detail {

socklen_t to_sockaddr(const endpoint& where, sockaddr_storage& storage) noexcept {
    storage = {};
    if (where.address.is_v4()) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(where.port);
        std::memcpy(&v4.sin_addr, where.address.to_v4().data(), 4);
        std::memcpy(&storage, &v4, sizeof v4);
        return sizeof v4;
    }
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(where.port);
    std::memcpy(&v6.sin6_addr, where.address.to_v6().data(), 16);
    v6.sin6_scope_id = where.address.scope_id();
    std::memcpy(&storage, &v6, sizeof v6);
    return sizeof v6;
}

endpoint from_sockaddr(const sockaddr_storage& storage) noexcept {
    if (storage.ss_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &storage, sizeof v4);
        ip_address::v4_bytes bytes;
        std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
        return {ip_address(bytes), ntohs(v4.sin_port)};
    }
    if (storage.ss_family == AF_INET6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, &storage, sizeof v6);
        ip_address::v6_bytes bytes;
        std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
        return {ip_address(bytes, v6.sin6_scope_id), ntohs(v6.sin6_port)};
    }
    return {};
}

std::uint32_t interface_number(std::string_view name) {
    return if_nametoindex(std::string(name).c_str());
}

}  // namespace rt::detail
