#include "append_log.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <limits>
#include <string_view>

#include "commands.hpp"

namespace mini {

using namespace std::chrono_literals;

namespace {

std::error_code last_error() { return {errno, std::generic_category()}; }

struct written {
    std::size_t bytes = 0;
    std::error_code error;
};
written write_all(int descriptor, std::string_view text, bool sync) {
    written done;
    while (done.bytes < text.size()) {
        auto n = ::write(descriptor, text.data() + done.bytes, text.size() - done.bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            done.error = last_error();
            return done;
        }
        done.bytes += static_cast<std::size_t>(n);
    }
    if (sync && ::fdatasync(descriptor) != 0) done.error = last_error();
    return done;
}

}  // namespace

append_log::~append_log() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

replayed replay(std::string_view input, keyspace& keys) {
    replayed done;
    request_parser parser;
    std::string ignored;
    for (;;) {
        auto rest = input.substr(done.whole);
        if (rest.empty()) return done;
        auto got = rest[0] == '*' ? parser.parse(rest) : request_parser::outcome::broken;
        if (got == request_parser::outcome::incomplete) return done;
        auto& args = parser.args();
        auto* what = got == request_parser::outcome::complete && !args.empty()
                         ? find_command(args[0])
                         : nullptr;
        if (what == nullptr || !what->writes || !what->run || !what->takes(args.size()) ||
            args.size() < 2) {
            done.damaged = true;
            return done;
        }
        // A DEL of several keys is the only request in the file that has more than one.
        auto last = what->to == route::sum_keys ? args.size() - 1 : 1;
        for (std::size_t i = 1; i <= last; ++i) {
            auto& on = keys[keys.shard_of(args[i])];
            on.now = std::numeric_limits<std::int64_t>::min();  // the file says what expired
            std::string_view alone[] = {args[0], args[i]};
            auto whole = std::span(args);
            call c{on, last > 1 ? std::span<const std::string_view>(alone) : whole, reply(ignored)};
            execute(*what, c);
        }
        ignored.clear();
        done.whole += parser.size();
        ++done.requests;
    }
}

rt::result<void> append_log::open(const std::string& path, keyspace& keys) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) return last_error();
    std::string text;
    std::size_t offset = 0;  // in the file, of the text
    std::uint64_t requests = 0;
    for (;;) {
        constexpr std::size_t step = 1 << 20;
        auto kept = text.size();
        text.resize(kept + step);
        auto n = ::read(descriptor_, text.data() + kept, step);
        if (n < 0) return last_error();
        text.resize(kept + static_cast<std::size_t>(n));
        auto done = replay(text, keys);
        requests += done.requests;
        offset += done.whole;
        text.erase(0, done.whole);
        bool zeros = text.find_first_not_of('\0') == text.npos;
        if (done.damaged && !zeros) {
            std::cerr << path << " is damaged at byte " << offset
                      << ": what follows is no request. Mend it, or cut it there: truncate -s "
                      << offset << ' ' << path << '\n';
            return std::make_error_code(std::errc::illegal_byte_sequence);
        }
        if (n == 0) break;
    }
    if (!text.empty()) {
        std::cerr << path << ": cut " << text.size() << " bytes at its end, of a request that "
                  << "is not whole\n";
        if (::ftruncate(descriptor_, static_cast<off_t>(offset)) != 0) return last_error();
    }
    if (requests > 0) std::cout << "replayed " << requests << " requests" << std::endl;
    for (unsigned i = 0; i < keys.size(); ++i) keys[i].logging = &on_;
    on_ = true;
    return {};
}

rt::task<> append_log::collect(keyspace& keys) {
    for (unsigned i = 0; i < keys.size(); ++i)
        pending_ +=
            co_await keys.at(i, ~0u, [](shard& s) { return std::exchange(s.pending_log, {}); });
}

rt::task<> append_log::write(bool sync) {
    if (pending_.empty() && !(sync && unsynced_)) co_return;
    // The job owns its text: if we are stopped while it writes, it writes on.
    auto text = std::make_shared<const std::string>(std::move(pending_));
    pending_.clear();
    auto done = co_await rt::spawn_blocking(
        [text, descriptor = descriptor_, sync] { return write_all(descriptor, *text, sync); });
    if (done.bytes < text->size()) pending_ = text->substr(done.bytes);
    unsynced_ = !sync || done.error;
    if (done.error && !failing_)
        std::cerr << "the append-only file cannot be written: " << done.error.message()
                  << ". Changes are refused until it can.\n";
    failing_ = static_cast<bool>(done.error);
}

rt::task<> append_log::run(keyspace& keys) {
    rt::interval tick(100ms, rt::missed_ticks::delay);
    for (unsigned turn = 0;; ++turn) {
        co_await tick.tick();
        co_await collect(keys);
        co_await write(turn % 10 == 0);
    }
}

rt::task<> append_log::flush(keyspace& keys) {
    if (!is_open()) co_return;
    co_await collect(keys);
    co_await write(true);
}

}  // namespace mini
