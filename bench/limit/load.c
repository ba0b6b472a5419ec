// A closed loop of echoes: every connection sends a message, waits for all of it to come back, and
// sends the next. So the load follows the server and never outruns it, and a latency is the time
// of one round trip, not of a queue. One thread must suffice: it shall cost less than any server.
//
// All messages are windows of one random table, and each starts elsewhere in it, so that an answer
// to another connection, or to an earlier message, is found out without a copy per connection.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    events_per_wait = 256,
    message_starts = 4093,  // a prime: starts repeat late, whatever the steps between them
    receive_size = 64 * 1024,
    patience_ms = 10 * 1000,  // a server that is silent for so long has lost a message
    spare_descriptors = 16,   // for what is not a connection
    reported_errors = 5,      // what follows them says the same
};

struct connection {
    int socket;           // -1: lost
    bool waits_for_room;  // EPOLLOUT is armed
    uint32_t messages;    // begun so far
    const char* message;
    size_t sent, received;  // received == size: no echo is outstanding
    uint64_t begun_at;
};

static struct {
    int port;
    uint32_t connections;
    size_t size;
    uint64_t round_trips;  // 0: not limited
    double seconds;        // 0: not limited
    double idle_seconds;
    bool idle, touch;
} options = {.connections = 1, .size = 64};

static int epoll;
static struct connection* connections;
static char* table;
static char scratch[receive_size];
static uint64_t to_begin;  // round trips that are still to be begun,
static uint64_t deadline;  // and none is begun after this
static uint64_t round_trips, errors;
static uint32_t outstanding;  // connections that wait for an echo

static _Noreturn void fail(const char* what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t nanoseconds(double seconds) { return (uint64_t)(seconds * 1e9); }

// --- Latencies. A bucket is a 64th of a power of two wide, so a percentile is right to 1 %, and
// recording costs an increment.

enum { buckets_per_octave = 64, octave_bits = 6, octaves = 64 - octave_bits + 1 };
static uint64_t latencies[octaves * buckets_per_octave];

static void record_latency(uint64_t latency) {
    size_t bucket = latency;
    if (latency >= buckets_per_octave) {
        const unsigned shift = 63u - (unsigned)__builtin_clzll(latency) - octave_bits;
        bucket = shift * buckets_per_octave + (latency >> shift);
    }
    ++latencies[bucket];
}

static double percentile_us(double fraction) {
    const uint64_t wanted = (uint64_t)(fraction * (double)round_trips);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < sizeof latencies / sizeof *latencies; ++bucket) {
        seen += latencies[bucket];
        if (seen <= wanted) continue;
        if (bucket < buckets_per_octave) return (double)bucket / 1e3;
        const size_t shift = bucket / buckets_per_octave - 1;
        const double middle = (double)(bucket - shift * buckets_per_octave) + 0.5;
        return middle * (double)(UINT64_C(1) << shift) / 1e3;
    }
    return 0;
}

// --- One connection

static void lose(struct connection* c, const char* why) {
    if (++errors <= reported_errors)
        fprintf(stderr, "connection %td, message %" PRIu32 ": %s\n", c - connections, c->messages,
                why);
    if (c->received < options.size) --outstanding;
    close(c->socket);
    c->socket = -1;
}

static void send_rest(struct connection* c) {
    ssize_t sent = send(c->socket, c->message + c->sent, options.size - c->sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            lose(c, strerror(errno));
            return;
        }
        sent = 0;
    }
    c->sent += (size_t)sent;
    const bool is_full = c->sent < options.size;
    if (is_full == c->waits_for_room) return;
    c->waits_for_room = is_full;
    // Unlike a server we go on reading: the server takes no more before we take its answer.
    struct epoll_event event = {.events = EPOLLIN | (is_full ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->socket, &event) != 0) fail("epoll_ctl");
}

static void begin_message(struct connection* c, uint64_t at) {
    if (to_begin == 0 || at >= deadline) return;
    --to_begin;
    ++outstanding;
    const uint64_t step = (uint64_t)(c - connections) * 61 + c->messages++;
    c->message = table + step % message_starts;
    c->sent = c->received = 0;
    c->begun_at = at;
    send_rest(c);
}

static void receive_some(struct connection* c) {
    // Room for one byte more than is due, so that a server that sends too much is noticed.
    const size_t due = options.size - c->received;
    const size_t room = due < receive_size ? due + 1 : receive_size;
    const ssize_t received = recv(c->socket, scratch, room, 0);
    if (received < 0) {
        if (errno != EAGAIN && errno != EINTR) lose(c, strerror(errno));
        return;
    }
    if (received == 0) {
        lose(c, "the server has closed it");
        return;
    }
    if ((size_t)received > due) {
        lose(c, "the server sent more than it was sent");
        return;
    }
    if (memcmp(scratch, c->message + c->received, (size_t)received) != 0) {
        lose(c, "the echo differs from what was sent");
        return;
    }
    c->received += (size_t)received;
    if (c->received < options.size) return;
    // The end of one round trip is the beginning of the next: one look at the clock for both.
    const uint64_t at = now();
    record_latency(at - c->begun_at);
    ++round_trips;
    --outstanding;
    begin_message(c, at);
}

// --- All of them

