// compare --seed S --count N PORT_A PORT_B: sends one random script to two Redis servers and
// compares their replies byte for byte. Nobody remembers every error text and every corner of a
// command; the real server does, so it is the specification.
#include <chrono>
#include <iostream>
#include <set>
#include <thread>

#include "compare_script.hpp"

namespace {

struct server {
    int port;
    std::vector<resp_client> clients;

    explicit server(int at) : port(at) {
        for (int i = 0; i < 3; ++i) clients.emplace_back(at);
        clients[0].ask({"FLUSHALL"});
    }
};

// Redis promises no order for SMEMBERS and KEYS, and no choice for SPOP and SRANDMEMBER: there the
// elements are sorted, and a picked member is replaced by the fact that it is one (of a set with
// more than one; and how many differ: none may come twice, unless the count is negative). HGETALL,
// HKEYS and HVALS keep the order of insertion in small hashes, so they are compared as they are.
std::string normalised(const reply& r, const command& c, const std::set<std::string>& members) {
    std::vector<std::string> all;
    for (auto& e : r.elements) all.push_back(e.raw);
    if (r.type == '$' && c.how == compared::picked) all.push_back(r.raw);
    if (c.how == compared::picked && members.size() > 1) {
        std::set<std::string> different(all.begin(), all.end());
        for (auto& e : all)
            if (members.contains(e)) e = "a member";
        if (c.words.back()[0] != '-')
            all.push_back(std::to_string(different.size()) + " of them differ");
    } else if (c.how != compared::sorted && c.how != compared::picked) {
        return r.raw;
    }
    if (all.empty()) return r.raw;
    std::sort(all.begin(), all.end());
    std::string out;
    for (auto& e : all) out += e;
    return out;
}

bool same(const reply& a, const reply& b, const command& c, const std::set<std::string>& members) {
    if (a.raw == b.raw) return true;
    bool time = c.how == compared::seconds || c.how == compared::milliseconds;
    if (time && a.type == ':' && b.type == ':') {
        // The clock went on between the two: 1 s is allowed, of a time that is there in both.
        long x = std::stol(a.text), y = std::stol(b.text);
        return x >= 0 && y >= 0 && std::abs(x - y) <= (c.how == compared::seconds ? 1 : 1000);
    }
    return a.type == b.type && normalised(a, c, members) == normalised(b, c, members);
}

std::string text_of(const command& c) {
    std::string out;
    for (auto& w : c.words) out += (out.empty() ? "" : " ") + shown(w, 60);
    return out;
}

// The story of a difference: the commands before it that name one of its keys.
void print_history(const std::vector<const command*>& sent) {
    std::set<std::string> keys(sent.back()->words.begin() + 1, sent.back()->words.end());
    static const std::set<std::string> everything{"FLUSHALL", "FLUSHDB"};
    std::vector<std::string> lines;
    for (std::size_t i = sent.size() - 1; i-- > 0 && lines.size() < 12;) {
        auto& words = sent[i]->words;
        bool touches = everything.contains(words[0]) ||
                       std::any_of(words.begin() + 1, words.end(), [&](auto& w) {
                           return w.size() > 1 && std::isalpha(w[0]) && keys.contains(w);
                       });
        if (touches) lines.push_back("  " + std::to_string(i) + ": " + text_of(*sent[i]));
    }
    std::cout << "before, on the same keys:\n";
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) std::cout << *line << '\n';
}

struct comparison {
    server a, b;
    std::vector<const command*> sent{};
    std::set<std::string> members{};  // of the last SMEMBERS, as they came

    bool differ(const std::string& from_a, const std::string& from_b) {
        std::cout << "DIFFERENT at command " << sent.size() - 1 << ": " << text_of(*sent.back())
                  << "\n  sent: " << shown(sent.back()->bytes) << "\n  port " << a.port << ": "
                  << from_a << "\n  port " << b.port << ": " << from_b << '\n';
        print_history(sent);
        return false;
    }
    // One reply of a server; that it does not come is compared like any other.
    static std::pair<reply, std::string> receive(resp_client& client) try {
        reply r = client.receive();
        std::string text = shown(r.raw, 2000);
        return {std::move(r), std::move(text)};
    } catch (const connection_lost& lost) {
        return {reply{}, std::string("no reply: ") + lost.what()};
    }

    bool run(const command& c, int connection) {
        sent.push_back(&c);
        for (int i = 0; i < c.replies; ++i) {
            auto [ra, ta] = receive(a.clients[static_cast<std::size_t>(connection)]);
            auto [rb, tb] = receive(b.clients[static_cast<std::size_t>(connection)]);
            if (ra.raw.empty() || rb.raw.empty() || !same(ra, rb, c, members))
                return differ(ta, tb);
            if (c.how != compared::sorted) continue;
            members.clear();
            for (auto& e : ra.elements) members.insert(e.raw);
        }
        return true;
    }

    bool run(const step& s) {
        std::string bytes;
        for (auto& c : s.commands) bytes += c.bytes;
        for (auto* side : {&a, &b})
            side->clients[static_cast<std::size_t>(s.connection)].send(bytes);
        for (auto& c : s.commands)
            if (!run(c, s.connection)) return false;
        for (auto* side : {&a, &b}) {
            if (!s.ends) break;
            auto& client = side->clients[static_cast<std::size_t>(s.connection)];
            if (auto more = client.rest(); !more.empty())
                return differ("port " + std::to_string(side->port) + " goes on after QUIT: ",
                              shown(more));
            client = resp_client(side->port);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(s.pause));
        return true;
    }
};

}  // namespace

int main(int argc, char** argv) try {
    unsigned long seed = 1, count = 10'000;
    std::vector<int> ports;
    for (int i = 1; i < argc; ++i) {
        std::string_view word = argv[i];
        if ((word == "--seed" || word == "--count") && i + 1 < argc)
            (word == "--seed" ? seed : count) = std::stoul(argv[++i]);
        else
            ports.push_back(std::stoi(argv[i]));
    }
    if (ports.size() != 2) throw std::invalid_argument("two ports are needed");
    script commands(seed, count);
    comparison both{server(ports[0]), server(ports[1])};
    for (auto& s : commands.steps())
        if (!both.run(s)) {
            std::cout << "again: compare --seed " << seed << " --count " << count << '\n';
            return 1;
        }
    std::cout << "seed " << seed << ": " << both.sent.size() << " commands, the same replies\n";
} catch (const std::logic_error& wrong) {
    std::cerr << "usage: compare [--seed S] [--count N] PORT_A PORT_B (" << wrong.what() << ")\n";
    return 2;
} catch (const connection_lost& lost) {
    std::cout << "connection lost: " << lost.what() << '\n';
    return 1;
}
