// soak_echo SECONDS SEED MOST_KIB: an echo server and its clients in one process, on each flavor
// and reactor in turn, 5 s each, while tasks are stopped, connections reset, workers kept and
// descriptors wanting. Each byte must come back to the connection that sent it, unless its server
// was stopped; a round leaves no task, operation or descriptor behind; and after the first four
// rounds the process grows by MOST_KIB at most. tests/soak/run says what it prints.
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "support/dice.hpp"
#include "support/process.hpp"
import rt;

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr unsigned workers = 2, clients = 24;

/// What the connections send: each from a place of its own, so that none has another's bytes.
class pattern {
public:
    static constexpr std::size_t period = 65521;
    explicit pattern(std::uint64_t seed) {
        dice d(seed);
        for (std::size_t i = 0; i < 2 * period; ++i)
            bytes_.push_back(i < period ? static_cast<std::byte>(d.below(256))
                                        : bytes_[i - period]);
    }
    /// At most a period.
    [[nodiscard]] std::span<const std::byte> at(std::uint64_t position, std::size_t size) const {
        return std::span(bytes_).subspan(position % period, size);
    }
    [[nodiscard]] bool same(std::span<const std::byte> got, std::uint64_t position) const {
        return std::memcmp(got.data(), at(position, got.size()).data(), got.size()) == 0;
    }

private:
    std::vector<std::byte> bytes_;
};

struct totals {
    std::atomic<std::uint64_t> requests{0}, connections{0}, resets{0}, half_closes{0}, stops{0},
        stalls{0}, refused{0}, accept_errors{0}, failures{0};
};

/// What the tasks of a round share. It outlives their runtime.
struct load {
    load(std::uint64_t seed, totals& n) : bytes(seed), n(n) {}
    const pattern bytes;
    totals& n;
    steady_clock::time_point end = steady_clock::now() + 5s;
    rt::runtime* runtime = nullptr;
    rt::endpoint at{rt::ip_address::loopback_v4(), 0};
    /// By the port of the client: the task that serves it was stopped, so its connection may be
    /// cut.
    std::array<std::atomic<bool>, 65536> stopped{};
    std::atomic<bool> ending{false};  // from now on that is true of all

    [[nodiscard]] bool over() const { return steady_clock::now() > end; }
    [[nodiscard]] bool may_be_cut(std::uint16_t port) const { return stopped[port] || ending; }
    void failed(const std::string& why) {
        ++n.failures;
        std::cerr << "soak_echo: " + why + "\n";
    }
};

std::chrono::milliseconds up_to(dice& d, unsigned most) { return d.between(0, most) * 1ms; }

rt::io_task<> echo(rt::tcp_stream peer) {
    std::array<std::byte, 4096> buffer;
    while (auto n = co_await peer.read(buffer).or_return())
        co_await peer.write_all(std::span(buffer).first(n)).or_return();
    co_return {};
}

/// Accepts, and now and then stops a task that serves.
rt::task<> serve(load& l, rt::tcp_listener listener, dice d) {
    rt::join_map<std::uint16_t, rt::result<>> sessions;
    std::vector<std::uint16_t> ports;  // those in the map
    auto next_stop = co_await rt::this_task::now();
    for (;;) {
        auto first = co_await rt::select(listener.accept(), rt::sleep_until(next_stop));
        while (auto ended = sessions.try_next()) std::erase(ports, ended->first);
        if (auto* came = std::get_if<0>(&first); came && *came) {
            auto& [stream, from] = **came;
            l.stopped[from.port] = false;
            if (d.one_in(2)) (void)stream.options().send_buffer(4096);  // writes will wait
            if (sessions.spawn(from.port, echo(std::move(stream)))) ports.push_back(from.port);
            ++l.n.connections;
        } else if (came) {
            ++l.n.accept_errors;
            l.failed("accept: " + came->error().message());
            next_stop = co_await rt::this_task::now() + 10ms;
        } else {
            next_stop = co_await rt::this_task::now() + d.between(1, 40) * 1ms;
            if (ports.empty()) continue;
            auto& port = ports[d.below(static_cast<unsigned>(ports.size()))];
            l.stopped[port] = true;
            sessions.stop(port);
            port = ports.back();
            ports.pop_back();
            ++l.n.stops;
        }
    }
}

