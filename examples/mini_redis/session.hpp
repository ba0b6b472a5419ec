// One client: its input, its requests, its output.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "server.hpp"
import rt;

namespace mini {

/// Bytes that were read and not used yet. It grows while requests do not fit, and shrinks again.
class input_buffer {
public:
    [[nodiscard]] std::string_view text() const noexcept { return {data_.data() + begin_, size()}; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] std::span<std::byte> room();
    void filled(std::size_t n) noexcept { end_ += n; }
    void used(std::size_t n) noexcept { begin_ += n; }

private:
    static constexpr std::size_t least = 4096;
    std::vector<char> data_;
    std::size_t begin_ = 0, end_ = 0;
};

/// What a batch of requests sends to the shards of other workers. Their replies come back as text,
/// and go out in the order of the requests.
class crossing {
public:
    struct answers {
        std::string text;
        std::vector<std::size_t> ends;  // of each reply in it
        std::string left;               // requests that were not run: there was enough to send
    };
    explicit crossing(unsigned shards) : parts_(shards) {}
    /// Nothing is to be sent, and all replies have gone out.
    [[nodiscard]] bool empty() const noexcept { return order_.empty(); }
    /// Bytes of replies from here that wait for those of others.
    [[nodiscard]] std::size_t waiting() const noexcept { return local_.size(); }
    /// The next reply is that of this request, to be run in shard i.
    void send(unsigned i, std::span<const std::string_view> args);
    /// The next reply is what is appended here, until the next one begins.
    std::string& here();
    /// Sends to each shard once, waits for all, and appends the replies that have their turn. What
    /// remains goes with the next call.
    rt::task<> run(keyspace& keys, std::string& out);

private:
    struct part {
        std::string requests;
        answers back;
        std::size_t next = 0;  // of the replies
    };
    static constexpr unsigned at_home = ~0u;
    std::vector<part> parts_;
    std::deque<unsigned> order_;  // the shard of each reply that has not gone out
    std::string local_;           // replies from here, and where each begins
    std::deque<std::size_t> begins_;
};
crossing::answers run_requests(shard& on, std::string_view requests);

class session {
public:
    session(server& owner, rt::tcp_stream peer, unsigned worker);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    /// Until the client goes, or is sent away.
    rt::io_task<> run();

    // For the commands in clients.cpp, blocking.cpp and publishing.cpp.
    [[nodiscard]] reply out() noexcept { return reply(out_); }
    server& owner;
    const unsigned worker;  // thread per core: where it runs, always
    const std::uint64_t id;
    rt::tcp_stream peer;
    input_buffer in;
    std::string name;
    bool leaving = false;  // when the output has been written
    bool no_more = false;  // the client sends nothing more, or nothing more is read
    bool ended = false;    // it is to be dropped
    /// At the server's end: what has been sent by now is read, and not much more. Any thread.
    void read_no_more();
    /// What a read of the peer into `in` has given.
    void took(const rt::result<std::size_t>& read);
    std::set<std::string, std::less<>> subscribed;
    std::optional<channels::mailbox> mailbox;
    std::optional<rt::receiver<channels::message>> messages;

private:
    enum class pause : std::uint8_t { input, output, crossing, waits, broken };
    std::string& sink() { return crossing_.empty() ? out_ : crossing_.here(); }
    pause run_requests();
    void run_many(const command& what, const arguments& args);
    template <class F>
    void each_part(const command& what, const arguments& args, F f);
    void combine(const command& what, std::string_view replies, std::size_t count);
    bool refused(const command* what, const arguments& args);
    rt::task<> cross();
    rt::io_task<> flush();
    rt::io_task<> exchange(bool all_run);
    void drop_written();
    void give_up();
    rt::io_task<> exchange_as_subscriber();
    rt::io_task<> part();

    std::atomic<std::int64_t> allowed_{unlimited};  // bytes to be read yet
    static constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();
    request_parser parser_;
    std::string out_;
    std::size_t written_ = 0;  // of out_
    bool stalled_ = false;     // nothing could be written for a second
    crossing crossing_;
    // A command whose parts are in other shards: what crossing_ brings is its replies.
    const command* gathering_ = nullptr;
    std::size_t gathered_ = 0;
    const command* waiting_ = nullptr;  // the command that makes run_requests pause
    std::vector<std::string> waiting_args_;
};

}  // namespace mini
