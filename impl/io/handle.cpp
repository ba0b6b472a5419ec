module;
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <source_location>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
module rt.io;
import :object;

namespace rt {
namespace detail {

reactor::~reactor() = default;

std::size_t reactor::poll(std::chrono::nanoseconds timeout) noexcept {
    std::lock_guard turn(turn_);
    return take_turn(std::exchange(helped_, false) ? std::chrono::nanoseconds(0) : timeout);
}

std::size_t reactor::help() noexcept {
    std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn) return 0;
    helped_ = true;
    return take_turn(std::chrono::nanoseconds(0));
}

void no_reactor(const char* what, std::source_location where) noexcept {
    misuse(std::string(what) + " is awaited on an executor that has no reactor", where);
}

namespace {
[[noreturn, gnu::cold]] void no_object(std::source_location where) noexcept {
    misuse("an operation on an empty stream or listener: default-made, or moved from", where);
}
[[gnu::cold, gnu::noinline]] void another_home(const reactor& home, const reactor& here,
                                               std::source_location where) noexcept {
    if (home.kind() == here.kind()) return;
    misuse("a stream or listener of a runtime on " + std::string(to_string(home.kind())) +
               " is used in one on " + std::string(to_string(here.kind())),
           where);
}
}  // namespace

bool try_now(io_request& r, reactor& here, bool selected, std::source_location where) noexcept {
    if (!r.object) [[unlikely]]
        no_object(where);
    auto* home = r.object->home.load(std::memory_order_acquire);
    if (home && home != &here) [[unlikely]]
        another_home(*home, here, where);
    if (r.object->closing.load(std::memory_order_acquire) || (home && home->stopped()))
        [[unlikely]] {
        r.result = withdrawn;
        return true;
    }
    return here.try_now(r, selected);
}

void retain(io_object& object) noexcept { object.retain(); }

void release(io_object& object) noexcept {
    if (!object.release()) return;
    if (auto* home = object.home.load(std::memory_order_acquire)) {
        home->retire(object);
    } else {
        destroy(&object);
    }
}

io_object::~io_object() {
    if (fd >= 0) ::close(fd);
}

}  // namespace detail

io_handle::io_handle(native_handle descriptor, descriptor_kind kind)
    : object_(new detail::io_object(static_cast<int>(descriptor), kind)) {}

io_handle io_handle::share() const noexcept {
    io_handle other;
    if (object_) {
        object_->handles.fetch_add(1, std::memory_order_relaxed);
        object_->retain();
        other.object_ = object_;
    }
    return other;
}

namespace {
void end_operations(detail::io_object& object) noexcept {
    {
        // Under the lock: an operation may be about to wait for the first time, in another task.
        std::lock_guard guard(object.lock);
        if (!object.home.load(std::memory_order_relaxed)) {
            object.closing.store(true, std::memory_order_release);
            return;
        }
    }
    object.home.load(std::memory_order_relaxed)->close(object);
}
}  // namespace

void io_handle::close_now() noexcept {
    if (object_) end_operations(*object_);
}

void io_handle::close() noexcept {
    auto* object = std::exchange(object_, nullptr);
    if (!object) return;
    if (object->handles.fetch_sub(1, std::memory_order_acq_rel) == 1) end_operations(*object);
    detail::release(*object);
}

native_handle io_handle::native() const noexcept { return object_ ? object_->fd : -1; }

std::string_view to_string(reactor_kind kind) noexcept {
    switch (kind) {
        case reactor_kind::io_uring:
            return "io_uring";
        case reactor_kind::epoll:
            return "epoll";
        case reactor_kind::automatic:
            break;
    }
    return "automatic";
}

}  // namespace rt
