// Accept under load, without descriptors, with bad peers, and on every worker.
#include "net/helpers.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <set>
#include <thread>

namespace {

class Storm : public EveryRuntime {};
EVERY_RUNTIME(Storm);

/// A process of its own, that connects so often to a port it is told, and is served "!" each time.
class other_process {
public:
    /// Before there are threads here.
    explicit other_process(int connections) {
        EXPECT_EQ(::pipe(ports_), 0);
        child_ = ::fork();
        if (child_ != 0) return;
        std::uint16_t port = 0;
        bool told = ::read(ports_[0], &port, sizeof port) == sizeof port;
        ::_exit(told && connects(port, connections) ? 0 : 1);
    }
    void begin(std::uint16_t port) const {
        EXPECT_EQ(::write(ports_[1], &port, sizeof port), static_cast<ssize_t>(sizeof port));
    }
    /// True: all were served, once each.
    bool join() {
        int status = -1;
        ::waitpid(child_, &status, 0);
        ::close(ports_[0]);
        ::close(ports_[1]);
        return status == 0;
    }

private:
    static bool connects(std::uint16_t port, int connections) {
        constexpr int at_once = 50;
        int open[at_once];
        for (int i = 0; i < connections / at_once; ++i) {
            for (int& fd : open) {
                fd = ::socket(AF_INET, SOCK_STREAM, 0);
                sockaddr_in to{};
                to.sin_family = AF_INET;
                to.sin_port = htons(port);
                to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return false;
            }
            for (int fd : open) {
                char served[2];
                if (::recv(fd, served, sizeof served, MSG_WAITALL) != 1 || served[0] != '!')
                    return false;
                ::close(fd);
            }
        }
        return true;
    }

    int ports_[2] = {-1, -1};
    pid_t child_ = -1;
};

TEST_P(Storm, ten_thousand_connections_are_served_once_each_and_leave_no_descriptor_b72) {
    constexpr int storm = sanitized ? 1'000 : 10'000;
    other_process clients(storm);
    run([&]() -> rt::task<> {
        auto listener = co_await listen();
        (void)co_await make_pair_of(listener);
        auto before = open_descriptors();
        clients.begin(listener.local().value().port);
        for (int i = 0; i < storm; ++i) {
            auto peer = (co_await listener.accept()).or_throw();
            (co_await peer.stream.write_all(bytes_of("!"))).value();
        }
        co_await until([&] { return open_descriptors() <= before; });
    });
    EXPECT_TRUE(clients.join());
}

/// Nothing is left below the limit while it lives.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        int next = ::dup(0);
        ::close(next);
        auto limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(next);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        for (int fd; (fd = ::dup(0)) >= 0;) taken_.push_back(fd);
    }
    ~no_descriptors() {
        for (int fd : taken_) ::close(fd);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    rlimit before_{};
    std::vector<int> taken_;
};

rt::task<> accepts_without_descriptors(bool in_select) {
    auto listener = co_await listen();
    auto near = co_await connect_to(listener);
    auto none = std::make_unique<no_descriptors>();
    auto accept = [](rt::tcp_listener& l, bool in_select) -> rt::task<rt::tcp_stream> {
        if (!in_select) co_return (co_await l.accept()).or_throw().stream;
        auto first = co_await rt::select(l.accept(), rt::sleep(24h));
        co_return std::move(std::get<0>(first)).or_throw().stream;
    };
    auto peer = rt::spawn(accept(listener, in_select));
    co_await settle_down();
    // Longer than one pause: it tries, fails, and pauses again.
    co_await rt::sleep(120ms);
    EXPECT_FALSE(peer.done());
    none.reset();
    auto far = co_await peer;
    (co_await near.write_all(bytes_of("late"))).value();
    EXPECT_EQ(co_await read_text(far, 4), "late");
}

TEST_P(Storm, without_descriptors_accept_waits_tells_and_goes_on_by_itself_b72) {
    static bool told = false;  // it tells once in a process
    testing::internal::CaptureStderr();
    run([] { return accepts_without_descriptors(false); });
    auto text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.find("raise ulimit -n") != std::string::npos, !told) << text;
    told = true;
}

// The arm had left the wheel after its first pause, and nobody put it back.
TEST_P(Storm, without_descriptors_an_accept_in_a_select_goes_on_by_itself_b72) {
    run([] { return accepts_without_descriptors(true); });
}

// The accept named a listener that was gone.
TEST_P(Storm, a_listener_may_go_while_an_accept_waits_for_descriptors_b75) {
    run([]() -> rt::task<> {
        for (bool in_select : {false, true}) {
            auto listener = std::make_unique<rt::tcp_listener>(co_await listen());
            auto client = co_await connect_to(*listener);
            auto none = std::make_unique<no_descriptors>();
            auto accepts = [](rt::tcp_listener& l, bool in_select) -> rt::task<std::error_code> {
                if (!in_select) co_return (co_await l.accept()).error();
                auto first = co_await rt::select(l.accept(), rt::sleep(24h));
                co_return std::get<0>(first).error();
            };
            auto waits = rt::spawn(accepts(*listener, in_select));
            co_await settle_down();
            listener.reset();
            none.reset();
            EXPECT_EQ(co_await waits, rt::errc::closed);
        }
    });
}

