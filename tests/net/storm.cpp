// Accept under load, without descriptors, with bad peers, and on every worker.
#include "net/helpers.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <array>

namespace {

class Storm : public EveryRuntime {};
EVERY_RUNTIME(Storm);

constexpr int storm = sanitized ? 200 : 2000;

TEST_P(Storm, connections_are_served_once_each_and_leave_no_descriptor_b72) {
    run([]() -> rt::task<> {
        auto listener = co_await listen();
        (void)co_await make_pair_of(listener);
        auto before = open_descriptors();
        auto clients = [](rt::endpoint to) -> rt::task<int> {
            int served = 0;
            for (int i = 0; i < storm / 4; ++i) {
                auto stream = (co_await rt::tcp_stream::connect(to)).or_throw();
                served += (co_await read_to_end(stream)) == "!" ? 1 : 0;
            }
            co_return served;
        };
        auto to = listener.local().value();
        std::vector<rt::join_handle<int>> all;
        for (int i = 0; i < 4; ++i) all.push_back(rt::spawn(clients(to)));
        for (int i = 0; i < storm; ++i) {
            auto peer = (co_await listener.accept()).or_throw();
            (co_await peer.stream.write_all(bytes_of("!"))).value();
        }
        int served = 0;
        for (auto& h : all) served += co_await h;
        EXPECT_EQ(served, storm);
        co_await until([&] { return open_descriptors() <= before; });
    });
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

TEST_P(Storm, without_descriptors_accept_waits_and_goes_on_by_itself_b72) {
    run([] { return accepts_without_descriptors(false); });
}

// The arm had left the wheel after its first pause, and nobody put it back.
TEST_P(Storm, without_descriptors_an_accept_in_a_select_goes_on_by_itself_b72) {
    run([] { return accepts_without_descriptors(true); });
}

rt::io_task<> echo(rt::tcp_stream peer) {
    std::array<std::byte, 512> buffer;
    while (auto n = co_await peer.read(buffer).or_return())
        co_await peer.write_all(std::span(buffer).first(n)).or_return();
    co_return {};
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

TEST_P(Storm, serve_each_serves_on_every_worker) {
    std::atomic<int> port{0};
    run([&]() -> rt::task<> {
        std::atomic<int> served{0};
        auto serve = [&](rt::tcp_stream peer) -> rt::io_task<> {
            ++served;
            co_return co_await echo(std::move(peer));
        };
        rt::serve_options options;
        options.on_listening = [&](const rt::endpoint& at) { port = at.port; };
        auto server =
            rt::spawn(rt::serve_each(rt::parse_endpoint("127.0.0.1:0").value(), serve, options));
        co_await until([&] { return port.load() != 0; });
        auto to = rt::parse_endpoint("127.0.0.1:" + std::to_string(port.load())).value();
        for (int i = 0; i < 40; ++i) {
            auto stream = (co_await rt::tcp_stream::connect(to)).or_throw();
            (co_await stream.write_all(bytes_of("x"))).value();
            EXPECT_EQ(co_await read_text(stream, 1), "x");
        }
        EXPECT_EQ(served.load(), 40);
        server.stop();
        (void)co_await server.outcome();
    });
}

}  // namespace