// --- The clients

struct connection {
    rt::tcp_stream stream;
    std::uint64_t start;  // in the pattern
    std::uint64_t sent = 0, received = 0;
};

rt::io_task<> send(load& l, connection& c, std::size_t size) {
    co_await c.stream.write_all(l.bytes.at(c.start + c.sent, size)).or_return();
    c.sent += size;
    co_return {};
}
rt::io_task<> receive(load& l, connection& c, std::size_t size, bool slowly = false) {
    std::array<std::byte, 8192> buffer;
    while (size > 0) {
        auto room = std::span(buffer).first(std::min<std::size_t>(size, slowly ? 512 : 8192));
        auto n = co_await c.stream.read(room).or_return();
        if (n == 0) co_return rt::errc::unexpected_end;
        if (!l.bytes.same(room.first(n), c.start + c.received)) {
            l.failed("torn: other bytes than were sent, at byte " + std::to_string(c.received));
            co_return std::make_error_code(std::errc::bad_message);
        }
        c.received += n;
        size -= n;
        if (slowly) co_await rt::sleep(1ms);
    }
    co_return {};
}

std::size_t random_size(dice& d) { return d.between(1, d.one_in(4) ? pattern::period : 2000); }

rt::io_task<> ask_and_check(load& l, connection& c, dice& d) {
    for (auto left = d.between(1, 30); left > 0; --left) {
        auto size = random_size(d);
        bool slowly = d.one_in(40);
        // Together, because the server does not read on while nobody takes what it writes.
        auto both = co_await rt::try_join(send(l, c, size), receive(l, c, size, slowly));
        if (!both) co_return both.error();
        ++l.n.requests;
    }
    co_return {};
}
rt::io_task<> close_half(load& l, connection& c, dice& d) {
    auto size = random_size(d);
    auto finish = [](load& l, connection& c, std::size_t size) -> rt::io_task<> {
        co_await send(l, c, size).or_return();
        co_return c.stream.shutdown(rt::shutdown_side::write);
    };
    auto both = co_await rt::try_join(finish(l, c, size), receive(l, c, size));
    if (!both) co_return both.error();
    std::array<std::byte, 1> more;
    if (co_await c.stream.read(more).or_return() != 0) l.failed("more came back than was sent");
    ++l.n.requests;
    ++l.n.half_closes;
    co_return {};
}
rt::io_task<> never_read(load& l, connection& c) {
    for (;;) co_await send(l, c, pattern::period).or_return();
}

/// One connection, from here to its end.
rt::task<> visit(load& l, rt::tcp_stream stream, dice d) {
    auto local = stream.local();
    auto port = local ? local->port : std::uint16_t{0};
    connection c{std::move(stream), d.below(pattern::period)};
    rt::result<> done;
    switch (d.below(10)) {
        case 0:
            done = co_await rt::timeout(60s, close_half(l, c, d));
            break;
        case 1:
            (void)co_await send(l, c, random_size(d));
            (void)c.stream.options().linger({.on = true});  // what comes back is not read
            ++l.n.resets;
            co_return;
        case 2:
            (void)co_await rt::timeout(up_to(d, 200), never_read(l, c));
            co_return;
        case 3:
            co_await rt::sleep(up_to(d, 20));
            co_return;
        default:
            done = co_await rt::timeout(60s, ask_and_check(l, c, d));
    }
    if (done || l.may_be_cut(port)) co_return;
    l.failed("lost: port " + std::to_string(port) + " sent " + std::to_string(c.sent) + ", got " +
             std::to_string(c.received) + ": " + done.error().message());
    if (done.error() == rt::errc::timed_out) std::cerr << to_string(l.runtime->dump());
}

