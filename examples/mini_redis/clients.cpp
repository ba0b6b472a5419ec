// Commands that concern the connection or the server.
#include <chrono>

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

void quit(session& s, const arguments&) {
    s.out().ok();
    s.leaving = true;
}

void select(session& s, const arguments& args) {
    std::int64_t index = 0;
    if (!to_integer(args[1], index)) return s.out().error("ERR invalid DB index");
    if (index != 0) return s.out().error("ERR DB index is out of range");
    s.out().ok();
}

void time(session& s, const arguments&) {
    using namespace std::chrono;
    auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
    s.out().array(2);
    s.out().bulk(std::to_string(now / 1'000'000));
    s.out().bulk(std::to_string(now % 1'000'000));
}

void unknown_subcommand(session& s, const arguments& args) {
    std::string name(args[0]);
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    s.out().error("ERR unknown subcommand '" + std::string(args[1]) + "'. Try " + name + " HELP.");
}

void config(session& s, const arguments& args) {
    auto out = s.out();
    if (same_word(args[1], "resetstat") && args.size() == 2) return out.ok();
    if (same_word(args[1], "set") && args.size() == 4) {
        // redis-benchmark and test suites ask for no snapshots, and there are none.
        if (same_word(args[2], "save") && args[3].empty()) return out.ok();
        return out.error("ERR CONFIG SET failed - possibly related to argument '" +
                         std::string(args[2]) + "' - it can be set at the start only");
    }
    if (!same_word(args[1], "get") || args.size() < 3) return unknown_subcommand(s, args);
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
    } else if (same_word(args[1], "count")) {
        out.integer(static_cast<std::int64_t>(all.size()));
    } else if (same_word(args[1], "docs")) {
        out.array(0);
    } else if (same_word(args[1], "info")) {
        out.array(args.size() - 2);
        for (std::size_t i = 2; i < args.size(); ++i) {
            auto* what = find_command(args[i]);
            what ? describe(out, *what) : out.null_array();
        }
    } else {
        unknown_subcommand(s, args);
    }
}

void client(session& s, const arguments& args) {
    auto out = s.out();
    if (same_word(args[1], "id")) return out.integer(static_cast<std::int64_t>(s.id));
    if (same_word(args[1], "getname")) return s.name.empty() ? out.null() : out.bulk(s.name);
    if (same_word(args[1], "setinfo")) return out.ok();
    if (!same_word(args[1], "setname") || args.size() != 3) return unknown_subcommand(s, args);
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

rt::task<> info(session& s, std::vector<std::string>) { s.out().bulk(co_await s.owner.info()); }

rt::task<> shut_down(session& s, std::vector<std::string>) {
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
    {"info", -1, route::waits, false, nullptr, nullptr, info},
    {"ping", -1, route::client, false, nullptr, ping},
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
