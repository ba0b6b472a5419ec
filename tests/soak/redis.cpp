// soak_redis PORT PID SECONDS SEED MOST_KIB: clients of a server with that process id, each with
// keys of its own, so that it knows every reply; while others reset their connections, vanish, read
// slowly and keep the server's workers, and the server's descriptors want. A third of the time
// warms the server up; at the end it holds the same keys as then, has as many descriptors, and has
// grown by MOST_KIB at most. tests/soak/run says what it prints.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../mini_redis/expect.hpp"
#include "../mini_redis/resp_client.hpp"
#include "../mini_redis/vanishing.hpp"
#include "../support/dice.hpp"
#include "../support/process.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct load {
    int port, pid;
    steady_clock::time_point end{};
    std::atomic<long> requests{0}, resets{0}, half_closes{0}, vanished{0}, slow{0}, stalls{0},
        starved{0}, failures{0};

    [[nodiscard]] bool over() const { return steady_clock::now() > end; }
};

void pause(dice& d, unsigned least, unsigned most) {
    std::this_thread::sleep_for(d.between(least, most) * 1ms);
}
resp_client connect(load& l, int receive_buffer = 0) {
    resp_client client(l.port, receive_buffer);
    client.patience(60'000);
    return client;
}
std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}
std::string integer(std::size_t n) { return ":" + std::to_string(n) + "\r\n"; }
const std::string nil = "$-1\r\n", ok = "+OK\r\n";

/// A client that is alone with its keys: it has the replies before it asks.
class owner {
public:
    owner(load& l, std::string name, std::uint64_t seed)
        : l_(l), name_(std::move(name)), d_(seed), client_(connect(l)) {}

    void run() {
        while (!l_.over()) turn();
        for (auto key : {":text", ":count", ":list"}) client_.ask({"DEL", name_ + key});
        check_of_resets();
    }

private:
    void turn() {
        sent_.clear();
        expected_.clear();
        count_ = d_.between(1, 50);
        for (unsigned i = 0; i < count_; ++i) compose();
        client_.send(sent_);
        auto fate = d_.below(20);
        if (fate == 0) {  // what was sent before the end of the input is answered
            shutdown(client_.fd(), SHUT_WR);
            expect(name_ + " after a half-close", expected_, client_.rest());
            ++l_.half_closes;
        } else {
            std::string got;
            for (unsigned i = 0; i < count_; ++i) got += client_.receive().raw;
            expect(name_, expected_, got);
        }
        l_.requests += count_;
        if (fate == 1) reset();
        if (fate < 3) client_ = connect(l_);
        if (fate == 3) check_of_resets();
    }

    /// Some of these are done: those that were answered, and perhaps those that were not.
    void reset() {
        std::string incr = encode({"INCR", name_ + ":reset"}), batch;
        for (unsigned i = d_.between(1, 50); i > 0; --i, ++most_) batch += incr;
        client_.send(batch);
        if (d_.one_in(2)) least_ = std::stol(client_.receive().text);
        client_.reset_at_end();
        ++l_.resets;
    }
    void check_of_resets() {
        auto got = client_.ask({"GET", name_ + ":reset"});
        long n = got.nil ? 0 : std::stol(got.text);
        if (n < least_ || n > most_)
            throw failed(name_ + ": " + std::to_string(n) + " INCR were done, not " +
                         std::to_string(least_) + " to " + std::to_string(most_));
        least_ = n;
    }

