// Endpoints as the system has them: sockaddr_in, sockaddr_in6, and interfaces by their names.
module;
#include <sys/socket.h>
#include <cstdint>
#include <string_view>
module rt.net:sockaddr;
import rt.task;
import rt.net;

namespace rt::detail {

/// Writes where into storage and returns how much of it counts.
socklen_t to_sockaddr(const endpoint& where, sockaddr_storage& storage) noexcept;
/// 0.0.0.0:0 for a family other than the two.
endpoint from_sockaddr(const sockaddr_storage& storage) noexcept;
/// The number of the interface with that name; 0: there is none.
std::uint32_t interface_number(std::string_view name);

}  // namespace rt::detail
