// RESP2, the protocol of Redis: requests as arrays of bulk strings or as plain lines, replies as
// text. https://redis.io/docs/latest/develop/reference/protocol-spec
//
// The parser never believes an announced size: what it keeps grows only with the bytes that came.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mini {

inline constexpr std::size_t longest_line = 64 * 1024;             // as Redis
inline constexpr std::int64_t longest_bulk = 512LL * 1024 * 1024;  // Redis's proto-max-bulk-len

using arguments = std::vector<std::string_view>;

class request_parser {
public:
    enum class outcome { incomplete, complete, broken };
    /// Redis does not look at the line end after a bulk string; in a file it is worth a look.
    enum class checks { as_redis, all };
    explicit request_parser(checks what = checks::as_redis) noexcept : checks_(what) {}

    /// Looks for one request at the start of the input. After `incomplete` it goes on where it
    /// was, when it is called with the same bytes and more, wherever they have moved.
    outcome parse(std::string_view input);
    /// How long the complete request is.
    [[nodiscard]] std::size_t size() const noexcept { return at_; }
    /// Its arguments, the first being the command; they may be none. Valid until the input moves
    /// or parse() is called.
    [[nodiscard]] const arguments& args() const noexcept { return args_; }
    /// Why it is broken, as Redis says it.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
    outcome inline_request(std::string_view input);
    outcome complete() noexcept;
    outcome broken(std::string why);
    /// The number between the type byte at at_ and the end of its line; incomplete: not there yet.
    outcome header(std::string_view input, const char* what, std::int64_t& number, bool& valid);

    checks checks_;
    std::size_t at_ = 0;
    std::int64_t missing_ = 0;  // bulk strings that are still to come
    std::int64_t length_ = -1;  // of the one that is coming; -1: its header is not there yet
    bool fresh_ = true;         // the next call begins a request
    bool started_ = false;      // the array's header has been read
    std::vector<std::pair<std::size_t, std::size_t>> places_;  // of the arguments in the input
    arguments args_;
    std::string unquoted_;  // the arguments of a plain line
    std::string error_;
};

/// A decimal number as Redis reads it: no plus sign, no leading zeros, nothing around it.
bool to_integer(std::string_view text, std::int64_t& number) noexcept;
/// A finite or infinite number; not "nan".
bool to_double(std::string_view text, double& number) noexcept;
/// As Redis 7.0 prints a score: integers plainly, the rest with 17 digits.
std::string from_double(double number);
inline char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
std::string lower_case(std::string_view text);
bool same_word(std::string_view a, std::string_view lower_text) noexcept;  // whatever its case

/// Redis prints with printf: up to a NUL, and so many characters at most.
std::string as_c_prints(std::string_view text, std::size_t most = 128);

/// Appends replies to a text.
class reply {
public:
    explicit reply(std::string& out) noexcept : out_(&out) {}
    void ok() { out_->append("+OK\r\n"); }
    void simple(std::string_view text) { line('+', text); }
    /// "ERR what went wrong"; line ends in it become spaces, as in Redis.
    void error(std::string_view text);
    void integer(std::int64_t n) { number(':', n); }
    void bulk(std::string_view text);
    void null() { out_->append("$-1\r\n"); }
    void null_array() { out_->append("*-1\r\n"); }
    void array(std::size_t n) { number('*', static_cast<std::int64_t>(n)); }
    [[nodiscard]] std::string& text() noexcept { return *out_; }

private:
    void line(char type, std::string_view text);
    void number(char type, std::int64_t n);
    std::string* out_;
};

/// A request as text, for the append-only file.
void append_request(std::string& out, const std::string_view* args, std::size_t count);

}  // namespace mini