rt::task<> client(load& l, dice d) {
    while (!l.over()) {
        auto stream = co_await rt::tcp_stream::connect(l.at);
        if (!stream) {
            if (stream.error() == std::errc::too_many_files_open)
                ++l.n.refused;
            else
                l.failed("connect: " + stream.error().message());
            co_await rt::sleep(5ms);
            continue;
        }
        auto one = rt::spawn(visit(l, *std::move(stream), dice(d.below(~0u))));
        if (d.one_in(8)) {
            co_await rt::sleep(up_to(d, 20));
            one.stop();
            ++l.n.stops;
        }
        (void)co_await one.outcome();
    }
}

// --- What is done to both

rt::task<> stall(load& l, dice d) {
    auto keep = [](std::chrono::milliseconds length, bool busy) -> rt::task<> {
        auto end = steady_clock::now() + length;
        if (!busy) std::this_thread::sleep_for(length);
        while (steady_clock::now() < end) continue;
        co_return;
    };
    while (!l.over()) {
        co_await rt::sleep(d.between(50, 400) * 1ms);
        // Sometimes both.
        std::vector<rt::join_handle<>> kept;
        auto worker = d.below(workers);
        for (unsigned i = 0; i < (d.one_in(3) ? workers : 1); ++i, ++l.n.stalls)
            kept.push_back(
                rt::spawn_on((worker + i) % workers, keep(d.between(20, 200) * 1ms, d.one_in(2))));
        for (auto& k : kept) co_await k;
    }
}

