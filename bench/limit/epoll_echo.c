// The limit for an echo server: what one thread gets from epoll when nothing stands in between.
// A runtime's cost is its distance from this program, so it takes every shortcut that needs no
// runtime: one recv and one send per message, and epoll_ctl only when the socket is full. It stays
// level-triggered, because edges would need a second recv, just to see EAGAIN, for every message.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_size = 16 * 1024, events_per_wait = 256 };

struct connection {
    int socket;
    size_t sent;  // sent < filled: an answer waits for room in the socket
    size_t filled;
    char buffer[buffer_size];
};

static _Noreturn void fail(const char* what) {
    perror(what);
    exit(1);
}

// There is nothing to save, and _exit may be called from a handler. A flag would need more: a
// signal that arrives just before epoll_wait must end it too.
static void stop(int signal_number) {
    (void)signal_number;
    _exit(0);
}

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

static int parse_port(int argc, char** argv) {
    static const struct option names[] = {{"port", required_argument, NULL, 'p'}, {0}};
    int port = 0;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        char* end = optarg;
        long value = option == 'p' ? strtol(optarg, &end, 10) : -1;
        if (value < 0 || value > 65535 || end == optarg || *end != '\0') optind = argc + 1;
        if (optind > argc) break;
        port = (int)value;
    }
    if (optind == argc) return port;
    fprintf(stderr, "usage: %s [--port N]   (0, the default: the system picks one)\n", argv[0]);
    exit(2);
}

static int listen_on_loopback(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) fail("socket");
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // On Linux accepted sockets inherit it, which saves a call per connection.
    if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr*)&address, length) != 0) fail("bind");
    if (listen(listener, 4096) != 0) fail("listen");
    if (getsockname(listener, (struct sockaddr*)&address, &length) != 0) fail("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void accept_all(int epoll, int listener) {
    for (;;) {
        int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) {
            if (errno == EAGAIN) return;
            // Out of descriptors or memory: the listener would stay ready and the loop would spin,
            // and a measurement of that is worth nothing.
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                fail("accept4");
            continue;  // the peer was gone before we came
        }
        struct connection* peer = malloc(sizeof *peer);
        if (peer == NULL) fail("malloc");
        peer->socket = accepted;
        peer->sent = peer->filled = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event) != 0) fail("epoll_ctl");
    }
}

// Closing also takes the socket out of the epoll set. No later event of the same batch can name
// the freed connection, because a batch holds at most one event per socket.
static void close_connection(struct connection* peer) {
    close(peer->socket);
    free(peer);
}

// While an answer waits for room we do not read: the peer must take it first. Nor may EPOLLIN stay
// armed then, since it would report the bytes that we leave alone again and again.
static void echo(int epoll, struct connection* peer) {
    const bool was_full = peer->sent < peer->filled;
    if (!was_full) {
        ssize_t received = recv(peer->socket, peer->buffer, sizeof peer->buffer, 0);
        if (received <= 0) {
            if (received == 0 || (errno != EAGAIN && errno != EINTR)) close_connection(peer);
            return;
        }
        peer->sent = 0;
        peer->filled = (size_t)received;
    }
    ssize_t sent =
        send(peer->socket, peer->buffer + peer->sent, peer->filled - peer->sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            close_connection(peer);
            return;
        }
        sent = 0;
    }
    peer->sent += (size_t)sent;
    const bool is_full = peer->sent < peer->filled;
    if (is_full != was_full) {
        struct epoll_event event = {.events = is_full ? EPOLLOUT : EPOLLIN, .data.ptr = peer};
        if (epoll_ctl(epoll, EPOLL_CTL_MOD, peer->socket, &event) != 0) fail("epoll_ctl");
    }
}

int main(int argc, char** argv) {
    const int port = parse_port(argc, argv);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    raise_descriptor_limit();

    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1");
    const int listener = listen_on_loopback(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};  // NULL: the listener
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");

    for (;;) {
        static struct epoll_event events[events_per_wait];
        int count = epoll_wait(epoll, events, events_per_wait, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; ++i) {
            struct connection* peer = events[i].data.ptr;
            if (peer == NULL)
                accept_all(epoll, listener);
            else
                echo(epoll, peer);
        }
    }
}
