// Listening for TCP connections, and serving them on every worker.
//
// When the process has no descriptor left, accept waits 50 ms at a time until one is free, and says
// so once: the connection stays in the kernel's queue meanwhile, so nothing is lost and no core
// spins.
module;
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
export module rt.net:listener;
import rt.task;
import rt.io;
import rt.time;
import :endpoint;
import :tcp;

export namespace rt {

struct bind_options {
    int backlog = 1024;
    bool reuse_address = true;  ///< a restarted server need not wait for old connections: socket(7)
    bool reuse_port =
        false;             ///< several listeners share the port, and the kernel spreads connections
    bool v6_only = false;  ///< an IPv6 listener on :: takes IPv4 too unless this is set
};

struct accepted {
    tcp_stream stream;
    endpoint from;
};

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] accept_op : public io_op<accept_op> {
public:
    inline accept_op(const io_handle& h, std::source_location where) noexcept
        : io_op(h.object(), io_kind::accept, nullptr, 0), where_(where) {}
    accept_op(accept_op&&) noexcept = default;

    void prepare() noexcept;
    bool try_now() noexcept;
    bool enlist() noexcept;
    bool delist() noexcept;
    std::coroutine_handle<> wake() noexcept override;
    rt::result<accepted> await_resume();
    inline const char* what() const noexcept { return "an accept"; }
    inline std::source_location where() const noexcept { return where_; }

private:
    struct pause : timer_node {
        pause() = default;
        pause(pause&&) noexcept {}
        accept_op* op = nullptr;
        std::atomic<bool> over{false};
    };
    bool out_of_descriptors() noexcept;
    void wait_for_descriptors() noexcept;

    std::source_location where_;
    pause pause_;
    bool exhausted_ = false;  // a pause is due or under way
    bool paused_ = false;     // pause_ is in the wheel, or was
    alignas(8) std::byte address_[128];
};

/// The same for the stream concept.
class [[nodiscard("it does nothing until it is co_awaited")]] next_accept_op : public accept_op {
public:
    using accept_op::accept_op;
    next_accept_op(next_accept_op&&) noexcept = default;
    std::optional<accepted> await_resume();
};

}  // namespace detail

class tcp_listener {
public:
    using value_type = accepted;
    using here = std::source_location;
    tcp_listener() noexcept = default;

    /// Listens at once. Errors: bind(2), listen(2), errc::invalid_address. Port 0 takes a free one:
    /// local() tells.
    static io_task<tcp_listener> bind(endpoint at, bind_options options = {});
    static io_task<tcp_listener> bind(std::string address, bind_options options = {});

    /// Waits for a connection: its stream and where it comes from. Lossless: a loser has accepted
    /// nothing. A stop withdraws it. Connections that were reset in the queue are passed over.
    /// Errors: accept(2), errc::closed.
    inline auto accept(here where = here::current()) { return detail::accept_op(handle_, where); }
    /// The stream concept: the next connection; empty once the listener fails or is closed.
    inline auto next(here where = here::current()) {
        return detail::next_accept_op(handle_, where);
    }
    /// Ends what waits on the listener with errc::closed.
    inline void close() noexcept { handle_.close_now(); }

    [[nodiscard]] result<endpoint> local() const;
    [[nodiscard]] inline tcp_options options() const noexcept {
        return tcp_options(handle_.native());
    }
    [[nodiscard]] inline const io_handle& handle() const noexcept { return handle_; }

private:
    io_handle handle_;
};

namespace detail {

template <class F>
io_task<> accept_loop(tcp_listener listener, F serve) {
    co_return co_await with_group([&](task_group& connections) -> io_task<> {
        for (;;) {
            auto [stream, from] = co_await listener.accept().or_return();
            if constexpr (std::is_invocable_v<F&, tcp_stream, endpoint>) {
                connections.spawn({.own_failure = true}, serve(std::move(stream), from));
            } else {
                connections.spawn({.own_failure = true}, serve(std::move(stream)));
            }
        }
    });
}

unsigned workers_here(std::source_location where) noexcept;

}  // namespace detail

struct serve_options {
    bind_options bind = {};
    /// Told where it listens, once all workers do.
    std::function<void(const endpoint&)> on_listening = {};
};

/// One listener per worker on the same port (SO_REUSEPORT), and serve(stream) or serve(stream,
/// from) for each connection, spawned on the worker that accepted it. A connection's failure is its
/// own, and goes to on_unhandled. A port that another server has is an error, unless
/// bind.reuse_port asks to share it. Runs until a stop, or until a listener fails: that error.
/// Either stops the connections too, and waits for them; so `serve`, of which each worker has a
/// copy, may borrow from the caller.
template <class F>
io_task<> serve_each(endpoint at, F serve, serve_options options = {},
                     std::source_location where = std::source_location::current()) {
    auto workers = detail::workers_here(where);
    if (workers > 1 && !options.bind.reuse_port && at.port != 0) {
        // Sharing the port among our workers must not share it with another server.
        (void)co_await tcp_listener::bind(at, options.bind).or_return();
    }
    options.bind.reuse_port = options.bind.reuse_port || workers > 1;
    co_return co_await with_group([&](task_group& group) -> io_task<> {
        for (unsigned i = 0; i < workers; ++i) {
            auto listener = co_await tcp_listener::bind(at, options.bind).or_return();
            if (auto bound = listener.local())
                at = *bound;  // port 0 became a port, for all of them
            group.spawn_on(i, detail::accept_loop(std::move(listener), serve));
        }
        if (options.on_listening) options.on_listening(at);
        co_return {};
    });
}
/// The same for an address as text: "127.0.0.1:8080".
template <class F>
io_task<> serve_each(std::string address, F serve, serve_options options = {},
                     std::source_location where = std::source_location::current()) {
    auto at = parse_endpoint(address);
    if (!at) co_return at.error();
    co_return co_await serve_each(*at, std::move(serve), std::move(options), where);
}

}  // namespace rt
