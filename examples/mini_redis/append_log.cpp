#include "append_log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <limits>
#include <stdexcept>
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
    request_parser parser(request_parser::checks::all);
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
        bool select = got == request_parser::outcome::complete && args.size() == 2 &&
                      same_word(args[0], "select") && args[1] == "0";  // as Redis begins its own
        if (!select && (what == nullptr || !what->writes || !what->run ||
                        !what->takes(args.size()) || args.size() < 2)) {
            done.damaged = true;
            done.why = got == request_parser::outcome::complete && !args.empty()
                           ? "the command " + as_c_prints(args[0]) + " cannot be replayed"
                           : "what follows is no request";
            return done;
        }
        // A DEL of several keys is the only request in the file that has more than one.
        auto last = select ? 0 : what->to == route::sum_keys ? args.size() - 1 : 1;
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

namespace {
/// Is there a whole request somewhere in what follows the first byte?
bool has_request(std::string_view text) {
    for (std::size_t at = 1; (at = text.find("\r\n*", at)) != text.npos; ++at) {
        request_parser parser(request_parser::checks::all);
        auto rest = text.substr(at + 2);
        if (parser.parse(rest) != request_parser::outcome::complete) continue;
        auto* what = parser.args().empty() ? nullptr : find_command(parser.args()[0]);
        if (what != nullptr && what->takes(parser.args().size())) return true;
    }
    return false;
}
}  // namespace

void append_log::open(const std::string& path, keyspace& keys) {
    auto fail = [&](const std::string& why) { throw std::runtime_error(path + ": " + why); };
    descriptor_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail(last_error().message());
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0)
        fail(errno == EWOULDBLOCK ? "another server has this append-only file open"
                                  : last_error().message());
    std::string text;
    std::size_t offset = 0;  // in the file, of the text
    std::uint64_t requests = 0;
    for (;;) {
        constexpr std::size_t step = 1 << 20;
        auto kept = text.size();
        text.resize(kept + step);
        auto n = ::read(descriptor_, text.data() + kept, step);
        if (n < 0) fail(last_error().message());
        text.resize(kept + static_cast<std::size_t>(n));
        auto done = replay(text, keys);
        requests += done.requests;
        offset += done.whole;
        text.erase(0, done.whole);
        bool zeros = text.find_first_not_of('\0') == text.npos;
        if (done.damaged && !zeros)
            fail("damaged at byte " + std::to_string(offset) + ": " + done.why +
                 ". Nothing was changed; mend it there, or start with another file");
        if (n == 0) break;
    }
    // What a crash has torn is the last request. One in the middle may only look unfinished,
    // because its length was damaged.
    if (has_request(text))
        fail("damaged at byte " + std::to_string(offset) +
             ": this request is not whole, but others follow. Nothing was changed; mend it there, "
             "or start with another file");
    if (!text.empty()) {
        std::cerr << path << ": cut " << text.size() << " bytes at its end, of a request that "
                  << "is not whole\n";
        if (::ftruncate(descriptor_, static_cast<off_t>(offset)) != 0) fail(last_error().message());
    }
    if (requests > 0) std::cout << "replayed " << requests << " requests" << std::endl;
    for (unsigned i = 0; i < keys.size(); ++i) keys[i].logging = true;
}

rt::task<> append_log::collect(keyspace& keys) {
    for (unsigned i = 0; i < keys.size(); ++i) {
        pending_ += co_await keys.at(i, anywhere,
                                     [](shard& s) { return std::exchange(s.pending_log, {}); });
    }
}

rt::task<std::error_code> append_log::write(bool sync) {
    if (pending_.empty() && !(sync && unsynced_)) co_return {};
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
    co_return done.error;
}

rt::io_task<> append_log::run(keyspace& keys) {
    rt::interval tick(100ms, rt::missed_ticks::delay);
    for (unsigned turn = 0;; ++turn) {
        auto first = co_await rt::select(tick.tick(), finishing_.wait());
        bool last = first.index() == 1;
        co_await collect(keys);
        // A sync that failed is tried again at once: until it succeeds, changes are refused.
        auto error = co_await write(last || failing_ || turn % 10 == 0);
        if (!last) continue;
        if (error)
            std::cerr << pending_.size() << " bytes of acknowledged changes were not written to "
                      << "the append-only file, and are lost\n";
        co_return error ? rt::result<>(error) : rt::result<>();
    }
}

}  // namespace mini
