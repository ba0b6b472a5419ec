// What streams and listeners ask the system for.
module;
#include <system_error>
module rt.net:sockets;
import rt.task;
import rt.io;
import rt.net;

namespace rt::detail {

/// A TCP socket of the address's family.
result<io_handle> make_socket(const endpoint& at, bool listener);
/// The address of this side, or of the peer.
result<endpoint> name_of(const io_handle& h, bool peer);

}  // namespace rt::detail
