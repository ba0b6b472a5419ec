// HTTP/1.1 by hand: keep-alive, pipelining with one write per batch, and an answer to bad input.
#include <array>
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "options.hpp"

constexpr std::size_t longest_head = 8192;
constexpr std::string_view ok =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
constexpr std::string_view bad =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
constexpr std::string_view too_large =
    "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

enum class verdict { answer, answer_and_close, refuse };

// A head is fine when its first line is "METHOD target HTTP/1.x" (RFC 9112, 3). Bodies are refused.
verdict judge(std::string_view head) {
    auto line = head.substr(0, head.find("\r\n"));
    auto first = line.find(' '), last = line.rfind(' ');
    if (first == 0 || first == line.npos || first == last) return verdict::refuse;
    for (char c : line.substr(0, first)) {
        if (c < 'A' || c > 'Z') return verdict::refuse;
    }
    auto version = line.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return verdict::refuse;
    std::string lower(head);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    bool body = lower.find("\r\ntransfer-encoding:") != lower.npos ||
                (lower.find("\r\ncontent-length:") != lower.npos &&
                 lower.find("\r\ncontent-length: 0\r\n") == lower.npos);
    if (body) return verdict::refuse;
    bool close = lower.find("\r\nconnection: close") != lower.npos || version == "HTTP/1.0";
    return close ? verdict::answer_and_close : verdict::answer;
}

// Closing while bytes are unread would reset the connection, and lose our last answer.
rt::io_task<> part_from(rt::tcp_stream& peer) {
    std::array<std::byte, 4096> rest;
    (void)peer.shutdown(rt::shutdown_side::write);
    while (co_await peer.read(rest).or_return() != 0) continue;
    co_return {};
}

rt::io_task<> serve(rt::tcp_stream peer) {
    std::array<char, longest_head> buffer;
    std::size_t filled = 0;
    std::string out;
    for (bool open = true; open;) {
        auto room = std::as_writable_bytes(std::span(buffer).subspan(filled));
        auto n = co_await peer.read(room).or_return();
        if (n == 0) co_return {};
        filled += n;
        std::string_view input(buffer.data(), filled);
        out.clear();
        while (open) {  // every request that is complete: their answers go out in one write
            auto end = input.find("\r\n\r\n");
            if (end == input.npos) break;
            auto what = judge(input.substr(0, end + 4));
            out += what == verdict::refuse ? bad : ok;
            open = what == verdict::answer;
            input.remove_prefix(end + 4);
        }
        if (open && input.size() == longest_head) {
            out += too_large;
            open = false;
        }
        filled = input.copy(buffer.data(), input.size());
        co_await peer.write_all(rt::as_bytes(out)).or_return();
    }
    co_return co_await rt::timeout(std::chrono::seconds(1), part_from(peer));
}

int main(int argc, char** argv) {
    options given(argc, argv);
    return given.run(rt::serve_each(given.at, serve, {.on_listening = say_listening}));
}
