// stream<T>: values that a coroutine yields, one at a time, and may wait between.
//
// The generator runs on the scope of whoever asks for the next value, as if it were called. While
// it runs its frame belongs to that next(); between two values, to the stream. So a stop takes it
// down with its consumer, innermost frame first, and dropping the stream ends it where it stands.
module;
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
export module rt.stream:generator;
import rt.task;

export namespace rt {

template <class T>
class stream;

namespace detail {

template <class T>
struct next_link : child_link {
    std::optional<T> value;
    std::exception_ptr failed;
    std::coroutine_handle<>* home = nullptr;  // where the frame goes while it is not running
};

template <class T>
struct stream_promise : awaits<stream_promise<T>> {
    next_link<T>& link() noexcept { return static_cast<next_link<T>&>(*this->owner); }

    stream<T> get_return_object() noexcept;
    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept {
        if (!this->owner->frame) threw_while_unwinding(this->env);
        link().failed = std::current_exception();
    }

    struct yielded {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(
            std::coroutine_handle<stream_promise> h) const noexcept {
            auto& link = h.promise().link();
            *link.home = std::exchange(link.frame, {});
            return link.parent->handle();
        }
        void await_resume() const noexcept {}
    };
    template <class U>
        requires std::is_constructible_v<T, U>
    yielded yield_value(U&& value) {
        link().value.emplace(std::forward<U>(value));
        return {};
    }
};

template <class T>
class next_awaiter : public next_link<T> {
public:
    next_awaiter(std::coroutine_handle<>& home, std::source_location where) noexcept {
        this->home = &home;
        this->awaited_at = where;
    }
    next_awaiter(const next_awaiter&) = delete;
    ~next_awaiter() {
        if (this->frame) this->frame.destroy();
    }
    bool await_ready() const noexcept { return !*this->home; }  // it has ended
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        this->frame = std::exchange(*this->home, {});
        this->parent = &h.promise();
        auto frame = std::coroutine_handle<stream_promise<T>>::from_address(this->frame.address());
        frame.promise().owner = this;
        frame.promise().env = h.promise().env;
        return this->frame;
    }
    std::optional<T> await_resume() {
        if (this->failed) std::rethrow_exception(std::move(this->failed));
        return std::move(this->value);
    }
};

template <class T>
struct next_start {
    std::coroutine_handle<>* home;
    auto enter(std::source_location where) && noexcept { return next_awaiter<T>(*home, where); }
};
template <class T>
struct awaited_value<next_start<T>> {
    using type = std::optional<T>;
};

}  // namespace detail

/// A coroutine that yields values: rt::stream<int> f() { co_yield 1; co_await rt::sleep(1s);
/// co_yield 2; }
template <class T>
class [[nodiscard]] stream {
public:
    using promise_type = detail::stream_promise<T>;
    using value_type = T;

    stream(stream&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    stream& operator=(stream&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~stream() {
        if (frame_) frame_.destroy();
    }

    /// Waits for the next value; empty at the end, and from then on. An exception comes out once,
    /// and ends the stream. Not lossless: stopped in the middle, the generator is gone; in a
    /// select: rt::allow_loss(rt::next(s)).
    auto next() noexcept { return detail::next_start<T>{&frame_}; }

private:
    friend promise_type;
    explicit stream(std::coroutine_handle<> frame) noexcept : frame_(frame) {}
    std::coroutine_handle<> frame_;
};

namespace detail {
template <class T>
stream<T> stream_promise<T>::get_return_object() noexcept {
    return stream<T>(std::coroutine_handle<stream_promise>::from_promise(*this));
}
}  // namespace detail

/// The next value of any stream, as a task.
template <stream_of_values S>
task<std::optional<typename S::value_type>> next(S& from) {
    co_return co_await from.next();
}

}  // namespace rt
