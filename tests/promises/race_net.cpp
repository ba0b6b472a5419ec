// Connections: each is served once, or still waits in the kernel's queue.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/helpers.hpp"
#include "promises/race.hpp"

namespace {

void connect_to_port(int fd, std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
}
/// With a reset, so that no port stays in TIME_WAIT.
void close_at_once(int fd) {
    linger now{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd);
}

template <class Waits>
struct accept_row : race::row {
    static constexpr int cost = 10;
    rt::tcp_listener listener;
    int client = -1;

    rt::task<> set_up() { listener = co_await listen(); }
    rt::task<> reset() {
        close_at_once(std::exchange(client, ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
        co_return;
    }
    ~accept_row() { close_at_once(client); }
    auto op() { return Waits()(listener); }
    void take(rt::result<rt::accepted> one) { take(std::optional(std::move(one.value()))); }
    void take(std::optional<rt::accepted> one) {
        sockaddr_in me{};
        socklen_t size = sizeof me;
        ::getsockname(client, reinterpret_cast<sockaddr*>(&me), &size);
        EXPECT_EQ(one->from.port, ntohs(me.sin_port));
    }
    void give() { connect_to_port(client, listener.local().value().port); }
};
KERNEL_RACE(a_connection_b31, "net/listener:accept_op",
            accept_row<decltype([](auto& listener) { return listener.accept(); })>)
KERNEL_RACE(a_next_connection_b31_b82, "net/listener:next_accept_op",
            accept_row<decltype([](auto& listener) { return listener.next(); })>)

/// Whatever was connected can be accepted, and no descriptor stays behind.
struct connect_row : race::row {
    static constexpr int cost = 10;
    static constexpr bool early = true;
    rt::tcp_listener listener;
    std::size_t descriptors = 0;

    rt::task<> set_up() { listener = co_await listen(); }
    rt::task<> reset() {
        if (descriptors == 0) descriptors = open_descriptors();
        int fd = static_cast<int>(listener.handle().native());
        ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
        for (int peer; (peer = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
            close_at_once(peer);
        EXPECT_LE(open_descriptors(), descriptors);
        co_return;
    }
    rt::task<> act() {
        auto stream = (co_await rt::tcp_stream::connect(listener.local().value())).or_throw();
        EXPECT_EQ(stream.peer().value(), listener.local().value());
        reset_peer(std::move(stream));
    }
    static void reset_peer(rt::tcp_stream stream) { ::reset(std::move(stream)); }
    void give() {}
};
KERNEL_RACE(a_connection_that_is_made_b74, "net/tcp:connect", connect_row)

}  // namespace