static void connect_all(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
    if (limit.rlim_max < (rlim_t)options.connections + spare_descriptors) {
        fprintf(stderr, "the hard limit of %ju open files is too low for %ju connections: ",
                (uintmax_t)limit.rlim_max, (uintmax_t)options.connections);
        fputs("raise it (ulimit -Hn)\n", stderr);
        exit(1);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (uint32_t i = 0; i < options.connections; ++i) {
        struct connection* c = &connections[i];
        c->received = c->sent = options.size;
        c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->socket < 0) fail("socket");
        if (connect(c->socket, (struct sockaddr*)&address, sizeof address) != 0) {
            fprintf(stderr, "connection %" PRIu32 " to 127.0.0.1:%d: %s\n", i, options.port,
                    strerror(errno));
            exit(1);
        }
        const int on = 1;
        if (setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
            fail("TCP_NODELAY");
        // Non-blocking only now: waiting here for each is what keeps the server's backlog short.
        const int flags = fcntl(c->socket, F_GETFL);
        if (fcntl(c->socket, F_SETFL, flags | O_NONBLOCK) != 0) fail("fcntl");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->socket, &event) != 0) fail("epoll_ctl");
    }
}

static void handle(const struct epoll_event* event) {
    struct connection* c = event->data.ptr;
    if (event->events & EPOLLOUT) send_rest(c);
    if (c->socket >= 0 && event->events & ~(uint32_t)EPOLLOUT) receive_some(c);
}

static void run_until_answered(void) {
    static struct epoll_event events[events_per_wait];
    const uint64_t start = now();
    for (uint32_t i = 0; i < options.connections; ++i) begin_message(&connections[i], now());
    while (outstanding > 0) {
        const int count = epoll_wait(epoll, events, events_per_wait, patience_ms);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        if (count == 0) {
            fprintf(stderr, "%" PRIu32 " connections got no answer for %d s\n", outstanding,
                    patience_ms / 1000);
            errors += outstanding;
            break;
        }
        for (int i = 0; i < count; ++i) handle(&events[i]);
    }
    if (options.idle) return;
    const double seconds = (double)(now() - start) / 1e9;
    printf("round_trips=%" PRIu64 " seconds=%.6f per_second=%.0f errors=%" PRIu64
           " p50_us=%.1f p99_us=%.1f\n",
           round_trips, seconds, (double)round_trips / seconds, errors, percentile_us(0.50),
           percentile_us(0.99));
}

// The connections stay watched, because a server that drops idle ones is not holding them.
static void hold_idle(void) {
    puts("connected");
    fflush(stdout);
    // epoll refuses what cannot close, such as /dev/null: then only the time ends it.
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);

    const uint64_t end = now() + nanoseconds(options.idle_seconds);
    for (uint64_t at; (at = now()) < end;) {
        const uint64_t left_ms = (end - at) / 1000000 + 1;
        const int timeout = left_ms < 1000000 ? (int)left_ms : 1000000;
        const int count = epoll_wait(epoll, &event, 1, timeout);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        if (count <= 0) continue;
        if (event.data.ptr != NULL)
            handle(&event);
        else if (read(STDIN_FILENO, scratch, sizeof scratch) <= 0)
            return;
    }
}

// --- The command line

static _Noreturn void explain(const char* program) {
    fprintf(stderr,
            "usage: %s --port P [--connections C] [--size S] (--round-trips N | --seconds T)\n"
            "       %s --port P [--connections C] [--size S] --idle SECONDS [--touch]\n"
            "The second form holds the connections until the time is over or stdin closes;\n"
            "--touch makes one round trip on each of them first.\n",
            program, program);
    exit(2);
}

static double parse_number(const char* program, const char* name, double least, double most,
                           bool whole) {
    char* end;
    const double value = strtod(optarg, &end);
    if (end != optarg && *end == '\0' && value >= least && value <= most &&
        (!whole || value == (double)(uint64_t)value))
        return value;
    fprintf(stderr, "--%s: '%s' is not a %snumber from %.15g to %.15g\n", name, optarg,
            whole ? "whole " : "", least, most);
    explain(program);
}

static void parse_options(int argc, char** argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},    {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},    {"round-trips", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'}, {"idle", required_argument, NULL, 'i'},
        {"touch", no_argument, NULL, 'o'},         {0},
    };
    int index = 0;
    for (int option; (option = getopt_long(argc, argv, "", names, &index)) != -1;) {
        if (option == '?') explain(argv[0]);
        if (option == 'o') {
            options.touch = true;
            continue;
        }
        const bool time = option == 't' || option == 'i';
        const double most = option == 'p' ? 65535 : option == 'n' ? 1e15 : time ? 1e6 : 1e9;
        const double value = parse_number(argv[0], names[index].name, time ? 0 : 1, most, !time);
        if (option == 'p') options.port = (int)value;
        if (option == 'c') options.connections = (uint32_t)value;
        if (option == 's') options.size = (size_t)value;
        if (option == 'n') options.round_trips = (uint64_t)value;
        if (option == 't') options.seconds = value;
        if (option == 'i') options.idle_seconds = value;
        options.idle |= option == 'i';
    }
    const int ways = (options.round_trips > 0) + (options.seconds > 0) + options.idle;
    if (optind != argc || options.port == 0 || ways != 1 || (options.touch && !options.idle))
        explain(argv[0]);
}

int main(int argc, char** argv) {
    parse_options(argc, argv);
    connections = calloc(options.connections, sizeof *connections);
    table = malloc(options.size + message_starts);
    if (connections == NULL || table == NULL) fail("memory");
    uint64_t random = 0x9e3779b97f4a7c15u;  // xorshift; the same table in every run
    for (size_t i = 0; i < options.size + message_starts; ++i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        table[i] = (char)(random >> 32);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1");
    connect_all();

    to_begin = UINT64_MAX;
    deadline = UINT64_MAX;
    if (options.round_trips > 0) to_begin = options.round_trips;
    if (options.seconds > 0) deadline = now() + nanoseconds(options.seconds);
    if (options.idle) to_begin = options.touch ? options.connections : 0;
    run_until_answered();
    if (options.idle && errors == 0) hold_idle();
    return errors == 0 ? 0 : 1;
}