/// For a while there are few descriptors left, or none. Those who connect meanwhile wait in the
/// listener's queue, and are served afterwards. Blocks.
void starve(load& l, dice d) {
    struct waiting {
        int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        std::uint16_t port = 0;
        std::uint64_t start = 0;
    } late[8];
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    auto less = before;
    int next = ::dup(0);
    ::close(next);
    less.rlim_cur = d.one_in(2) ? 0 : static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &less);
    std::array<std::byte, 1000> buffer;
    for (auto& w : late) {
        sockaddr_in to{}, own{};
        socklen_t size = sizeof own;
        to.sin_family = AF_INET;
        to.sin_port = htons(l.at.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        timeval patience{60, 0};
        ::setsockopt(w.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        w.start = d.below(pattern::period);
        auto bytes = l.bytes.at(w.start, buffer.size());
        if (::connect(w.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
            l.failed(std::string("connect: ") + std::strerror(errno));
        else if (::getsockname(w.fd, reinterpret_cast<sockaddr*>(&own), &size) == 0)
            w.port = ntohs(own.sin_port);
        (void)::send(w.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    std::this_thread::sleep_for(d.between(100, 300) * 1ms);
    ::setrlimit(RLIMIT_NOFILE, &before);
    for (auto& w : late) {
        auto n = ::recv(w.fd, buffer.data(), buffer.size(), MSG_WAITALL);
        auto got = std::span(buffer).first(n < 0 ? 0 : static_cast<std::size_t>(n));
        if (!l.bytes.same(got, w.start)) l.failed("torn: for one that came without descriptors");
        if (got.size() == buffer.size())
            ++l.n.requests;
        else if (!l.may_be_cut(w.port))
            l.failed("lost: one that came without descriptors got " + std::to_string(n));
        ::close(w.fd);
    }
}

rt::io_task<> run(load& l, dice d) {
    co_return co_await rt::with_group([&](rt::task_group& servers) -> rt::io_task<> {
        for (unsigned i = 0; i < workers; ++i) {
            auto listener = co_await rt::tcp_listener::bind(l.at, {.reuse_port = true}).or_return();
            l.at = *listener.local();  // port 0 became a port, for both
            servers.spawn_on(i, serve(l, std::move(listener), dice(d.below(~0u))));
        }
        auto done = co_await rt::with_group([&](rt::task_group& others) -> rt::io_task<> {
            for (unsigned i = 0; i < clients; ++i)
                others.spawn_on(i % workers, client(l, dice(d.below(~0u))));
            others.spawn(stall(l, dice(d.below(~0u))));
            others.spawn([](load& l, dice d) -> rt::task<> {
                while (!l.over()) {
                    co_await rt::sleep(d.between(200, 800) * 1ms);
                    // It may outlive this task, though not the load.
                    co_await rt::spawn_blocking([&l, own = dice(d.below(~0u))] { starve(l, own); });
                }
            }(l, dice(d.below(~0u))));
            // They end by themselves, or all in the middle of something.
            if (d.one_in(2)) co_return {};
            co_await rt::sleep_until(l.end);
            l.ending = true;
            others.stop();
            co_return {};
        });
        servers.stop();
        co_return done;
    });
}

void round(rt::runtime_flavor flavor, rt::reactor_kind reactor, std::uint64_t seed, totals& sum) {
    auto before = open_descriptors();
    totals n;
    {
        auto l = std::make_unique<load>(seed, n);
        auto runtime = rt::runtime::builder()
                           .flavor(flavor)
                           .reactor(reactor)
                           .workers(workers)
                           .seed(seed)
                           .on_unhandled([&](const rt::unhandled_failure& f) {
                               if (f.exception) l->failed("an exception");
                           })
                           .build();
        l->runtime = &runtime;
        auto done = runtime.block_on(run(*l, dice(seed)));
        if (!done && done.error() != rt::errc::stopped) l->failed(done.error().message());
    }
    auto left = rt::audit();
    auto behind = left.tasks_alive + left.frames_alive + left.operations_in_flight;
    auto after = open_descriptors();
    if (behind != 0 || after != before) ++n.failures;
    // What did not happen was not withstood.
    if (!n.resets || !n.half_closes || !n.stops || !n.stalls || !n.refused) ++n.failures;
    ::malloc_trim(0);
    std::cout << "echo "
              << (flavor == rt::runtime_flavor::work_stealing ? "work_stealing" : "thread_per_core")
              << ' ' << to_string(reactor) << ": " << n.requests << " requests on " << n.connections
              << " connections, " << n.resets << " resets, " << n.half_closes << " half-closes, "
              << n.stops << " stops, " << n.stalls << " stalls, " << n.refused << " refused, "
              << n.accept_errors << " accept errors, RSS " << resident_kib() << " KiB, descriptors "
              << before << " and " << after << ", left behind: " << left.tasks_alive << " tasks, "
              << left.frames_alive << " frames, " << left.operations_in_flight << " operations"
              << std::endl;
    sum.requests += n.requests;
    sum.failures += n.failures;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: soak_echo SECONDS SEED MOST_KIB\n";
        return 2;
    }
    auto end = steady_clock::now() + std::stol(argv[1]) * 1s;
    auto seed = std::stoull(argv[2]);
    auto most = std::stol(argv[3]);
    totals sum;
    long warm = 0;
    unsigned rounds = 0;
    // Each of the four is warm when it has run once; and it takes another cycle to compare.
    for (; rounds < 8 || steady_clock::now() < end; ++rounds) {
        round(rounds % 2 ? rt::runtime_flavor::thread_per_core : rt::runtime_flavor::work_stealing,
              rounds / 2 % 2 ? rt::reactor_kind::epoll : rt::reactor_kind::io_uring, seed + rounds,
              sum);
        if (rounds == 3) warm = resident_kib();
    }
    long grown = resident_kib() - warm;
    std::cout << "echo: " << rounds << " rounds, " << sum.requests << " requests, " << sum.failures
              << " failures, RSS grew by " << grown << " KiB of " << most << " after warm-up"
              << std::endl;
    return sum.failures == 0 && grown <= most ? 0 : 1;
}
