module;
#include <netinet/in.h>
#include <sys/socket.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstdio>
#include <optional>
#include <source_location>
#include <string>
#include <system_error>
#include <utility>
module rt.net;
import rt.task;
import rt.io;
import rt.time;
import :sockaddr;
import :sockets;

namespace rt {

namespace detail {

namespace {
bool is_exhaustion(std::int64_t result) noexcept {
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}
}  // namespace

void accept_op::prepare() noexcept {
    static_assert(sizeof(sockaddr_storage) <= sizeof(address_));
    data = address_;
    size = sizeof address_;
}

/// The result is the want of descriptors: then the operation pauses, and goes on as if nothing had
/// come.
bool accept_op::out_of_descriptors() noexcept {
    if (!is_exhaustion(result)) return false;
    static std::atomic<bool> told{false};
    if (!told.exchange(true))
        std::fprintf(stderr,
                     "rt: accept: %s; connections wait until one is free: raise ulimit -n\n",
                     failure().message().c_str());
    exhausted_ = true;
    result = 0;
    return true;
}

void accept_op::wait_for_descriptors() noexcept {
    constexpr auto pause_length = std::chrono::milliseconds(50);
    pause_.op = this;
    pause_.over.store(false, std::memory_order_relaxed);
    pause_.fired = [](timer_node& node) noexcept {
        auto& self = static_cast<pause&>(node);
        auto& op = *self.op;
        // Release: pairs with the acquire in try_now(), by which a select that tries meanwhile
        // learns of it.
        self.over.store(true, std::memory_order_release);
        if (op.claim_to_try()) op.complete();
    };
    paused_ = true;
    auto& timers = timers_of(*this, what(), where_);
    timers.insert(pause_, timers.now() + pause_length);
}

bool accept_op::try_now() noexcept {
    bool resumed = paused_ && pause_.over.load(std::memory_order_acquire);
    if (resumed) {
        (void)pause_.home->remove(pause_);  // returns when the wheel has done with it
        paused_ = exhausted_ = false;
    }
    if (exhausted_) return false;
    if (!io_op::try_now()) return resumed && selected() && enlist();
    if (!out_of_descriptors()) return true;
    // The arm of a select is not enlisted again: it goes from the socket's list to the wheel by
    // itself.
    if (selected() && (resumed || who != nullptr)) {
        (void)io_op::delist();
        wait_for_descriptors();
    }
    return false;
}

bool accept_op::enlist() noexcept {
    hold();  // through the pauses too
    if (!exhausted_) {
        if (!io_op::enlist()) return false;
        if (!out_of_descriptors()) return true;
    }
    wait_for_descriptors();
    return false;
}

bool accept_op::delist() noexcept {
    return paused_ ? pause_.home->remove(pause_) : io_op::delist();
}

std::coroutine_handle<> accept_op::wake() noexcept {
    if (!withdrawn_ && std::exchange(paused_, false)) {
        exhausted_ = false;
        return wait_again();
    }
    // One that gave way for its budget has not called yet.
    if (withdrawn_ || who == nullptr || !out_of_descriptors()) return io_op::wake();
    wait_for_descriptors();
    return env_->arm(*this);
}

result<accepted> accept_op::await_resume() {
    if (result < 0) return failure();
    sockaddr_storage from{};
    __builtin_memcpy(&from, address_, sizeof from);
    return accepted{
        tcp_stream(io_handle(static_cast<native_handle>(result), descriptor_kind::socket)),
        from_sockaddr(from)};
}

std::optional<accepted> next_accept_op::await_resume() {
    auto connection = accept_op::await_resume();
    if (!connection) return std::nullopt;
    return *std::move(connection);
}

unsigned workers_here(std::source_location where) noexcept {
    return executor_to_spawn_on(where).worker_count();
}

namespace {

result<io_handle> listen_at(const endpoint& at, const bind_options& options) {
    auto made = make_socket(at, true);
    if (!made) return made.error();
    auto fd = static_cast<int>(made->native());
    int on = 1, v6_only = options.v6_only;
    auto fail = [] { return std::error_code(errno, std::system_category()); };
    if (options.reuse_address && ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return fail();
    if (options.reuse_port && ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return fail();
    if (!at.address.is_v4() &&
        ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) < 0)
        return fail();
    sockaddr_storage storage;
    auto length = to_sockaddr(at, storage);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) < 0) return fail();
    if (::listen(fd, options.backlog) < 0) return fail();
    return made;
}

}  // namespace

}  // namespace detail

io_task<tcp_listener> tcp_listener::bind(endpoint at, bind_options options) {
    auto handle = detail::listen_at(at, options);
    if (!handle) co_return handle.error();
    tcp_listener listener;
    listener.handle_ = *std::move(handle);
    co_return listener;
}

io_task<tcp_listener> tcp_listener::bind(std::string address, bind_options options) {
    auto at = parse_endpoint(address);
    if (!at) co_return at.error();
    co_return co_await bind(*at, options);
}

result<endpoint> tcp_listener::local() const { return detail::name_of(handle_, false); }

}  // namespace rt
