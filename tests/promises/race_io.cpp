// Bytes: what was written is read once, in order, and a read that lost has left the buffer alone.
//
// The streams are ends of a socketpair: nothing is under way between write and read, so the books
// are exact at any moment.
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <span>
#include <string>
#include <string_view>

#include "promises/race.hpp"
#include "sched/pipe.hpp"

namespace {

struct wire {
    rt::tcp_stream near;
    int far = -1;

    explicit wire(int buffer = 0) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        if (buffer) ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        near = rt::tcp_stream(rt::io_handle(ends[0], rt::descriptor_kind::socket));
        far = ends[1];
    }
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;
    ~wire() { ::close(far); }
    void send(std::string_view text) {
        EXPECT_EQ(::send(far, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    /// Takes a byte away from the reader.
    bool steal() {
        char byte;
        return ::recv(static_cast<int>(near.handle().native()), &byte, 1, MSG_DONTWAIT) == 1;
    }
};

/// The unit is a byte, and each is the successor of the one before.
template <class Reads>
struct read_row : race::row {
    static constexpr int cost = 4;
    wire ends;
    std::atomic<char> sent = 0;  // atomic: the thread sanitizer does not see the wire
    std::array<std::byte, 4> buffer{};
    std::array<std::span<std::byte>, 2> parts{std::span(buffer).first(1),
                                              std::span(buffer).last(3)};

    rt::task<> reset() {
        buffer.fill(std::byte{0xee});
        co_return;
    }
    auto op() {
        for (auto b : buffer) EXPECT_EQ(b, std::byte{0xee}) << "a read that lost has written";
        return Reads()(*this);
    }
    void take(rt::result<std::size_t> count) {
        EXPECT_EQ(count.value(), 1u);
        EXPECT_EQ(static_cast<char>(buffer[0]), sent.load());
        buffer.fill(std::byte{0xee});
    }

    void give() {
        char next = ++sent;
        ends.send({&next, 1});
    }
};
/// Now and then a byte comes and goes, as if another reader had been quicker.
template <class Reads>
struct contested_row : read_row<Reads> {
    bool tease() {
        this->give();
        return this->ends.steal();
    }
};
/// Who has peeked at a byte has not taken it.
struct peek_row : read_row<decltype([](auto& row) { return row.ends.near.peek(row.buffer); })> {
    void take(rt::result<std::size_t> count) {
        read_row::take(count);
        EXPECT_TRUE(ends.steal());
    }
};
KERNEL_RACE(bytes_that_are_read_b31, "net/tcp:receive_op",
            contested_row<decltype([](auto& row) { return row.ends.near.read(row.buffer); })>)
KERNEL_RACE(bytes_that_are_peeked_at_b31, "net/tcp:receive_op", peek_row)
KERNEL_RACE(
    bytes_for_several_buffers_b31_b63, "net/tcp:vectored_op",
    contested_row<decltype([](auto& row) { return row.ends.near.read_vectored(row.parts); })>)

/// The wire is full, and the unit is room in it.
template <class Writes>
struct write_row : race::row {
    static constexpr int cost = 4;
    wire ends{1};
    std::string text = std::string(600, 'x');
    std::array<std::span<const std::byte>, 2> parts{rt::as_bytes(text).first(100),
                                                    rt::as_bytes(text).last(500)};
    std::size_t written = 0;
    std::atomic<std::size_t> read = 0;

    rt::task<> reset() {
        give();
        EXPECT_EQ(read, written);
        auto fd = static_cast<int>(ends.near.handle().native());
        for (ssize_t n; (n = ::send(fd, text.data(), text.size(), MSG_DONTWAIT)) > 0;)
            written += static_cast<std::size_t>(n);
        co_return;
    }
    auto op() { return Writes()(*this); }
    void take(rt::result<std::size_t> count) { written += count.value(); }
    void give() {
        char buffer[8192];
        for (ssize_t n; (n = ::recv(ends.far, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
            read += static_cast<std::size_t>(n);
    }
};
KERNEL_RACE(
    bytes_that_are_written_b31, "net/tcp:send_op",
    write_row<decltype([](auto& row) { return row.ends.near.write(rt::as_bytes(row.text)); })>)
KERNEL_RACE(bytes_of_several_buffers_that_are_written_b31_b63, "net/tcp:vectored_op",
            write_row<decltype([](auto& row) { return row.ends.near.write_vectored(row.parts); })>)

/// How much one that was called off has written is not known, but not more than it had to.
template <class Writes>
struct write_all_row : write_row<Writes> {
    std::size_t begun = 0, least = 0;
    rt::task<> reset() {
        this->give();
        EXPECT_GE(this->read, least);
        EXPECT_LE(this->read, this->written + begun);
        this->read = this->written = begun = least = 0;
        co_await write_row<Writes>::reset();
        least = this->written;
    }
    rt::task<> act() {
        begun += this->text.size();
        auto done = co_await Writes()(*this);
        EXPECT_TRUE(done);
        least += this->text.size();
    }
};
KERNEL_RACE(bytes_that_are_all_written, "net/tcp:send_all_op",
            write_all_row<decltype([](auto& row) {
                return row.ends.near.write_all(rt::as_bytes(row.text));
            })>)
KERNEL_RACE(bytes_that_are_all_written_by_any_writer, "io/bytes:write_all",
            write_all_row<decltype([](auto& row) {
                return rt::write_all(row.ends.near, rt::as_bytes(row.text));
            })>)

/// What came of two bytes stays in the buffer, and *received tells how much that is.
struct read_exact_row : race::row {
    static constexpr int cost = 4;
    wire ends;
    std::array<std::byte, 2> buffer{};
    std::size_t has = 0;

    struct adds {
        std::size_t& to;
        std::size_t received = 0;
        ~adds() { to += received; }
    };
    rt::task<> act() {
        {
            adds here{has};
            auto rest = std::span(buffer).subspan(has);
            EXPECT_TRUE(co_await rt::read_exact(ends.near, rest, &here.received));
        }
        EXPECT_EQ(std::exchange(has, 0), 2u);
    }
    void give() {
        ends.send("a");
        race::spin(100);
        ends.send("b");
    }
};
KERNEL_RACE(bytes_that_are_read_exactly_b62, "io/bytes:read_exact", read_exact_row)

/// A line comes in two parts, and the first one is kept.
template <class Reads>
struct line_row : race::row {
    static constexpr int cost = 4;
    wire ends;
    rt::buffered_reader<rt::tcp_stream> lines{std::move(ends.near)};
    std::atomic<int> number = 0;

    auto op() { return Reads()(*this); }
    void take(rt::result<std::optional<std::string>> line) { check(line.value()); }
    void take(std::optional<rt::result<std::string>> line) { check(line->value()); }
    void check(std::optional<std::string> line) { EXPECT_EQ(line, std::to_string(number)); }
    void give() {
        auto text = std::to_string(++number) + "\n";
        ends.send(text.substr(0, text.size() / 2));
        race::spin(100);
        ends.send(text.substr(text.size() / 2));
    }
};
KERNEL_RACE(a_line_b31_b64, "io/buffered:record_op",
            line_row<decltype([](auto& row) { return row.lines.read_line(); })>)
KERNEL_RACE(a_next_line_b31_b64_b82, "io/buffered:next_op",
            line_row<decltype([](auto& row) { return row.lines.next(); })>)

struct buffered_bytes_row : race::row {
    static constexpr int cost = 4;
    wire ends;
    rt::buffered_reader<rt::tcp_stream> reader{std::move(ends.near)};
    rt::task<> act() {
        std::byte byte{};
        auto n = co_await reader.read(std::span(&byte, 1));
        EXPECT_EQ(n.value(), 1u);
    }
    void give() { ends.send("x"); }
};
KERNEL_RACE(bytes_by_way_of_a_buffer_b64, "io/buffered:read", buffered_bytes_row)

struct pipe_row : race::row {
    static constexpr int cost = 4;
    test_pipe ends;
    auto op() { return ends.get(); }
    void take(bool came) { EXPECT_TRUE(came); }
    void give() { ends.put(); }
};
KERNEL_RACE(a_byte_of_a_pipe_b31, "io/reactor:io_op", pipe_row)

struct signal_row : race::row {
    static constexpr int cost = 4;
    rt::signal_stream stream = rt::signals(SIGUSR1).value();
    auto op() { return stream.next(); }
    void take(std::optional<int> number) { EXPECT_EQ(number, SIGUSR1); }
    void give() { ::raise(SIGUSR1); }
};
KERNEL_RACE(a_signal_b31_b82, "signal/signals:signal_op", signal_row)

struct ctrl_c_row : race::row {
    static constexpr int cost = 4;
    auto op() { return rt::ctrl_c(); }
    void take(rt::result<int> number) { EXPECT_EQ(number, rt::result<int>(SIGINT)); }
    void give() { ::raise(SIGINT); }
    ctrl_c_row() { (void)rt::ctrl_c(); }  // from now on it ends no program
};
KERNEL_RACE(ctrl_c_b31, "signal/ctrl_c:ctrl_c_op", ctrl_c_row)

}  // namespace