    void ask(std::vector<std::string> words, const std::string& answer) {
        words[1] = name_ + words[1];
        sent_ += encode(words);
        expected_ += answer;
    }
    std::string value() {
        std::string text = name_ + " " + std::to_string(values_++) + " ";
        return text + std::string(d_.one_in(50) ? d_.below(100'000) : d_.below(100), 'v');
    }
    void compose() {
        if (list_.size() > 50) {  // so that the server holds as much at any time
            list_.clear();
            return ask({"DEL", ":list"}, integer(1));
        }
        switch (d_.below(10)) {
            case 0:
                text_ = value();
                return ask({"SET", ":text", *text_}, ok);
            case 1:
                return ask({"GET", ":text"}, text_ ? bulk(*text_) : nil);
            case 2: {
                if (text_ && text_->size() > 100'000) {
                    text_.reset();
                    return ask({"DEL", ":text"}, integer(1));
                }
                auto more = value();
                text_ = text_.value_or("") + more;
                return ask({"APPEND", ":text", more}, integer(text_->size()));
            }
            case 3:
                return ask({"STRLEN", ":text"}, integer(text_ ? text_->size() : 0));
            case 4:
                return ask({"INCR", ":count"}, integer(++number_));
            case 5:
                list_.push_front(value());
                return ask({"LPUSH", ":list", list_.front()}, integer(list_.size()));
            case 6:
                list_.push_back(value());
                return ask({"RPUSH", ":list", list_.back()}, integer(list_.size()));
            case 7:
                return ask({"LLEN", ":list"}, integer(list_.size()));
            default: {
                bool left = d_.one_in(2);
                std::string answer = nil;
                if (!list_.empty()) {
                    answer = bulk(left ? list_.front() : list_.back());
                    left ? list_.pop_front() : list_.pop_back();
                }
                return ask({left ? "LPOP" : "RPOP", ":list"}, answer);
            }
        }
    }

    load& l_;
    std::string name_;
    dice d_;
    resp_client client_;
    unsigned count_ = 0;
    std::string sent_, expected_;
    // What the server must hold.
    std::optional<std::string> text_;
    std::size_t number_ = 0, values_ = 0;
    std::deque<std::string> list_;
    long least_ = 0, most_ = 0;
};

/// One pushes, one pops: each value once, and in order.
void push(load& l, const std::string& key, dice d) {
    auto client = connect(l);
    for (long i = 1; !l.over();) {
        std::vector<std::string> rpush{"RPUSH", key};
        for (auto n = d.between(1, 5); n > 0; --n) rpush.push_back(std::to_string(i++));
        if (auto r = client.ask(rpush); r.type != ':') throw failed("RPUSH: " + shown(r.raw));
        ++l.requests;
        if (d.one_in(3)) pause(d, 0, 5);
    }
    client.ask({"RPUSH", key, "end"});
}
void pop(load& l, const std::string& key, dice d) {
    auto client = connect(l);
    for (long i = 1;; ++l.requests) {
        auto got = client.ask({"BLPOP", key, "0.2"});
        if (got.nil) continue;
        if (got.elements.at(1).text == "end") return;
        expect("BLPOP", std::to_string(i++), got.elements.at(1).text);
        if (d.one_in(50)) client = connect(l);
    }
}

/// Each message arrives once, and in order.
void publish(load& l, const std::string& channel, dice d) {
    auto client = connect(l);
    for (long i = 1; !l.over(); ++i, ++l.requests) {
        expect("PUBLISH", integer(1), client.ask({"PUBLISH", channel, std::to_string(i)}).raw);
        if (d.one_in(3)) pause(d, 0, 2);
    }
    client.ask({"PUBLISH", channel, "end"});
}
void listen(load& l, resp_client client, dice d) {
    for (long i = 1;; ++i, ++l.requests) {
        auto text = client.receive().elements.at(2).text;
        if (text == "end") return;
        expect("a message", std::to_string(i), text);
        if (d.one_in(100)) pause(d, 0, 50);
    }
}

void read_slowly(load& l, dice d) {
    std::string value(256 << 10, ' ');
    while (!l.over()) {
        auto client = connect(l, 8 << 10);
        std::generate(value.begin(), value.end(), [&] { return static_cast<char>(d.below(256)); });
        client.send(encode({"SET", "slow", value}));
        for (int i = 0; i < 8; ++i) client.send(encode({"GET", "slow"}));
        expect("SET of one that reads slowly", ok, client.receive().raw);
        for (int i = 0; i < 8; ++i, ++l.requests) {
            pause(d, 5, 40);
            if (client.receive().text != value) throw failed("torn: what was read slowly");
        }
        ++l.slow;
        client.ask({"DEL", "slow"});
    }
}

void vanish(load& l, dice d) {
    while (!l.over()) {
        auto crowd = crowd_in_the_middle(l.port, 24);
        pause(d, 0, 20);
        l.vanished += 12;
        l.resets += 12;
    }
}

/// A rank in a large sorted set takes linear time, and all that the server has read are answered at
/// one go: so they keep a worker, for as long as we choose.
void stall(load& l, dice d) {
    constexpr int members = 40'000;
    auto client = connect(l);
    for (int i = 0; i < members; i += 100) {
        std::vector<std::string> zadd{"ZADD", "large"};
        for (int k = i; k < i + 100; ++k) {
            zadd.push_back(std::to_string(k));
            zadd.push_back("m" + std::to_string(k));
        }
        expect("ZADD", integer(100), client.ask(zadd).raw);
    }
    auto ranks = [&](unsigned n) {
        std::string batch, one = "ZRANK large m" + std::to_string(members - 1) + "\n";
        for (unsigned i = 0; i < n; ++i) batch += one;
        client.send(batch);
        for (unsigned i = 0; i < n; ++i, ++l.requests)
            expect("ZRANK", integer(members - 1), client.receive().raw);
    };
    auto start = steady_clock::now();
    ranks(10);
    auto one = (steady_clock::now() - start) / 10;
    while (!l.over()) {
        pause(d, 50, 400);
        ranks(std::clamp(static_cast<unsigned>(d.between(20, 200) * 1ms / one), 1u, 2000u));
        ++l.stalls;
    }
    client.ask({"DEL", "large"});
}

/// For a while the server may open no descriptor. Those who connect meanwhile wait in the
/// listener's queue, and are served afterwards.
void starve(load& l, dice d) {
    while (!l.over()) {
        pause(d, 200, 800);
        rlimit before{};
        if (prlimit(l.pid, RLIMIT_NOFILE, nullptr, &before) != 0) throw failed("prlimit");
        rlimit none{0, before.rlim_max};
        prlimit(l.pid, RLIMIT_NOFILE, &none, nullptr);
        std::vector<resp_client> late;
        for (int i = 0; i < 8; ++i) {
            auto key = "late:" + std::to_string(i);
            late.push_back(connect(l));
            late.back().send(encode({"SET", key, key}) + encode({"GET", key}) +
                             encode({"DEL", key}));
        }
        pause(d, 100, 300);
        prlimit(l.pid, RLIMIT_NOFILE, &before, nullptr);
        for (int i = 0; i < 8; ++i, l.requests += 3) {
            std::string got;
            for (int k = 0; k < 3; ++k) got += late[i].receive().raw;
            expect("one that came without descriptors",
                   ok + bulk("late:" + std::to_string(i)) + integer(1), got);
        }
        ++l.starved;
    }
}

/// All of them at once, for so long.
void run(load& l, std::chrono::milliseconds length, dice& d) {
    l.end = steady_clock::now() + length;
    std::vector<std::thread> threads;
    auto start = [&](const char* who, std::function<void()> body) {
        threads.emplace_back([&l, who, body = std::move(body)] {
            try {
                body();
            } catch (const std::runtime_error& why) {
                ++l.failures;
                std::cerr << std::string("soak_redis: ") + who + ": " + why.what() + "\n";
            }
        });
    };
    auto dice_of_its_own = [&] { return dice(d.below(~0u)); };
    for (int i = 0; i < 6; ++i)
        start("one with keys of its own",
              [&l, i, seed = d.below(~0u)] { owner(l, "c" + std::to_string(i), seed).run(); });
    for (int i = 0; i < 2; ++i) {
        auto key = "queue:" + std::to_string(i), channel = "news:" + std::to_string(i);
        start("push", [&l, key, d = dice_of_its_own()] { push(l, key, d); });
        start("pop", [&l, key, d = dice_of_its_own()] { pop(l, key, d); });
        auto subscriber = std::make_shared<resp_client>(connect(l));
        subscriber->ask({"SUBSCRIBE", channel});
        start("publish", [&l, channel, d = dice_of_its_own()] { publish(l, channel, d); });
        start("listen",
              [&l, subscriber, d = dice_of_its_own()] { listen(l, std::move(*subscriber), d); });
    }
    start("read slowly", [&l, d = dice_of_its_own()] { read_slowly(l, d); });
    start("vanish", [&l, d = dice_of_its_own()] { vanish(l, d); });
    start("stall", [&l, d = dice_of_its_own()] { stall(l, d); });
    start("starve", [&l, d = dice_of_its_own()] { starve(l, d); });
    for (auto& t : threads) t.join();
}

struct state {
    std::size_t descriptors;
    long resident;
};
/// When nobody but the witness is there.
state calm(load& l, resp_client& witness) {
    only_this_one_is_left(witness);
    nobody_takes_or_listens(witness);
    for (int i = 0; i < 6; ++i) witness.ask({"DEL", "c" + std::to_string(i) + ":reset"});
    expect("keys", integer(0), witness.ask({"DBSIZE"}).raw);
    auto pid = std::to_string(l.pid);
    return {open_descriptors(pid), resident_kib(pid)};
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 6) {
        std::cerr << "usage: soak_redis PORT PID SECONDS SEED MOST_KIB\n";
        return 2;
    }
    load l{.port = std::stoi(argv[1]), .pid = std::stoi(argv[2])};
    auto length = std::stol(argv[3]) * 1000ms;
    dice d(std::stoull(argv[4]));
    resp_client witness(l.port);
    witness.ask({"PING"});
    auto cold = calm(l, witness);
    run(l, length / 3, d);
    auto warm = calm(l, witness);
    run(l, length - length / 3, d);
    auto end = calm(l, witness);
    std::cout << l.requests << " requests, " << l.resets << " resets, " << l.half_closes
              << " half-closes, " << l.vanished << " vanished, " << l.slow << " read slowly, "
              << l.stalls << " stalls, " << l.starved << " times no descriptors, RSS "
              << warm.resident << " and " << end.resident << " KiB, descriptors "
              << cold.descriptors << " and " << end.descriptors << std::endl;
    // What did not happen was not withstood.
    bool all = l.resets && l.half_closes && l.vanished && l.slow && l.stalls && l.starved;
    if (!all) std::cerr << "soak_redis: some of the disturbances never happened\n";
    bool steady = end.resident - warm.resident <= std::stol(argv[5]);
    if (!steady) std::cerr << "soak_redis: the server grew by more than " << argv[5] << " KiB\n";
    return all && steady && l.failures == 0 && cold.descriptors == end.descriptors ? 0 : 1;
} catch (const std::exception& error) {
    std::cerr << "soak_redis: " << error.what() << '\n';
    return 1;
}
