// A random script of commands, the same for the same seed on every machine. Few keys, so that types
// collide; most arguments make sense, because a script of nothing but errors would test only them.
#pragma once
#include <algorithm>
#include <cctype>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "resp_client.hpp"

// How a reply is compared where Redis itself promises no order, no choice or no exact time.
enum class compared { exactly, sorted, picked, seconds, milliseconds };

struct command {
    std::vector<std::string> words;
    std::string bytes;  // as a multibulk or inline; none to wait for a reply to something earlier
    compared how = compared::exactly;
    int replies = 1;
};
// What goes out in one write on one connection.
struct step {
    int connection = 0;
    std::vector<command> commands;
    bool ends = false;  // QUIT: the connection ends after the last reply
    int pause = 0;      // milliseconds to wait afterwards
};

// A capital word stands for itself, a small letter for a random word (see word()). Times to live
// are minutes, or over: none may end while a script runs, since two servers never do that at once.
inline constexpr std::string_view templates[] = {
    "PING", "PING v", "ECHO v", "SELECT d", "CLIENT SETNAME v", "CLIENT GETNAME", "CONFIG GET NONE",
    "CLIENT NONE", "CONFIG NONE v", "NONE", "NONE v v", "G\r\nET v v v v v v v v v", "NONE u v",
    // strings
    "SET s v", "SET s i", "SET s u", "SET s v y", "SET s v y y", "SET s i y", "GET s", "GET s",
    "GETSET s v", "GETDEL s", "SETNX s v", "SETEX s t v", "PSETEX s p v", "MSET s v k v",
    "MSET s v s i s v", "MGET s k s", "APPEND s v", "STRLEN s", "GETRANGE s i i", "INCR s",
    "DECR s", "INCRBY s n", "DECRBY s n", "INCRBY s n", "GET k",
    // keys
    "TTL k", "PTTL k", "TTL s", "PTTL s", "EXPIRE k t", "PEXPIRE k p", "EXPIREAT k a",
    "PEXPIREAT k b", "PERSIST k", "DEL k", "DEL k k k", "UNLINK k k", "EXISTS k k", "TYPE k",
    "KEYS g", "DBSIZE",
    // lists
    "LPUSH l v", "RPUSH l v v v", "RPUSH l v i v v", "LPUSHX l v v", "RPUSHX l v", "LPOP l",
    "LPOP l n", "RPOP l n", "LLEN l", "LRANGE l i i", "LRANGE l 0 -1", "LINDEX l i", "LTRIM l i i",
    "LREM l i v", "LSET l i v", "BLPOP l w", "BRPOP l l w", "BLPOP k l w",
    // sets
    "SADD e m", "SADD e m m m", "SADD e m i i", "SREM e m m", "SISMEMBER e m", "SCARD e",
    "SMEMBERS e",
    // hashes
    "HSET h f v", "HSET h f v f v f i", "HMSET h f v f v", "HSETNX h f v", "HGET h f",
    "HMGET h f f f", "HDEL h f f", "HGETALL h", "HLEN h", "HEXISTS h f", "HKEYS h", "HVALS h",
    "HINCRBY h f n", "HSET h f i", "HINCRBY h f n",
    // sorted sets
    "ZADD z x m", "ZADD z x m x m x m", "ZADD z q x m", "ZADD z q q x m x m", "ZADD z q q x m",
    "ZREM z m m", "ZSCORE z m", "ZCARD z", "ZRANGE z i i", "ZRANGE z 0 -1 WITHSCORES",
    "ZREVRANGE z i i WITHSCORES", "ZREVRANGE z 0 -1", "ZPOPMIN z", "ZPOPMIN z n", "ZPOPMAX z n",
    "ZRANK z m", "ZINCRBY z x m", "ZCOUNT z r r",
    // messages
    "PUBLISH v v"};

