// What every example understands: --port N --flavor work_stealing|thread_per_core
// --reactor io_uring|epoll --workers N. A wrong one gets a line that says what to change.
#pragma once
#include <charconv>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
import rt;

struct options {
    rt::runtime::builder_type builder = rt::runtime::builder();
    rt::endpoint at{rt::ip_address::loopback_v4(), 0};

    [[noreturn]] static void refuse(const std::string& why) {
        std::cerr << why << '\n';
        std::exit(1);
    }
    static constexpr std::string_view common =
        "--port N, --flavor work_stealing|thread_per_core, --reactor io_uring|epoll, --workers N";
    static unsigned number(std::string_view name, std::string_view text, unsigned least,
                           unsigned most) {
        unsigned n = 0;
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (error != std::errc() || end != text.data() + text.size() || n < least || n > most)
            refuse(std::string(name) + " " + std::string(text) + ": give a number from " +
                   std::to_string(least) + " to " + std::to_string(most));
        return n;
    }
    /// more: what this program understands besides; false: not that either.
    options(int argc, char** argv, std::string_view more_names = "",
            const std::function<bool(std::string_view, std::string_view)>& more = {}) {
        auto all = std::string(common);
        if (!more_names.empty()) all.append(", ").append(more_names);
        for (int i = 1; i < argc; i += 2) {
            std::string_view name = argv[i];
            if (name == "--help") {
                std::cout << "options: " << all << '\n';
                std::exit(0);
            }
            if (i + 1 == argc) refuse(std::string(name) + " needs a value, or is unknown: " + all);
            std::string_view value = argv[i + 1];
            if (name == "--port") {
                at.port = static_cast<std::uint16_t>(number(name, value, 0, 65535));
            } else if (name == "--workers") {
                builder.workers(number(name, value, 1, 1024));
            } else if (name == "--flavor" && value == "work_stealing") {
                builder.work_stealing();
            } else if (name == "--flavor" && value == "thread_per_core") {
                builder.thread_per_core();
            } else if (name == "--reactor" && value == "io_uring") {
                builder.reactor(rt::reactor_kind::io_uring);
            } else if (name == "--reactor" && value == "epoll") {
                builder.reactor(rt::reactor_kind::epoll);
            } else if (!more || !more(name, value)) {
                refuse(std::string(name) + " " + std::string(value) + " is unknown: " + all);
            }
        }
    }
    /// Runs the program's task; what fails is said in a line, and is the exit code.
    template <class T>
    int run(rt::task<T> main) {
        try {
            auto runtime = builder.build();
            auto done = runtime.block_on(std::move(main));
            if (done) return 0;
            std::cerr << done.error().message() << hint(done.error()) << '\n';
        } catch (const std::system_error& e) {
            std::cerr << e.what() << '\n';
        }
        return 1;
    }
    static std::string hint(std::error_code error) {
        if (error == std::errc::address_in_use)
            return ": choose another --port, or 0 for a free one";
        if (error == std::errc::permission_denied) return ": ports below 1024 are for root";
        return "";
    }
};

inline void say_listening(const rt::endpoint& at) {
    std::cout << "listening on " << to_string(at) << std::endl;  // flushed: scripts wait for it
}
