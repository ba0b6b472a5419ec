// Commands that concern the connection or the server.
#include <chrono>
#include <limits>

#include "session.hpp"
#include "waiting.hpp"

namespace mini {

namespace {

void ping(session& s, const arguments& args) {
    auto out = s.out();
    if (args.size() > 2) return refuse(find_command(args[0]), args, out);
    if (!s.subscribed.empty()) {  // a subscriber takes arrays only
        out.array(2);
        out.bulk("pong");
        out.bulk(args.size() == 2 ? args[1] : "");
    } else if (args.size() == 2) {
        out.bulk(args[1]);
    } else {
        out.simple("PONG");
    }
}

void echo(session& s, const arguments& args) { s.out().bulk(args[1]); }

/// A browser that was made to talk to us: it must not get through to the body of its request.
void not_http(session& s, const arguments&) { s.ended = true; }

void quit(session& s, const arguments&) {
    s.out().ok();
    s.leaving = true;
}

void select(session& s, const arguments& args) {
    constexpr std::int64_t least = std::numeric_limits<int>::min(), most = -(least + 1);
    std::int64_t index = 0;
    if (!to_integer(args[1], index)) {
        s.out().error("ERR value is not an integer or out of range");
    } else if (index < least || index > most) {
        s.out().error("ERR value is out of range, value must between " + std::to_string(least) +
                      " and " + std::to_string(most));
    } else if (index != 0) {
        s.out().error("ERR DB index is out of range");
    } else {
        s.out().ok();
    }
}

void time(session& s, const arguments&) {
    using namespace std::chrono;
    auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
    s.out().array(2);
    s.out().bulk(std::to_string(now / 1'000'000));
    s.out().bulk(std::to_string(now % 1'000'000));
}

/// Does the request have that subcommand? If it has the wrong number of arguments for it, the
/// client is told so, and `refused` is true.
struct subcommand {
    session& s;
    const arguments& args;
    bool refused = false;
    bool is(std::string_view name, std::size_t least, std::size_t most) {
        if (refused || !same_word(args[1], name)) return false;
        if (args.size() >= least && args.size() <= most) return true;
        s.out().error("ERR wrong number of arguments for '" + lower_case(args[0]) + "|" +
                      std::string(name) + "' command");
        refused = true;
        return false;
    }
    void unknown() {
        if (refused) return;
        std::string upper(args[0]);
        for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        s.out().error("ERR unknown subcommand '" + as_c_prints(args[1]) + "'. Try " + upper +
                      " HELP.");
    }
};
constexpr std::size_t any_number = ~std::size_t{0};

void config(session& s, const arguments& args) {
    auto out = s.out();
    subcommand sub{s, args};
    if (sub.is("resetstat", 2, 2)) return out.ok();
    if (sub.is("set", 4, any_number)) {
        // redis-benchmark and test suites ask for no snapshots, and there are none.
        if (args.size() == 4 && same_word(args[2], "save") && args[3].empty()) return out.ok();
        return out.error("ERR CONFIG SET failed - possibly related to argument '" +
                         std::string(args[2]) + "' - nothing can be set while the server runs");
    }
    if (!sub.is("get", 3, any_number)) return sub.unknown();
    const std::pair<const char*, std::string> known[] = {
        {"appendfsync", "everysec"},
        {"appendonly", s.owner.log.is_open() ? "yes" : "no"},
        {"client-output-buffer-limit", std::to_string(s.owner.given.output_limit)},
        {"databases", "1"},
        {"io-threads", std::to_string(s.owner.workers)},
        {"maxmemory", "0"},
        {"port", std::to_string(s.owner.port)},
        {"proto-max-bulk-len", std::to_string(longest_bulk)},
        {"save", ""},
    };
    std::string found;
    reply to(found);
    std::size_t count = 0;
    for (auto& [name, value] : known) {
        bool wanted = false;
        for (std::size_t i = 2; i < args.size(); ++i) wanted |= glob(args[i], name);
        if (!wanted) continue;
        to.bulk(name);
        to.bulk(value);
        count += 2;
    }
    out.array(count);
    out.text() += found;
}

void describe(reply out, const command& what) {
    bool keyed = what.run != nullptr && what.to <= route::set_pairs;
    bool many = keyed && what.to != route::one_key;
    out.array(6);
    out.bulk(what.name);
    out.integer(what.arity);
    out.array(1);
    out.simple(what.writes ? "write" : what.run ? "readonly" : "fast");
    out.integer(keyed);
    out.integer(many ? -1 : keyed);
    out.integer(what.to == route::set_pairs ? 2 : keyed);
}

void command_list(session& s, const arguments& args) {
    auto out = s.out();
    auto all = all_commands();
    if (args.size() == 1) {
        out.array(all.size());
        for (auto& c : all) describe(out, c);
        return;
    }
    subcommand sub{s, args};
    if (sub.is("count", 2, 2)) {
        out.integer(static_cast<std::int64_t>(all.size()));
    } else if (sub.is("docs", 2, any_number)) {
        out.array(0);
    } else if (sub.is("info", 2, any_number)) {
        out.array(args.size() - 2);
        for (std::size_t i = 2; i < args.size(); ++i) {
            auto* what = find_command(args[i]);
            what ? describe(out, *what) : out.null_array();
        }
    } else {
        sub.unknown();
    }
}

void client(session& s, const arguments& args) {
    auto out = s.out();
    subcommand sub{s, args};
    if (sub.is("id", 2, 2)) return out.integer(static_cast<std::int64_t>(s.id));
    if (sub.is("getname", 2, 2)) return s.name.empty() ? out.null() : out.bulk(s.name);
    if (sub.is("setinfo", 4, 4)) return out.ok();
    if (!sub.is("setname", 3, 3)) return sub.unknown();
    for (char c : args[2]) {
        if (c < '!' || c > '~')
            return out.error(
                "ERR Client names cannot contain spaces, newlines or special characters.");
    }
    s.name = args[2];
    out.ok();
}

void hello(session& s, const arguments& args) {
    auto out = s.out();
    if (args.size() > 1 && args[1] != "2") return out.error("NOPROTO unsupported protocol version");
    out.array(6);
    out.bulk("server");
    out.bulk("redis");
    out.bulk("version");
    out.bulk("7.0.15");
    out.bulk("proto");
    out.integer(2);
}

rt::task<> info(session& s, std::vector<std::string> args) {
    args.erase(args.begin());
    s.out().bulk(co_await s.owner.info(std::move(args)));
}

rt::task<> shut_down(session& s, std::vector<std::string> args) {
    for (std::size_t i = 1; i < args.size(); ++i) {
        if (same_word(args[i], "abort") && args.size() == 2) {
            s.out().error("ERR No shutdown in progress.");
            co_return;
        }
        if (!same_word(args[i], "nosave") && !same_word(args[i], "save") &&
            !same_word(args[i], "now") && !same_word(args[i], "force")) {
            s.out().error("ERR syntax error");
            co_return;
        }
    }
    s.ended = true;  // it gets no answer, but sees the end
    s.owner.asked_to_end.notify_one();
    co_return;
}

constexpr command commands[] = {
    {"blpop", -3, route::waits, true, nullptr, nullptr, blpop},
    {"brpop", -3, route::waits, true, nullptr, nullptr, brpop},
    {"client", -2, route::client, false, nullptr, client},
    {"command", -1, route::client, false, nullptr, command_list},
    {"config", -2, route::client, false, nullptr, config},
    {"echo", 2, route::client, false, nullptr, echo},
    {"hello", -1, route::client, false, nullptr, hello},
    {"host:", -1, route::client, false, nullptr, not_http},
    {"info", -1, route::waits, false, nullptr, nullptr, info},
    {"ping", -1, route::client, false, nullptr, ping},
    {"post", -1, route::client, false, nullptr, not_http},
    {"publish", 3, route::waits, false, nullptr, nullptr, publish},
    {"quit", -1, route::client, false, nullptr, quit},
    {"select", 2, route::client, false, nullptr, select},
    {"shutdown", -1, route::waits, false, nullptr, nullptr, shut_down},
    {"subscribe", -2, route::waits, false, nullptr, nullptr, subscribe},
    {"time", 1, route::client, false, nullptr, time},
    {"unsubscribe", -1, route::waits, false, nullptr, nullptr, unsubscribe},
};

}  // namespace

std::span<const command> client_commands() noexcept { return commands; }

}  // namespace mini
