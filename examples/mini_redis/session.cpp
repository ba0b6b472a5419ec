// A session reads, runs every request that is there, and writes all their replies at once. It reads
// on while its output waits for the client: so a client that never reads is seen, and sent away
// when that output exceeds the limit.
#include "session.hpp"

#include <chrono>
#include <cstring>
#include <iostream>
#include <variant>

namespace mini {

using namespace std::chrono_literals;

namespace {
constexpr std::size_t batch = 64 * 1024;  // of output, before it is written
std::atomic<std::uint64_t> next_id{1};
}  // namespace

std::span<std::byte> input_buffer::room() {
    if (begin_ == end_) {
        begin_ = end_ = 0;
        if (data_.size() > 16 * least) std::vector<char>().swap(data_);
    } else if (begin_ > data_.size() / 2) {
        std::memmove(data_.data(), data_.data() + begin_, size());
        end_ -= std::exchange(begin_, 0);
    }
    if (end_ == data_.size()) data_.resize(std::max(least, 2 * data_.size()));
    return std::as_writable_bytes(std::span(data_).subspan(end_));
}

session::session(server& owner, rt::tcp_stream peer, unsigned worker)
    : owner(owner),
      worker(worker),
      id(next_id.fetch_add(1, std::memory_order_relaxed)),
      peer(std::move(peer)),
      crossing_(owner.keys.size()) {
    owner.enter(*this);
}
session::~session() { owner.leave(*this); }

bool session::refused(const command* what, const arguments& args) {
    if (what == nullptr || !what->takes(args.size())) {
        refuse(what, args, reply(sink()));
    } else if (what->writes && owner.log.failing()) {
        reply(sink()).error("MISCONF Errors writing to the append-only file: see the server's log");
    } else if (!subscribed.empty() && what->name != "subscribe" && what->name != "unsubscribe" &&
               what->name != "ping" && what->name != "quit") {
        reply(sink()).error("ERR Can't execute '" + std::string(what->name) +
                            "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                            "allowed in this context");
    } else {
        return false;
    }
    return true;
}

session::pause session::run_requests() {
    auto now = wall_clock();
    std::unique_lock<std::mutex> held;
    auto held_shard = ~0u;
    std::uint64_t count = 0;
    struct counted {
        std::atomic<std::uint64_t>& total;
        std::uint64_t& count;
        ~counted() { total.fetch_add(count, std::memory_order_relaxed); }
    } counted{owner.commands, count};
    auto begun = out_.size();
    while (out_.size() - begun + crossing_.waiting() < batch) {
        auto got = parser_.parse(in.text());
        if (got != request_parser::outcome::complete) {
            if (!crossing_.empty()) return pause::crossing;
            return got == request_parser::outcome::broken ? pause::broken : pause::input;
        }
        auto& args = parser_.args();
        if (args.empty()) {
            in.used(parser_.size());
            continue;
        }
        auto* what = find_command(args[0]);
        bool single = what != nullptr && what->to == route::one_key;
        if (!single && !crossing_.empty()) return pause::crossing;  // then the same once more
        ++count;
        if (refused(what, args)) {
        } else if (single) {
            auto i = owner.keys.shard_of(args[1]);
            if (owner.keys.at_hand(i, worker)) {
                auto& on = owner.keys[i];
                if (held_shard != i) {
                    if (held) held.unlock();
                    held = owner.keys.lock(i);
                    held_shard = i;
                    on.now = now;
                }
                call c{on, args, reply(sink())};
                execute(*what, c);
            } else {
                crossing_.send(i, args);
            }
        } else if (what->to == route::client) {
            what->answer(*this, args);
            if (leaving || ended) return pause::output;
        } else if (what->to == route::waits) {
            waiting_ = what;
            waiting_args_.assign(args.begin(), args.end());
            in.used(parser_.size());
            return pause::waits;
        } else {
            if (held) held.unlock();
            held_shard = ~0u;
            run_many(*what, args);
            if (gathering_ != nullptr) {
                in.used(parser_.size());
                return pause::crossing;
            }
        }
        in.used(parser_.size());
    }
    return crossing_.empty() ? pause::output : pause::crossing;
}

rt::task<> session::cross() {
    if (gathering_ == nullptr) {
        co_await crossing_.run(owner.keys, out_);
    } else {
        std::string replies;
        while (!crossing_.empty()) co_await crossing_.run(owner.keys, replies);
        combine(*std::exchange(gathering_, nullptr), replies, gathered_);
    }
}

void session::read_no_more() {
    // More than the buffers of both sockets hold: tcp(7), tcp_rmem and tcp_wmem.
    allowed_ = 16 * 1024 * 1024;
    // A read gets what is there, and then the end, even if the client goes on sending.
    (void)peer.shutdown(rt::shutdown_side::read);
}

void session::took(const rt::result<std::size_t>& read) {
    if (!read || *read == 0) {
        no_more = true;
        return;
    }
    in.filled(*read);
    if (allowed_ != unlimited) no_more = (allowed_ -= static_cast<std::int64_t>(*read)) <= 0;
}

rt::io_task<> session::run() {
    while (!ended) {
        auto why = crossing_.empty() ? run_requests() : pause::crossing;
        if (why == pause::crossing) {
            co_await cross();
            if (crossing_.empty() || out_.size() - written_ < batch) continue;
            why = pause::output;
        }
        if (why == pause::waits) {
            // Those that change something wait for long: the replies before theirs go out first.
            if (waiting_->writes) co_await flush().or_return();
            co_await waiting_->wait(*this, std::exchange(waiting_args_, {}));
            continue;
        }
        if (why == pause::broken) {
            out().error(parser_.error());
            leaving = true;
        }
        if (no_more && why == pause::input) break;
        if (leaving) {
            (void)co_await flush();
            co_return co_await rt::timeout(1s, part());
        }
        if (messages) {
            co_await exchange_as_subscriber().or_return();
        } else if (written_ == out_.size()) {
            if (why == pause::input) took(co_await peer.read(in.room()));
        } else {
            co_await exchange(why == pause::input).or_return();
        }
        drop_written();
    }
    co_return co_await flush();
}

void session::drop_written() {
    if (written_ == out_.size()) {
        if (out_.capacity() > batch) std::string().swap(out_);
        out_.clear();
        written_ = 0;
    } else if (written_ > out_.size() / 2) {
        out_.erase(0, std::exchange(written_, 0));
    }
}

/// The client is sent away: more than the limit waits for it, and it does not read.
void session::give_up() {
    owner.refused.fetch_add(1, std::memory_order_relaxed);
    std::cerr << "client " << id << " is sent away: it does not read, and "
              << out_.size() - written_ << " bytes wait for it (--output-limit)\n";
    out_.clear();
    written_ = 0;
    ended = true;
}

/// Writes some. Who reads, however slowly, gets all; its further requests wait meanwhile. For who
/// has not read for a second they are run nevertheless, until the limit is exceeded.
rt::io_task<> session::exchange(bool all_run) {
    auto rest = rt::as_bytes(out_).subspan(written_);
    bool over = rest.size() > owner.given.output_limit;
    rt::result<std::size_t> n = 0;
    if (all_run && !over) {
        auto first = co_await rt::select(rt::biased, peer.write(rest), peer.read(in.room()));
        if (first.index() == 1) {
            took(std::get<1>(first));
            co_return {};
        }
        n = std::get<0>(first);
    } else {
        auto patience = over || !stalled_ ? 1s : 0s;
        auto first = co_await rt::select(rt::biased, peer.write(rest), rt::sleep(patience));
        if (first.index() == 1) {
            stalled_ = true;
            if (over) give_up();
            co_return {};
        }
        n = std::get<0>(first);
    }
    if (!n) co_return n.error();
    stalled_ = false;
    written_ += *n;
    co_return {};
}

/// Writes all that waits; the error timed_out when the client takes nothing for five seconds.
rt::io_task<> session::flush() {
    while (written_ < out_.size()) {
        auto rest = rt::as_bytes(out_).subspan(written_);
        written_ += co_await rt::timeout(5s, peer.write(rest)).or_return();
    }
    drop_written();
    co_return {};
}

rt::io_task<> session::exchange_as_subscriber() {
    auto rest = rt::as_bytes(out_).subspan(written_);
    std::optional<channels::message> message;
    if (rest.empty()) {
        auto first = co_await rt::select(peer.read(in.room()), messages->recv());
        if (auto* n = std::get_if<0>(&first)) {
            took(*n);
        } else {
            message = std::get<1>(std::move(first));
        }
    } else {
        auto first = co_await rt::select(rt::biased, messages->recv(), peer.write(rest),
                                         peer.read(in.room()));
        if (auto* got = std::get_if<0>(&first)) {
            message = std::move(*got);
        } else if (auto* n = std::get_if<1>(&first)) {
            if (!*n) co_return n->error();
            written_ += **n;
        } else {
            took(std::get<2>(first));
        }
    }
    if (message) out_ += **message;
    if (out_.size() - written_ > owner.given.output_limit) give_up();
    co_return {};
}

/// To close while bytes are unread would reset the connection, and lose our last words.
rt::io_task<> session::part() {
    std::array<std::byte, 4096> rest;
    (void)peer.shutdown(rt::shutdown_side::write);
    while (co_await peer.read(rest).or_return() != 0) continue;
    co_return {};
}

}  // namespace mini