class script {
public:
    script(unsigned long seed, std::size_t count) : random_(seed) {
        for (std::size_t made = 0; made < count; made = made_) {
            unsigned dice = below(100);
            if (dice == 0)
                expiry();
            else if (dice == 1)
                blocked_pop();
            else if (dice == 2)
                messages();
            else
                pipeline(1 + (below(3) == 0 ? 0 : below(50)), dice == 3);
        }
    }
    const std::vector<step>& steps() const { return steps_; }

private:
    std::mt19937_64 random_;
    std::vector<step> steps_;
    std::size_t made_ = 0;

    // std::uniform_int_distribution gives other numbers with another standard library.
    unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
    template <std::size_t N>
    std::string one_of(const std::string (&choices)[N]) {
        return choices[below(N)];
    }

    std::string word(char kind) {
        using namespace std::string_literals;
        static const std::string values[] = {"",
                                             "a",
                                             "hello",
                                             "hello world",
                                             "10",
                                             "-5",
                                             "9223372036854775807",
                                             "3.5",
                                             " 7",
                                             "007",
                                             "+5",
                                             "-0",
                                             "9223372036854775806",
                                             "-9223372036854775808",
                                             "a\0b"s,
                                             "\r\n",
                                             "$3\r\nfoo\r\n",
                                             "\xff\xfe\x80",
                                             "'q\"uo\\te",
                                             "*1\r\n",
                                             "true",
                                             "nil",
                                             "a",
                                             "b",
                                             "c"};
        static const std::string bad_numbers[] = {"abc",
                                                  "",
                                                  "1.5",
                                                  "9223372036854775807",
                                                  " 1",
                                                  "-9223372036854775808",
                                                  "9223372036854775808"};
        static const std::string ends[] = {"0", "-1", "1", "-2", "2", "-100", "100", "3"};
        static const std::string scores[] = {"1",    "2",    "3",   "-1",  "0",
                                             "1.5",  "3.1",  "1e3", "inf", "-inf",
                                             "0x10", "1e-7", "nan", "x",   "12345678901"};
        static const std::string ranges[] = {"-inf", "+inf", "0", "(1", "2",
                                             "(2.5", "1e3",  "x", "("};
        static const std::string set_options[] = {"NX",   "XX",     "GET",    "KEEPTTL", "EX t",
                                                  "PX p", "EXAT a", "PXAT b", "EX",      "NONE"};
        static const std::string z_options[] = {"NX", "XX", "GT", "LT", "CH", "INCR"};
        static const std::string globs[] = {"*",    "s*", "?1", "[sl][12]", "[^s]*", "[a-h]?",
                                            "\\s1", "",   "**", "z[0-",     "s1"};
        bool odd = below(20) == 0;
        switch (kind) {
            case 's':
            case 'l':
            case 'e':
            case 'h':
            case 'z':  // a key that mostly has the type
                if (odd || below(12) == 0) return word('k');
                return std::string(1, kind) + (kind == 's'   ? one_of({"1", "2", "3"})
                                               : kind == 'h' ? "1"
                                                             : one_of({"1", "2"}));
            case 'k':
                return one_of(keys);
            case 'v':
                return one_of(values);
            case 'u':
                return std::string(below(100) == 0 ? 20'000 : 70 + below(100), 'u');
            case 'f':
                return odd ? one_of(values) : "f" + std::to_string(below(6));
            case 'm':
                return odd ? one_of(values) : "m" + std::to_string(below(6));
            case 'n':
                return odd ? one_of(bad_numbers) : std::to_string(int(below(12)) - 2);
            case 'i':
                return odd ? one_of(bad_numbers) : one_of(ends);
            case 't':
                return odd ? one_of(bad_numbers) : one_of({"100", "200", "-1", "0", "5000"});
            case 'p':
                return odd ? one_of(bad_numbers) : one_of({"300000", "200500", "-1", "0"});
            case 'a':
                return odd ? one_of(bad_numbers) : one_of({"4102444800", "1", "4102444801"});
            case 'b':
                return odd ? one_of(bad_numbers) : one_of({"4102444800123", "1"});
            case 'd':
                return one_of({"0", "0", "0", "16", "-1", "x", "99999999999"});
            case 'w':
                return odd ? one_of({"-1", "x", "", "inf"}) : "0.005";
            case 'x':
                return below(4) != 0 ? std::to_string(below(9)) : one_of(scores);
            case 'r':
                return one_of(ranges);
            case 'g':
                return one_of(globs);
            case 'y':
                return one_of(set_options);
            default:
                return one_of(z_options);
        }
    }

    std::string in_any_case(std::string name) {
        if (below(5) == 0)
            for (char& c : name)
                if (below(2) == 0) c = static_cast<char>(std::tolower(c));
        return name;
    }

    std::vector<std::string> filled(std::string_view pattern) {
        std::vector<std::string> words;
        while (!pattern.empty()) {
            std::string part(pattern.substr(0, pattern.find(' ')));
            pattern.remove_prefix(std::min(pattern.size(), part.size() + 1));
            if (part.size() > 1 || !std::islower(part[0]))
                words.push_back(part == "G\r\nET" ? part : in_any_case(part));
            else if (part == "y")  // some options have an argument of their own
                for (auto& w : filled(word('y'))) words.push_back(w);
            else
                words.push_back(word(part[0]));
        }
        return words;
    }

    // One word too few, too many or wrong. No number over zero comes in: it could be a time to live
    // or the timeout of a BLPOP. EXPIRE has options in Redis 7 which are not asked of the server.
    void spoil(std::vector<std::string>& words) {
        static const std::string junk[] = {"",  "abc", "-1", "0", "1.5", "9223372036854775808",
                                           "NX"};
        bool expire = words[0].find_first_of("xX") == 1, blocks = std::tolower(words[0][0]) == 'b';
        std::size_t at = 1 + below(words.size());
        unsigned dice = below(3);
        if (at < words.size() && dice == 0)
            words.erase(words.begin() + static_cast<std::ptrdiff_t>(at));
        else if (at < words.size() && dice == 1 && !blocks)
            words[at] = one_of(junk);
        else if (!expire && !blocks)
            words.insert(words.begin() + static_cast<std::ptrdiff_t>(at), one_of(junk));
    }

    // As somebody at a terminal types it. Words are quoted in three ways.
    std::string inline_bytes(const std::vector<std::string>& words) {
        std::string out;
        for (auto& w : words) {
            bool plain = !w.empty() && std::all_of(w.begin(), w.end(), [](unsigned char c) {
                return std::isalnum(c) || c == '-' || c == '*' || c == '.';
            });
            bool single = below(2) == 0 && w.find('\'') == std::string::npos &&
                          w.find_first_of(std::string("\r\n\0\\", 4)) == std::string::npos;
            if (plain && below(4) != 0)
                out += w;
            else if (single)
                out += "'" + w + "'";
            else
                out += shown(w, w.size());
            out += below(8) == 0 ? "  " : " ";
        }
        return out + (below(2) == 0 ? "\r\n" : "\n");
    }

    command make(std::vector<std::string> words, compared how = compared::exactly) {
        ++made_;
        std::string bytes = below(12) == 0 ? inline_bytes(words) : encode(words);
        // Nothing is asked here, and nothing is answered.
        if (below(60) == 0) bytes.insert(0, one_of({"\r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"}));
        return {std::move(words), std::move(bytes), how, 1};
    }
    command made(std::string_view pattern, bool may_spoil = true) {
        auto words = filled(pattern);
        if (may_spoil && below(12) == 0) spoil(words);
        std::string name = words[0];
        for (char& c : name) c = static_cast<char>(std::toupper(c));
        return make(std::move(words), name == "SMEMBERS" || name == "KEYS" ? compared::sorted
                                      : name == "TTL"                      ? compared::seconds
                                      : name == "PTTL"                     ? compared::milliseconds
                                                                           : compared::exactly);
    }

    inline static const std::string keys[] = {"s1", "s2", "s3", "l1", "l2", "e1",
                                              "e2", "h1", "z1", "z2", "",   {"k\0\r\n", 4}};

    void pick_template(step& s) {
        auto chosen = templates[below(std::size(templates))];
        // A key whose time is over may be counted until somebody asks for it.
        if (chosen == "DBSIZE") {
            std::vector<std::string> all{"EXISTS"};
            all.insert(all.end(), std::begin(keys), std::end(keys));
            s.commands.push_back(make(all));
        }
        s.commands.push_back(made(chosen));
    }

    void pipeline(std::size_t length, bool quits) {
        step s;
        while (s.commands.size() < length) {
            if (below(50) == 0)
                pick(s);
            else if (below(250) == 0)
                s.commands.push_back(made(below(2) == 0 ? "FLUSHALL" : "FLUSHDB"));
            else
                pick_template(s);
        }
        if (quits) s.commands.push_back(make({"QUIT"}));
        s.ends = quits;
        steps_.push_back(std::move(s));
    }

    // The servers pick members as they like: the replies are compared with the set as it was just
    // before, and then the set goes, because what is left in it may differ.
    void pick(step& s) {
        std::string key = word('e');
        s.commands.push_back(make({"SMEMBERS", key}, compared::sorted));
        std::vector<std::string> words{below(2) == 0 ? "SPOP" : "SRANDMEMBER", key};
        if (below(3) != 0) words.push_back(word('n'));
        // Minus a lot of random members would be a lot of bytes.
        if (words.size() == 3 && words[2] == "-9223372036854775808") words[2] = "-4";
        s.commands.push_back(make(words, compared::picked));
        s.commands.push_back(make({"SCARD", key}));
        s.commands.push_back(make({"DEL", key}));
    }

    // The key is asked for at once after its end: DBSIZE and KEYS may count it until then.
    void expiry() {
        std::string key = word('k');
        steps_.push_back({0, {make({"SET", key, "v", "PX", "1"})}, false, 20});
        steps_.push_back({0, {make({"GET", key}), make({"TTL", key})}});
    }

    // A pop that waits for a push of another client; of two that wait the older one comes first.
    void blocked_pop() {
        std::string a = word('l'), b = "b1", pop = below(2) == 0 ? "BLPOP" : "BRPOP";
        bool two = below(2) == 0;
        steps_.push_back({0, {make({"DEL", a, b})}});
        for (int who = 1; who <= 1 + two; ++who) {
            steps_.push_back({who, {make({pop, a, b, "0"})}, false, two ? 20 : 0});
            steps_.back().commands[0].replies = 0;
        }
        std::vector<std::string> push{below(2) == 0 ? "LPUSH" : "RPUSH", below(2) == 0 ? a : b};
        for (unsigned n = 2 + below(3); n > 0; --n) push.push_back(word('v'));
        steps_.push_back({0, {make(push)}});
        for (int who = 1; who <= 1 + two; ++who)
            steps_.push_back({who, {{{pop, a, b, "0"}, "", compared::exactly, 1}}});
        steps_.push_back({0, {make({"LRANGE", a, "0", "-1"}), make({"LRANGE", b, "0", "-1"})}});
        steps_.push_back({0, {make({"DEL", a, b})}});
    }

    void messages() {
        std::string channel = word('v');
        step s{1,
               {make({"SUBSCRIBE", channel, "other", channel}), make({"PING"}),
                made("GET s", false), make({"PING", "x"}), make({"ECHO"})}};
        s.commands[0].replies = 3;
        steps_.push_back(std::move(s));
        steps_.push_back(
            {0, {make({"PUBLISH", channel, word('v')}), make({"PUBLISH", "none", "v"})}});
        steps_.push_back({1, {{{"(the message)"}, "", compared::exactly, 1}}});
        // UNSUBSCRIBE of all has no order either, so only one channel is left for it.
        steps_.push_back({1,
                          {make({"UNSUBSCRIBE", "none"}), make({"UNSUBSCRIBE", channel}),
                           make({"UNSUBSCRIBE"}), make({"PING"}), make({"UNSUBSCRIBE"})}});
    }
};
