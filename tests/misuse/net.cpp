// Misuse stops the program, with its name and the place: bytes, sockets, signals and jobs.
#include "misuse/helpers.hpp"
#include "net/helpers.hpp"

#include <source_location>

namespace {

class NetMisuse : public Misuse {};

template <class F>
void run_on(rt::reactor_kind kind, F body) {
    rt::runtime::builder().current_thread().reactor(kind).build().block_on(body());
}
constexpr auto both_reactors = {rt::reactor_kind::io_uring, rt::reactor_kind::epoll};

constexpr auto two_read = "two tasks read from one stream, or accept from one listener, at once";

TEST_F(NetMisuse, two_read_from_one_stream_b11) {
    for (auto kind : both_reactors) {
        EXPECT_MISUSE(two_read, run_on(kind, []() -> rt::task<> {
                          auto [near, far] = co_await make_tcp_pair();
                          std::byte a[1], b[1];
                          co_await rt::join(far.read(a), far.read(b));
                      }));
    }
}

TEST_F(NetMisuse, two_read_from_one_stream_within_a_timeout) {
    for (auto kind : both_reactors) {
        EXPECT_MISUSE(two_read, run_on(kind, []() -> rt::task<> {
                          auto [near, far] = co_await make_tcp_pair();
                          std::byte a[1], b[1];
                          co_await rt::join(rt::timeout(1h, far.read(a)),
                                            rt::timeout(1h, far.read(b)));
                      }));
    }
}

TEST_F(NetMisuse, two_read_lines_from_one_stream) {
    for (auto kind : both_reactors) {
        EXPECT_MISUSE(two_read, run_on(kind, []() -> rt::task<> {
                          auto [near, far] = co_await make_tcp_pair();
                          rt::buffered_reader lines(std::move(far));
                          co_await rt::join(lines.read_line(), lines.read_line());
                      }));
    }
}

TEST_F(NetMisuse, two_accept_from_one_listener) {
    for (auto kind : both_reactors) {
        EXPECT_MISUSE(two_read, run_on(kind, []() -> rt::task<> {
                          auto listener = co_await listen();
                          co_await rt::join(listener.accept(), listener.accept());
                      }));
    }
}

TEST_F(NetMisuse, two_write_to_one_stream) {
    for (auto kind : both_reactors) {
        EXPECT_MISUSE("two tasks write to one stream at once", run_on(kind, []() -> rt::task<> {
                          auto [near, far] = co_await make_tcp_pair();
                          auto much = pattern(16 << 20);  // more than the kernel takes
                          co_await rt::join(near.write_all(much), near.write_all(much));
                      }));
    }
}

TEST_F(NetMisuse, an_empty_stream_is_used) {
    EXPECT_MISUSE("an operation on an empty stream or listener: default-made, or moved from",
                  run([]() -> rt::task<> {
                      rt::tcp_stream none;
                      (void)co_await none.write(bytes_of("a"));
                  }));
    EXPECT_MISUSE("an operation on an empty stream or listener: default-made, or moved from",
                  run([]() -> rt::task<> {
                      auto listener = co_await listen();
                      auto other = std::move(listener);
                      (void)co_await listener.accept();
                  }));
}

TEST_F(NetMisuse, a_stream_is_used_on_another_kind_of_reactor) {
    using enum rt::reactor_kind;
    auto move_between = [](rt::reactor_kind from, rt::reactor_kind to, auto body) {
        auto one = rt::runtime::builder().current_thread().reactor(from).build();
        auto two = rt::runtime::builder().current_thread().reactor(to).build();
        auto pair = one.block_on(make_tcp_pair());
        std::byte buffer[1];
        (void)one.block_on(rt::timeout(1ms, pair.near.read(buffer)));
        two.block_on(body(pair.near));
    };
    EXPECT_MISUSE("a stream or listener of a runtime on epoll is used in one on io_uring",
                  move_between(epoll, io_uring, [](rt::tcp_stream& s) -> rt::task<> {
                      std::byte buffer[1];
                      (void)co_await s.read(buffer);
                  }));
    EXPECT_MISUSE("a stream or listener of a runtime on io_uring is used in one on epoll",
                  move_between(io_uring, epoll, [](rt::tcp_stream& s) -> rt::task<> {
                      std::byte buffer[1];
                      (void)co_await s.read(buffer);
                  }));
}

TEST_F(NetMisuse, there_is_no_reactor) {
    EXPECT_MISUSE("rt::tcp_stream::connect is awaited on an executor that has no reactor",
                  (void)rt::sync_wait(rt::tcp_stream::connect("127.0.0.1:1")));
    EXPECT_MISUSE("rt::spawn is called outside a runtime: use runtime.handle().spawn()",
                  (void)rt::sync_wait(rt::serve_each("127.0.0.1:0", echo)));
}

TEST_F(NetMisuse, halves_of_two_streams_are_put_together) {
    EXPECT_MISUSE("tcp_stream::unsplit of halves of two streams", run([]() -> rt::task<> {
                      auto [near, far] = co_await make_tcp_pair();
                      auto [reads, writes] = std::move(near).split();
                      auto [other_reads, other_writes] = std::move(far).split();
                      (void)rt::tcp_stream::unsplit(std::move(reads), std::move(other_writes));
                  }));
}

/// Says that it did more than it was asked for.
struct boaster {
    rt::io_task<std::size_t> read(std::span<std::byte> to) { co_return to.size() + 1; }
    rt::io_task<std::size_t> write(std::span<const std::byte> from) { co_return from.size() + 1; }
};

TEST_F(NetMisuse, a_reader_or_writer_reports_too_much_b67) {
    constexpr auto what = "a reader or writer reports more bytes than it was given";
    EXPECT_MISUSE(what, run([]() -> rt::task<> {
                      boaster b;
                      std::byte buffer[4];
                      (void)co_await rt::read_exact(b, buffer);
                  }));
    EXPECT_MISUSE(what, run([]() -> rt::task<> {
                      boaster b;
                      (void)co_await rt::write_all(b, bytes_of("abc"));
                  }));
    EXPECT_MISUSE(what, run([]() -> rt::task<> {
                      boaster b;
                      (void)co_await rt::copy(b, b);
                  }));
}

/// An executor of rt without a pool comes to no user's hands, but one may write his own.
TEST_F(NetMisuse, there_is_no_blocking_pool) {
    EXPECT_MISUSE("rt::spawn_blocking on an executor that has no blocking pool",
                  rt::sync_wait(rt::detail::run_blocking([] {}, std::source_location::current())));
}

TEST_F(NetMisuse, an_empty_stream_of_signals_is_used) {
    rt::signal_stream none;
    EXPECT_MISUSE("an empty signal_stream is used", (void)none.next());
}

}  // namespace
