// The limit for an HTTP server: what one thread gets from epoll when nothing stands in between.
// A runtime's cost is its distance from this program, so the HTTP in it is the least that keeps a
// load generator happy: a request is whatever ends in an empty line, and every answer is the same.
// It reads neither the request line nor any field: no bodies, no HEAD, no "Connection: close".
// Keep-alive and pipelining work, and all requests of one read are answered by one write.
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
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER                     \
    "HTTP/1.1 200 OK\r\n"          \
    "Content-Type: text/plain\r\n" \
    "Content-Length: 13\r\n"       \
    "\r\n"                         \
    "Hello, World!"
#define END_OF_HEAD "\r\n\r\n"

enum {
    buffer_size = 8 * 1024,
    events_per_wait = 256,
    answer_size = sizeof ANSWER - 1,
    end_of_head_size = sizeof END_OF_HEAD - 1,
    most_requests_per_read = buffer_size / end_of_head_size,
};

struct connection {
    int socket;
    size_t owed;    // bytes of answers that wait for room in the socket
    size_t filled;  // bytes of a request whose end has not arrived yet
    char buffer[buffer_size];
};

// As all answers are alike, any number of them can be written from here without being put together.
static char answers[most_requests_per_read * answer_size];

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
        peer->owed = peer->filled = 0;
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

// Takes the finished requests out of the buffer and returns how many there were. Only the last
// bytes of what was there before can be part of an end that the new bytes complete.
static size_t take_requests(struct connection* peer, size_t received) {
    const char* head = peer->buffer;
    const char* from = head;
    if (peer->filled >= end_of_head_size) from += peer->filled - (end_of_head_size - 1);
    const char* const end = head + peer->filled + received;

    size_t requests = 0;
    const char* found;
    while ((found = memmem(from, (size_t)(end - from), END_OF_HEAD, end_of_head_size)) != NULL) {
        head = from = found + end_of_head_size;
        ++requests;
    }
    peer->filled = (size_t)(end - head);
    if (requests != 0) memmove(peer->buffer, head, peer->filled);
    return requests;
}

// While answers wait for room we do not read: the peer must take them first. Nor may EPOLLIN stay
// armed then, since it would report the bytes that we leave alone again and again.
static void serve(int epoll, struct connection* peer) {
    const bool was_full = peer->owed != 0;
    if (!was_full) {
        ssize_t received =
            recv(peer->socket, peer->buffer + peer->filled, sizeof peer->buffer - peer->filled, 0);
        if (received <= 0) {
            if (received == 0 || (errno != EAGAIN && errno != EINTR)) close_connection(peer);
            return;
        }
        peer->owed = take_requests(peer, (size_t)received) * answer_size;
        if (peer->owed == 0) {  // the end is still to come, unless it does not fit
            if (peer->filled == sizeof peer->buffer) close_connection(peer);
            return;
        }
    }
    // What is owed always ends with a whole answer, so its size tells where in an answer we are.
    const size_t sent_of_first = (answer_size - peer->owed % answer_size) % answer_size;
    ssize_t sent = send(peer->socket, answers + sent_of_first, peer->owed, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            close_connection(peer);
            return;
        }
        sent = 0;
    }
    peer->owed -= (size_t)sent;
    const bool is_full = peer->owed != 0;
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
    for (size_t i = 0; i < most_requests_per_read; ++i)
        memcpy(answers + i * answer_size, ANSWER, answer_size);

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
                serve(epoll, peer);
        }
    }
}