TEST_P(Storm, bad_peers_harm_nobody_else_b81) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        auto server = rt::spawn(
            [](rt::tcp_listener& l) -> rt::io_task<> {
                for (;;) rt::spawn(echo((co_await l.accept().or_return()).stream)).detach();
            },
            std::ref(listener));
        // Writes for ever and never reads.
        auto deaf = co_await connect_to(listener);
        auto shouts = rt::spawn(
            [](rt::tcp_stream& s) -> rt::task<> {
                auto data = pattern(1 << 16);
                while (co_await s.write_all(data)) {
                }
            },
            std::ref(deaf));
        for (int i = 0; i < 20; ++i) {
            auto resets = co_await connect_to(listener);
            (co_await resets.write_all(bytes_of("mid-frame"))).value();
            reset(std::move(resets));
            auto half = co_await connect_to(listener);
            (co_await half.write_all(bytes_of("half"))).value();
            half.shutdown(rt::shutdown_side::write).value();
            auto good = co_await connect_to(listener);
            for (char c : {'a', 'b', 'c'}) {
                (co_await good.write_all(bytes_of({&c, 1}))).value();
                EXPECT_EQ(co_await read_text(good, 1), std::string(1, c));
            }
            EXPECT_EQ(co_await read_to_end(half), "half");
        }
        shouts.stop();
        server.stop();
        (void)co_await shouts.outcome();
        (void)co_await server.outcome();
    });
}

/// The port of a serve_each that has begun.
class serving {
public:
    rt::serve_options options() {
        rt::serve_options given;
        given.on_listening = [this](const rt::endpoint& at) { port_ = at.port; };
        return given;
    }
    rt::task<rt::tcp_stream> connect() {
        co_await until([&] { return port_.load() != 0; });
        auto to = rt::parse_endpoint("127.0.0.1:" + std::to_string(port_.load())).value();
        co_return (co_await rt::tcp_stream::connect(to)).or_throw();
    }

private:
    std::atomic<int> port_{0};
};

const auto any_port = rt::parse_endpoint("127.0.0.1:0").value();

TEST_P(Storm, serve_each_serves_on_every_worker) {
    serving at;
    std::mutex mutex;
    std::set<std::thread::id> threads;  // guarded by mutex
    run([&]() -> rt::task<> {
        std::atomic<int> served{0};
        auto serve = [&](rt::tcp_stream peer) -> rt::io_task<> {
            ++served;
            {
                std::lock_guard guard(mutex);
                threads.insert(std::this_thread::get_id());
            }
            co_return co_await echo(std::move(peer));
        };
        auto server = rt::spawn(rt::serve_each(any_port, serve, at.options()));
        for (int i = 0; i < 40; ++i) {
            auto stream = co_await at.connect();
            (co_await stream.write_all(bytes_of("x"))).value();
            EXPECT_EQ(co_await read_text(stream, 1), "x");
        }
        EXPECT_EQ(served.load(), 40);
        server.stop();
        (void)co_await server.outcome();
    });
    if (GetParam().flavor == rt::runtime_flavor::thread_per_core) EXPECT_EQ(threads.size(), 2u);
}

// Each of several acceptors shares the port with the others: a second server shared it too, and the
// kernel dealt the clients out between the two.
TEST_P(Storm, serve_each_does_not_share_its_port_with_another_server) {
    serving at;
    run([&]() -> rt::task<> {
        auto first = rt::spawn(rt::serve_each(any_port, echo, at.options()));
        auto client = co_await at.connect();
        auto second = co_await rt::timeout(10s, rt::serve_each(client.peer().value(), echo));
        EXPECT_EQ(second.error(), std::errc::address_in_use);
        first.stop();
        (void)co_await first.outcome();
    });
}

// The connections were tasks of their own, and outlived the handler that they ran.
TEST_P(Storm, a_stop_of_serve_each_ends_its_connections_first) {
    serving at;
    run([&]() -> rt::task<> {
        std::atomic<int> inside{0};
        struct visit {
            explicit visit(std::atomic<int>& n) : inside(n) { ++inside; }
            ~visit() { --inside; }
            std::atomic<int>& inside;
        };
        auto serve = [&inside](rt::tcp_stream peer) -> rt::io_task<> {
            visit here(inside);
            co_return co_await echo(std::move(peer));
        };
        auto server = rt::spawn(rt::serve_each(any_port, serve, at.options()));
        std::vector<rt::tcp_stream> streams;
        for (int i = 0; i < 20; ++i) streams.push_back(co_await at.connect());
        reset(std::move(streams[0]));  // its failure is its own
        co_await until([&] { return inside.load() == 19; });
        (co_await streams[1].write_all(bytes_of("x"))).value();
        EXPECT_EQ(co_await read_text(streams[1], 1), "x");
        server.stop();
        (void)co_await server.outcome();
        EXPECT_EQ(inside.load(), 0);
        EXPECT_EQ(co_await read_to_end(streams[1]), "");
    });
}

}  // namespace
