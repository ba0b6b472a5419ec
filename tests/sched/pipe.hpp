// A pipe whose reading end a task can wait for: the least I/O that a scheduler's test needs.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <source_location>
#include <stdexcept>
import rt;

class read_byte : public rt::detail::io_op<read_byte> {
public:
    read_byte(rt::io_handle& from, char& into, std::source_location where) noexcept
        : io_op(from.object(), rt::detail::io_kind::read, &into, 1), where_(where) {}
    /// True: a byte came. False: an error, or the end.
    bool await_resume() noexcept { return result == 1; }
    const char* what() const noexcept { return "read_byte"; }
    std::source_location where() const noexcept { return where_; }

private:
    std::source_location where_;
};

class test_pipe {
public:
    test_pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0) throw std::runtime_error("pipe2");
        out_ = rt::io_handle(ends[0]);
        in_ = ends[1];
    }
    test_pipe(const test_pipe&) = delete;
    test_pipe& operator=(const test_pipe&) = delete;
    ~test_pipe() { ::close(in_); }

    void put() noexcept {
        char byte = 1;
        (void)!::write(in_, &byte, 1);
    }
    read_byte get(std::source_location where = std::source_location::current()) noexcept {
        return {out_, byte_, where};
    }

private:
    rt::io_handle out_;
    int in_ = -1;
    char byte_ = 0;
};
