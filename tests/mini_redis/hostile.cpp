// hostile PORT [--output-limit BYTES] [--pid P] [--reference] [--sharded] [TEST...]: clients that
// break the protocol, vanish or never read. The server must say what Redis 7.0.15 says, lose
// nothing, and serve the others meanwhile, and many at once as if one after the other.
// --reference: the server is the real Redis, and gets its limits from here. --sharded: the server's
// commands with several keys are not atomic, and its README says so. The test drain ends the
// server: it must be named.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "../support/process.hpp"
#include "counting_client.hpp"
#include "expect.hpp"
#include "resp_client.hpp"
#include "together.hpp"
#include "vanishing.hpp"

namespace {

using namespace std::string_literals;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

int port = 0, pid = 0;
long output_limit = 8 << 20;
bool reference = false;
bool sharded = false;

// In KiB; 0 when the pid of the server is not known.
long resident() { return resident_kib(std::to_string(pid)); }

// Each is what one client sends, and all it gets until the connection ends. Those that are no
// errors end with QUIT, so that the connection ends too.
struct exchange {
    std::string sent, expected;
};
std::string error(const std::string& text) { return "-ERR Protocol error: " + text + "\r\n"; }

const std::vector<exchange>& exchanges() {
    static const std::string multibulk = error("invalid multibulk length"),
                             bulk = error("invalid bulk length"), bye = "+PONG\r\n+OK\r\n",
                             ones(65536, '1'), letters(65537, 'a');
    static const std::vector<exchange> all{
        {"*abc\r\n", multibulk},
        {"*\r\n", multibulk},
        {"*3x\r\n", multibulk},
        {"*+3\r\n", multibulk},
        {"*03\r\n", multibulk},
        {"* 3\r\n", multibulk},
        {"*2147483648\r\n", multibulk},
        {"*99999999999999999999\r\n", multibulk},
        {"*" + std::string(60'000, '1') + "\r\n", multibulk},
        {"*-1\r\n*-5\r\n*0\r\nPING\r\nQUIT\r\n", bye},
        {"*3\r\n$abc", ""},  // no line end yet, so the client waits, and gives up
        {"*3\r\n$abc\r\n", bulk},
        {"*1\r\n$\r\n", bulk},
        {"*1\r\n$-1\r\n", bulk},
        {"*1\r\n$04\r\nPING\r\n", bulk},
        {"*1\r\n$4 \r\nPING\r\n", bulk},
        {"*1\r\n$536870913\r\n", bulk},
        {"*1\r\n$2147483648\r\n", bulk},
        {"*1\r\n$9223372036854775808\r\n", bulk},
        {"*1\r\n:3\r\n", error("expected '$', got ':'")},
        {"*1\r\nPING\r\n", error("expected '$', got 'P'")},
        {"*1\r\n*1\r\n", error("expected '$', got '*'")},
        {"*1\r\n\r\n", error("expected '$', got ' '")},
        {"*1\r\n\xff\r\n", error("expected '$', got '\xff'")},
        {"*2\r\n$4\r\nPING\r\n!", ""},
        {"*2\r\n$4\r\nPING\r\n!\r\n", error("expected '$', got '!'")},
        {letters, error("too big inline request")},
        {"*" + ones, error("too big mbulk count string")},
        {"*1\r\n$" + ones, error("too big bulk count string")},
        {"SET k \"a\r\n", error("unbalanced quotes in request")},
        {"SET k 'a\r\n", error("unbalanced quotes in request")},
        {"SET k \"a\"b\r\n", error("unbalanced quotes in request")},
        {"ECHO \"\\x41\\n\\q\" \r\n  ECHO 'it\\'s'\n\r\nQUIT\n",
         "$3\r\nA\nq\r\n$4\r\nit's\r\n+OK\r\n"},
        // What comes before an error is answered, what comes after it is not even looked at.
        {"PING\r\n*1\r\n$x\r\n*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\n1\r\n",
         "+PONG\r\n" + error("invalid bulk length")},
        {"EXISTS after\r\nQUIT\r\nPING\r\n", ":0\r\n+OK\r\n"},
        {"*1\r\n$0\r\n\r\nQUIT\r\n",
         "-ERR unknown command '', with args beginning with: \r\n+OK\r\n"},
        // A browser that was talked into posting to this port gets nothing at all.
        {"POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n", ""},
        {"Host: x\r\nPING\r\n", ""}};
    return all;
}

void malformed() {
    for (auto& [sent, expected] : exchanges()) {
        resp_client client(port);
        client.send(sent);
        // These two wait for more, which is right, and does not come.
        if (expected.empty() && !sent.ends_with('\n')) shutdown(client.fd(), SHUT_WR);
        try {
            expect(shown(sent), expected, client.rest());
        } catch (const connection_lost& open) {
            throw failed(shown(sent) + "\n  expected: " + shown(expected) + ", then the end" +
                         "\n  got:      " + open.what());
        }
    }
}

// A server may read on for a while, so that its error arrives and is not lost in a reset; but it
// keeps nothing of it, and loses patience.
void endless_line() {
    resp_client client(port);
    std::string part(65536, 'x');
    long before = resident();
    try {
        for (auto end = steady_clock::now() + 8s; steady_clock::now() < end;) client.send(part);
    } catch (const connection_lost&) {
        long grown = resident() - before;
        if (grown > 8 << 10) throw failed("the server grew by " + std::to_string(grown) + " KiB");
        return;
    }
    throw failed("a line without an end was taken in for 8 s");
}

// Lengths are promises of the client: memory is for what has come.
void announced_only() {
    resp_client other(port);
    other.ask({"PING"});
    long before = resident();
    for (auto sent :
         {"*2\r\n$4\r\nECHO\r\n$536870912\r\n0123456789", "*2147483647\r\n$4\r\nECHO\r\n"}) {
        std::vector<resp_client> clients;
        for (int i = 0; i < 8; ++i) clients.emplace_back(port).send(sent);
        expect("PING meanwhile", "+PONG\r\n", other.ask({"PING"}).raw);
        std::this_thread::sleep_for(100ms);
        if (long grown = resident() - before; grown > 8 << 10)
            throw failed("the server grew by " + std::to_string(grown) + " KiB for " + shown(sent));
    }
}

void split_at_every_byte() {
    const std::string value = "a\r\n$3\r\n\0z"s;
    const std::string sent = encode({"SET", "split", value}) + "get split\r\n" +
                             encode({"ECHO", ""}) + "\r\n*0\r\n" + encode({"DEL", "split", "none"});
    const std::string expected =
        "+OK\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n$0\r\n\r\n:1\r\n";
    auto answers = [](resp_client& client) {
        std::string all;
        for (int i = 0; i < 4; ++i) all += client.receive().raw;
        return all;
    };
    resp_client client(port);
    for (char c : sent) client.send({&c, 1});
    expect("one byte a write", expected, answers(client));
    for (std::size_t at = 1; at < sent.size(); ++at) {
        client.send(sent.substr(0, at));
        std::this_thread::sleep_for(1ms);  // or the two parts would arrive as one
        client.send(sent.substr(at));
        expect("split after " + std::to_string(at) + " bytes", expected, answers(client));
    }
}

void vanishing() {
    resp_client witness(port);
    witness.ask({"DEL", "queue"});
    for (int round = 0; round < 15; ++round) {
        auto crowd = crowd_in_the_middle(port, 200);
        // In some rounds the server knows them all, in the others they come and go at once.
        if (round % 3 == 0)
            eventually("blocked_clients",
                       [&] { return info(witness, "clients", "blocked_clients") > 60; });
    }
    only_this_one_is_left(witness);
    nobody_takes_or_listens(witness);
}

// PING must be answered soon while somebody else is stuffed.
void served(resp_client& client) {
    auto start = steady_clock::now();
    expect("PING of another client", "+PONG\r\n", client.ask({"PING"}).raw);
    if (steady_clock::now() - start > 2s) throw failed("another client waited for more than 2 s");
}

void never_reads_its_replies() {
    resp_client other(port);
    if (reference) {
        std::string limit = std::to_string(output_limit) + " 0 0";
        expect("CONFIG SET", "+OK\r\n",
               other
                   .ask({"CONFIG", "SET", "client-output-buffer-limit",
                         "normal " + limit + " pubsub " + limit})
                   .raw);
    }
    only_this_one_is_left(other);
    other.ask({"SET", "big", std::string(1 << 20, 'b')});
    resp_client greedy(port, 64 << 10);
    // The limit, and what the sockets hold on the way, and a good deal more.
    long gets = (output_limit >> 20) + 64;
    try {
        for (long i = 0; i < gets; ++i) {
            greedy.send(encode({"GET", "big"}));
            if (i % 8 == 0) served(other);
        }
    } catch (const connection_lost&) {  // rightly: it is disconnected already
    }
    eventually("the client that does not read is disconnected", [&] {
        served(other);
        return info(other, "clients", "connected_clients") == 1;
    });
    if (greedy.rest().size() >= static_cast<std::size_t>(gets) << 20)
        throw failed("the client that did not read got all its replies");
    other.ask({"DEL", "big"});
}

void never_reads_its_messages() {
    resp_client publisher(port), other(port);
    resp_client deaf(port, 64 << 10), hears(port);
    for (auto* subscriber : {&deaf, &hears}) subscriber->ask({"SUBSCRIBE", "news"});
    const std::string message(64 << 10, 'm');
    bool dropped = false;
    // As above: the limit, the sockets, and more. A moment for each lets the server notice.
    for (long i = 0; !dropped && i < (output_limit >> 16) + 64 * 16; ++i) {
        dropped = publisher.ask({"PUBLISH", "news", message}).text == "1";
        if (auto got = hears.receive(); got.elements.at(2).text != message)
            throw failed("a subscriber that reads got a wrong message");
        if (i % 64 == 0) served(other);
    }
    eventually("the subscriber that does not read is disconnected", [&] {
        served(other);
        return info(other, "clients", "connected_clients") == 3;
    });
    deaf.rest();  // it ends, which connection_lost would deny
    expect("PUBLISH afterwards", ":1\r\n", publisher.ask({"PUBLISH", "news", "x"}).raw);
    expect("the other subscriber", "x", hears.receive().elements.at(2).text);
}

void together() {
    for (auto wrong : {one_key_of_many_clients(port, {"INCR", "together"}),
                       one_key_of_many_clients(port, {"RPUSH", "together", "x"}),
                       one_key_of_many_clients(port, {"HINCRBY", "together", "f", "1"}),
                       sharded ? "" : many_keys_at_once(port)})
        if (!wrong.empty()) throw failed(wrong);
    resp_client(port).ask({"DEL", "together"});
}

void drain() {
    if (pid == 0) throw failed("--pid is needed");
    std::vector<std::unique_ptr<counting_client>> clients;
    for (int i = 0; i < 4; ++i) {
        std::string key = "drain" + std::to_string(i);
        resp_client(port).ask({"DEL", key});
        clients.push_back(std::make_unique<counting_client>(port, key, i % 2 == 1));
    }
    constexpr auto limit = std::chrono::seconds(60);  // the clients share its cores
    eventually(
        "thousands of answers",
        [&] {
            return std::all_of(clients.begin(), clients.end(),
                               [](auto& c) { return c->answered > 5000; });
        },
        limit);
    // First those that are not stubborn stop, or the count before the signal would not be exact.
    std::vector<long> before;
    for (auto& c : clients) c->term = true;
    for (int i = 0; i < 4; i += 2)
        while (!clients[i]->idle) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (auto& c : clients) before.push_back(c->sent);
    kill(pid, SIGTERM);
    std::string wrong;
    for (std::size_t i = 0; i < clients.size(); ++i) {
        auto& c = *clients[i];
        eventually("the end of the connection", [&] { return c.ended.load(); }, limit);
        std::cout << "     sent before SIGTERM " << before[i] << ", sent " << c.sent
                  << ", answered " << c.answered << '\n';
        if (!c.wrong.empty()) wrong += "\n  " + c.wrong;
        if (c.answered < before[i])
            wrong +=
                "\n  " + std::to_string(before[i] - c.answered) + " commands without an answer";
    }
    if (!wrong.empty()) throw failed(wrong);
}

struct test {
    const char* name;
    void (*run)();
} tests[] = {{"malformed", malformed},
             {"endless_line", endless_line},
             {"announced_only", announced_only},
             {"split_at_every_byte", split_at_every_byte},
             {"vanishing", vanishing},
             {"never_reads_its_replies", never_reads_its_replies},
             {"never_reads_its_messages", never_reads_its_messages},
             {"together", together},
             {"drain", drain}};

}  // namespace

int main(int argc, char** argv) try {
    std::string chosen;
    for (int i = 1; i < argc; ++i) {
        std::string word = argv[i];
        if (word == "--reference")
            reference = true;
        else if (word == "--sharded")
            sharded = true;
        else if (word == "--output-limit" && i + 1 < argc)
            output_limit = std::stol(argv[++i]);
        else if (word == "--pid" && i + 1 < argc)
            pid = std::stoi(argv[++i]);
        else if (port == 0)
            port = std::stoi(word);
        else
            chosen += word + " ";
    }
    if (port == 0) throw std::invalid_argument("a port is needed");
    int failures = 0;
    for (auto& [name, run] : tests) {
        bool named = chosen.find(name + " "s) != std::string::npos;
        if (!named && (!chosen.empty() || name == "drain"s)) continue;
        auto start = steady_clock::now();
        std::string why;
        try {
            run();
        } catch (const std::runtime_error& error) {
            why = error.what();
            ++failures;
        }
        auto took =
            std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - start);
        std::cout << (why.empty() ? "ok   " : "FAIL ") << name << " (" << took.count() << " ms) "
                  << why << std::endl;
    }
    return failures == 0 ? 0 : 1;
} catch (const std::logic_error& wrong) {
    std::cerr << "usage: hostile PORT [--output-limit BYTES] [--pid P] [--reference] [--sharded] "
                 "[TEST...] ("
              << wrong.what() << ")\n";
    return 2;
}
