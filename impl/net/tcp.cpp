module;
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <source_location>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
module rt.net;
import rt.task;
import rt.io;
import :sockaddr;
import :sockets;

namespace rt {

namespace detail {

namespace {
template <class Span>
std::size_t fill(io_vector& vector, std::span<const Span> buffers) noexcept {
    auto n = std::min(buffers.size(), io_vector::most);
    for (std::size_t i = 0; i < n; ++i)
        vector.slices[i] = {const_cast<std::byte*>(buffers[i].data()), buffers[i].size()};
    return n;
}
}  // namespace

vectored_op::vectored_op(const io_handle& h, std::span<const std::span<std::byte>> buffers,
                         std::source_location where) noexcept
    : io_op(h.object(), io_kind::receive_vectored, nullptr, 0), where_(where) {
    size = fill(vector_, buffers);
}
vectored_op::vectored_op(const io_handle& h, std::span<const std::span<const std::byte>> buffers,
                         std::source_location where) noexcept
    : io_op(h.object(), io_kind::send_vectored, nullptr, 0), where_(where) {
    size = fill(vector_, buffers);
}

namespace {

class connect_op : public io_op<connect_op> {
public:
    struct lossy {};
    using lossless = lossy;
    connect_op(const io_handle& h, const endpoint& to, std::source_location where) noexcept
        : io_op(h.object(), io_kind::connect, nullptr, 0), where_(where) {
        size = to_sockaddr(to, address_);
    }
    connect_op(connect_op&&) noexcept = default;
    void prepare() noexcept { data = &address_; }
    rt::result<void> await_resume() const noexcept { return failure(); }
    const char* what() const noexcept { return "rt::tcp_stream::connect"; }
    std::source_location where() const noexcept { return where_; }

private:
    sockaddr_storage address_;
    std::source_location where_;
};

std::error_code last_error() noexcept { return {errno, std::system_category()}; }

template <class T>
result<> set(native_handle s, int level, int name, const T& value) {
    if (::setsockopt(static_cast<int>(s), level, name, &value, sizeof value) < 0)
        return last_error();
    return {};
}
template <class T>
result<T> get(native_handle s, int level, int name) {
    T value{};
    socklen_t length = sizeof value;
    if (::getsockopt(static_cast<int>(s), level, name, &value, &length) < 0) return last_error();
    return value;
}
result<bool> get_bool(native_handle s, int level, int name) {
    return get<int>(s, level, name).transform([](int v) { return v != 0; });
}
result<std::size_t> get_size(native_handle s, int level, int name) {
    return get<int>(s, level, name).transform([](int v) { return static_cast<std::size_t>(v); });
}

}  // namespace

result<io_handle> make_socket(const endpoint& at, bool listener) {
    int family = at.address.is_v4() ? AF_INET : AF_INET6;
    int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) return last_error();
    return io_handle(fd, listener ? descriptor_kind::listener : descriptor_kind::socket);
}

result<endpoint> name_of(const io_handle& h, bool peer) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    int fd = static_cast<int>(h.native());
    int failed = peer ? ::getpeername(fd, address, &length) : ::getsockname(fd, address, &length);
    if (failed) return last_error();
    return from_sockaddr(storage);
}

}  // namespace detail

result<> tcp_options::nodelay(bool on) const {
    return detail::set<int>(socket_, IPPROTO_TCP, TCP_NODELAY, on);
}
result<bool> tcp_options::nodelay() const {
    return detail::get_bool(socket_, IPPROTO_TCP, TCP_NODELAY);
}
result<> tcp_options::keepalive(bool on) const {
    return detail::set<int>(socket_, SOL_SOCKET, SO_KEEPALIVE, on);
}
result<bool> tcp_options::keepalive() const {
    return detail::get_bool(socket_, SOL_SOCKET, SO_KEEPALIVE);
}
result<> tcp_options::linger(linger_option value) const {
    ::linger l{value.on, static_cast<int>(value.time.count())};
    return detail::set(socket_, SOL_SOCKET, SO_LINGER, l);
}
result<linger_option> tcp_options::linger() const {
    return detail::get<::linger>(socket_, SOL_SOCKET, SO_LINGER).transform([](::linger l) {
        return linger_option{l.l_onoff != 0, std::chrono::seconds(l.l_linger)};
    });
}
result<> tcp_options::receive_buffer(std::size_t bytes) const {
    return detail::set(socket_, SOL_SOCKET, SO_RCVBUF, static_cast<int>(bytes));
}
result<std::size_t> tcp_options::receive_buffer() const {
    return detail::get_size(socket_, SOL_SOCKET, SO_RCVBUF);
}
result<> tcp_options::send_buffer(std::size_t bytes) const {
    return detail::set(socket_, SOL_SOCKET, SO_SNDBUF, static_cast<int>(bytes));
}
result<std::size_t> tcp_options::send_buffer() const {
    return detail::get_size(socket_, SOL_SOCKET, SO_SNDBUF);
}
result<bool> tcp_options::reuse_address() const {
    return detail::get_bool(socket_, SOL_SOCKET, SO_REUSEADDR);
}
result<bool> tcp_options::reuse_port() const {
    return detail::get_bool(socket_, SOL_SOCKET, SO_REUSEPORT);
}

int tcp_reader::peek_flag() noexcept { return MSG_PEEK; }

namespace {

result<> shut(const io_handle& h, int how) {
    // ENOTCONN: the peer has reset the connection, so it has ended already.
    if (::shutdown(static_cast<int>(h.native()), how) == 0 || errno == ENOTCONN) return {};
    return std::error_code(errno, std::system_category());
}

}  // namespace

result<> tcp_writer::shutdown() const { return shut(handle_, SHUT_WR); }
void tcp_writer::finish() noexcept {
    if (handle_) (void)shut(handle_, SHUT_WR);
}

result<> tcp_stream::shutdown(shutdown_side side) const {
    return shut(handle_, side == shutdown_side::read    ? SHUT_RD
                         : side == shutdown_side::write ? SHUT_WR
                                                        : SHUT_RDWR);
}

std::pair<tcp_reader, tcp_writer> tcp_stream::split() && {
    auto other = handle_.share();
    return {tcp_reader(std::move(handle_)), tcp_writer(std::move(other))};
}

tcp_stream tcp_stream::unsplit(tcp_reader reader, tcp_writer writer, here where) {
    if (!(reader.handle() == writer.handle()))
        misuse("tcp_stream::unsplit of halves of two streams", where);
    auto handle = std::move(writer).release();
    return tcp_stream(std::move(handle));
}

result<endpoint> tcp_stream::local() const { return detail::name_of(handle_, false); }
result<endpoint> tcp_stream::peer() const { return detail::name_of(handle_, true); }

io_task<tcp_stream> tcp_stream::connect(endpoint to, here where) {
    auto socket = detail::make_socket(to, false);
    if (!socket) co_return socket.error();
    co_await detail::connect_op(*socket, to, where).or_return();
    co_return tcp_stream(*std::move(socket));
}

io_task<tcp_stream> tcp_stream::connect(std::string address, here where) {
    auto to = parse_endpoint(address);
    if (!to) co_return to.error();
    co_return co_await connect(*to, where);
}

}  // namespace rt
