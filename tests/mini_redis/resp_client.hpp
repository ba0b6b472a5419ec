// A blocking client of the Redis protocol (RESP2) on plain sockets. It needs nothing of rt, so that
// a mistake in rt cannot hide itself: what is tested and what tests it share no code.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// One reply: raw is what came, byte for byte; text and elements are the same, taken apart.
struct reply {
    char type = 0;     // one of + - : $ *
    bool nil = false;  // $-1 or *-1
    std::string raw, text;
    std::vector<reply> elements;
};

// The bytes of a command as a client library writes them.
inline std::string encode(const std::vector<std::string>& words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (auto& word : words) out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return out;
}

// For people: control bytes are escaped, and the middle of a long text is left out.
inline std::string shown(std::string_view bytes, std::size_t most = 300) {
    auto escaped = [](std::string_view part) {
        std::string out;
        for (unsigned char c : part) {
            char hex[5];
            std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(c));
            if (c == '\r' || c == '\n')
                out += c == '\r' ? "\\r" : "\\n";
            else if (c < 32 || c > 126 || c == '\\' || c == '"')
                out += hex;
            else
                out += static_cast<char>(c);
        }
        return out;
    };
    if (bytes.size() <= most) return '"' + escaped(bytes) + '"';
    return '"' + escaped(bytes.substr(0, most / 2)) + " ... " +
           escaped(bytes.substr(bytes.size() - most / 2)) + "\" (" + std::to_string(bytes.size()) +
           " bytes)";
}

// Why a client could not go on: the peer closed, reset, or said nothing for ten seconds.
struct connection_lost : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class resp_client {
public:
    // A small receive buffer lets a test that does not read be felt by the server soon.
    explicit resp_client(int port, int receive_buffer = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
        if (receive_buffer != 0)
            setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        int one = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        patience(10'000);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(static_cast<std::uint16_t>(port));
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
            close(fd_);
            throw connection_lost("port " + std::to_string(port) + ": " + std::strerror(errno));
        }
    }
    resp_client(resp_client&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)), at_(other.at_) {}
    resp_client& operator=(resp_client&& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(buffer_, other.buffer_);
        std::swap(at_, other.at_);
        return *this;
    }
    ~resp_client() {
        if (fd_ >= 0) close(fd_);
    }

    // How long a read or a write may take before connection_lost says "no answer".
    void patience(int milliseconds) {
        timeval t{milliseconds / 1000, milliseconds % 1000 * 1000};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    }
    // Its end is a reset, whatever is on its way.
    void reset_at_end() {
        linger reset{1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    int fd() const { return fd_; }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0) lost();
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }

    // Reads one whole reply.
    reply receive() {
        reply r;
        std::string head = line();
        r.raw = head + "\r\n";
        r.type = head.empty() ? '\0' : head[0];
        r.text = head.empty() ? head : head.substr(1);
        if (r.type == '$' || r.type == '*') {
            long n = std::strtol(r.text.c_str(), nullptr, 10);
            r.nil = n < 0;
            r.text.clear();
            if (r.type == '$' && !r.nil) {
                r.text = take(static_cast<std::size_t>(n));
                r.raw += r.text + take(2);
            }
            for (long i = 0; r.type == '*' && i < n; ++i) {
                r.elements.push_back(receive());
                r.raw += r.elements.back().raw;
            }
        } else if (r.type != '+' && r.type != '-' && r.type != ':') {
            throw connection_lost("not a reply: " + shown(head));
        }
        return r;
    }
    reply ask(const std::vector<std::string>& words) {
        send(encode(words));
        return receive();
    }

    // What has come and is not part of a whole reply yet.
    std::string unread() const { return buffer_.substr(at_); }

    // Everything until the peer ends the connection; a reset counts as an end.
    std::string rest() {
        std::string all = buffer_.substr(at_);
        at_ = buffer_.size();
        char chunk[65536];
        for (;;) {
            ssize_t n = recv(fd_, chunk, sizeof chunk, 0);
            if (n == 0 || (n < 0 && errno == ECONNRESET)) return all;
            if (n < 0) throw connection_lost("still open after " + shown(all));
            all.append(chunk, static_cast<std::size_t>(n));
        }
    }

private:
    int fd_;
    std::string buffer_;
    std::size_t at_ = 0;  // what of buffer_ is used up

    [[noreturn]] static void lost() {
        if (errno == EAGAIN || errno == EWOULDBLOCK) throw connection_lost("no answer");
        throw connection_lost(std::strerror(errno));
    }
    void fill() {
        buffer_.erase(0, std::exchange(at_, 0));
        char chunk[65536];
        ssize_t n = recv(fd_, chunk, sizeof chunk, 0);
        if (n < 0) lost();
        if (n == 0) throw connection_lost("closed by the server");
        buffer_.append(chunk, static_cast<std::size_t>(n));
    }
    std::string take(std::size_t n) {
        while (buffer_.size() - at_ < n) fill();
        at_ += n;
        return buffer_.substr(at_ - n, n);
    }
    std::string line() {
        std::size_t end;
        while ((end = buffer_.find("\r\n", at_)) == std::string::npos) fill();
        std::string out = take(end - at_);
        at_ += 2;
        return out;
    }
};
