#include "resp.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace mini {

namespace {

constexpr std::size_t none = std::string_view::npos;

int hex(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Takes one argument, quoted perhaps, from a plain line. False: the quotes do not match.
bool unquote(std::string_view line, std::size_t& at, std::string& to) {
    char quote = 0;
    for (; at < line.size(); ++at) {
        char c = line[at];
        if (quote == 0) {
            if (is_space(c) || c == '\0') return true;
            if (c == '"' || c == '\'') {
                quote = c;
            } else {
                to += c;
            }
        } else if (c == quote) {  // what follows a closing quote is a space, or the end
            ++at;
            return at == line.size() || is_space(line[at]);
        } else if (c == '\\' && quote == '"' && at + 1 < line.size()) {
            c = line[++at];
            if (c == 'x' && at + 2 < line.size() && hex(line[at + 1]) >= 0 &&
                hex(line[at + 2]) >= 0) {
                to += static_cast<char>(hex(line[at + 1]) * 16 + hex(line[at + 2]));
                at += 2;
            } else {
                constexpr std::string_view escapes = "nrtba", meant = "\n\r\t\b\a";
                auto which = escapes.find(c);
                to += which == none ? c : meant[which];
            }
        } else if (c == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
            to += line[++at];
        } else {
            to += c;
        }
    }
    return quote == 0;
}

}  // namespace

request_parser::outcome request_parser::complete() noexcept {
    fresh_ = true;
    return outcome::complete;
}

request_parser::outcome request_parser::broken(std::string why) {
    error_ = "ERR Protocol error: " + std::move(why);
    return outcome::broken;
}

request_parser::outcome request_parser::header(std::string_view input, const char* what,
                                               std::int64_t& number, bool& valid) {
    auto end = input.find('\r', at_);
    if (end == none) {
        if (input.size() - at_ > longest_line)
            return broken("too big " + std::string(what) + " count string");
        return outcome::incomplete;
    }
    if (end + 2 > input.size()) return outcome::incomplete;
    valid = end > at_ && to_integer(input.substr(at_ + 1, end - at_ - 1), number);
    return outcome::complete;
}

request_parser::outcome request_parser::parse(std::string_view input) {
    if (fresh_) {
        at_ = 0;
        started_ = false;
        places_.clear();
        args_.clear();
        length_ = -1;
        fresh_ = false;
    }
    if (input.empty()) return outcome::incomplete;
    if (input[0] != '*') return inline_request(input);
    bool valid = false;
    if (!started_) {
        auto got = header(input, "mbulk", missing_, valid);
        if (got != outcome::complete) return got;
        if (!valid || missing_ > std::numeric_limits<int>::max())
            return broken("invalid multibulk length");
        at_ = input.find('\r', at_) + 2;
        started_ = true;
    }
    for (; missing_ > 0; --missing_) {
        if (length_ < 0) {
            if (at_ >= input.size()) return outcome::incomplete;
            std::int64_t length = 0;
            auto got = header(input, "bulk", length, valid);
            if (got != outcome::complete) return got;
            if (input[at_] != '$')
                return broken(std::string("expected '$', got '") + input[at_] + "'");
            if (!valid || length < 0 || length > longest_bulk) return broken("invalid bulk length");
            at_ = input.find('\r', at_) + 2;
            length_ = length;
        }
        auto length = static_cast<std::size_t>(length_);
        if (input.size() - at_ < length + 2) return outcome::incomplete;
        if (checks_ == checks::all && input.substr(at_ + length, 2) != "\r\n")
            return broken("no line end after a bulk string");
        places_.emplace_back(at_, length);
        at_ += length + 2;
        length_ = -1;
    }
    for (auto [place, length] : places_) args_.push_back(input.substr(place, length));
    return complete();
}

request_parser::outcome request_parser::inline_request(std::string_view input) {
    auto end = input.find('\n');
    if (end == none) {
        if (input.size() > longest_line) return broken("too big inline request");
        return outcome::incomplete;
    }
    auto line = input.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    unquoted_.clear();
    std::size_t at = 0;
    for (;;) {
        while (at < line.size() && is_space(line[at])) ++at;
        if (at >= line.size() || line[at] == '\0') break;
        auto begin = unquoted_.size();
        if (!unquote(line, at, unquoted_)) return broken("unbalanced quotes in request");
        places_.emplace_back(begin, unquoted_.size() - begin);
    }
    std::string_view all = unquoted_;
    for (auto [place, length] : places_) args_.push_back(all.substr(place, length));
    at_ = end + 1;
    return complete();
}

bool to_integer(std::string_view text, std::int64_t& number) noexcept {
    if (text.empty()) return false;
    auto digits = text.substr(text[0] == '-' ? 1 : 0);
    if (digits.empty() || digits[0] < '0' || digits[0] > '9') return false;
    if (digits[0] == '0' && text.size() > 1) return false;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

bool to_double(std::string_view text, double& number) noexcept {
    if (text.empty() || is_space(text[0]) || text.size() > 400) return false;
    char copy[401];
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = 0;
    char* end = nullptr;
    errno = 0;
    number = std::strtod(copy, &end);  // hexadecimal too: so Redis reads them
    return end == copy + text.size() && !std::isnan(number) &&
           !(errno == ERANGE && (std::isinf(number) || number == 0));
}

std::string from_double(double number) {
    if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
    if (number == 0) return std::signbit(number) ? "-0" : "0";
    constexpr double exact = 4503599627370496;  // 2^52: every integer below is one
    char text[40];
    if (number > -exact && number < exact && number == std::floor(number)) {
        auto [end, error] = std::to_chars(text, text + sizeof text, static_cast<long>(number));
        return {text, end};
    }
    auto n = std::snprintf(text, sizeof text, "%.17g", number);
    return {text, static_cast<std::size_t>(n)};
}

std::string lower_case(std::string_view text) {
    std::string all(text);
    for (char& c : all) c = lower(c);
    return all;
}

bool same_word(std::string_view a, std::string_view lower_text) noexcept {
    if (a.size() != lower_text.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower_text[i]) return false;
    }
    return true;
}

std::string as_c_prints(std::string_view text, std::size_t most) {
    return std::string(text.substr(0, std::min(most, text.find('\0'))));
}

void reply::line(char type, std::string_view text) {
    *out_ += type;
    out_->append(text);
    out_->append("\r\n");
}

void reply::error(std::string_view text) {
    auto begin = out_->size() + 1;
    line('-', text);
    for (auto i = begin; i < out_->size() - 2; ++i) {
        char& c = (*out_)[i];
        if (c == '\r' || c == '\n') c = ' ';
    }
}

void reply::number(char type, std::int64_t n) {
    char text[24];
    text[0] = type;
    auto end = std::to_chars(text + 1, text + sizeof text - 2, n).ptr;
    std::memcpy(end, "\r\n", 2);
    out_->append(text, end + 2);
}

void reply::bulk(std::string_view text) {
    number('$', static_cast<std::int64_t>(text.size()));
    out_->append(text);
    out_->append("\r\n");
}

void append_request(std::string& out, const std::string_view* args, std::size_t count) {
    reply to(out);
    to.array(count);
    for (std::size_t i = 0; i < count; ++i) to.bulk(args[i]);
}

}  // namespace mini
