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

/// Where the frame of a generator is while it is not running, and for whom it runs.
struct generator_home {
    std::coroutine_handle<> frame;
    child_link* runs_for = nullptr;
};

template <class T>
struct next_link : child_link {
    std::optional<T> value;
    std::exception_ptr failed;
    generator_home* home = nullptr;
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
            link.home->frame = std::exchange(link.frame, {});
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
    next_awaiter(generator_home& home, std::source_location where) noexcept {
        this->home = &home;
        this->awaited_at = where;
    }
    next_awaiter(const next_awaiter&) = delete;
    ~next_awaiter() {
        if (this->frame) this->frame.destroy();
        leave();
    }
    bool await_ready() const noexcept {
        if (this->home->frame) return false;
        if (this->home->runs_for) misuse("two next() of one rt::stream at once", this->awaited_at);
        return true;  // it has ended
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        this->frame = std::exchange(this->home->frame, {});
        this->home->runs_for = this;
        this->parent = &h.promise();
        auto frame = std::coroutine_handle<stream_promise<T>>::from_address(this->frame.address());
        frame.promise().owner = this;
        frame.promise().env = h.promise().env;
        return this->frame;
    }
    std::optional<T> await_resume() {
        leave();
        if (this->failed) std::rethrow_exception(std::move(this->failed));
        return std::move(this->value);
    }

private:
    void leave() noexcept {
        if (this->home->runs_for == this) this->home->runs_for = nullptr;
    }
};

template <class T>
struct next_start {
    generator_home* home;
    std::source_location where;
    auto enter(std::source_location) && noexcept { return next_awaiter<T>(*home, where); }
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
    static_assert(std::is_object_v<T>,
                  "an rt::stream yields values: instead of a reference a pointer, or a "
                  "std::reference_wrapper");

public:
    using promise_type = detail::stream_promise<T>;
    using value_type = T;

    stream(stream&& other) noexcept : home_(std::exchange(other.idle(), {})) {}
    stream& operator=(stream&& other) noexcept {
        std::swap(idle(), other.idle());
        return *this;
    }
    ~stream() {
        if (auto frame = idle().frame) frame.destroy();
    }

    /// Waits for the next value; empty at the end, and from then on. An exception comes out once,
    /// and ends the stream. One at a time. Not lossless: stopped in the middle, the generator is
    /// gone; in a select: rt::allow_loss(rt::next(s)).
    auto next(std::source_location where = std::source_location::current()) noexcept {
        return detail::next_start<T>{&home_, where};
    }

private:
    friend promise_type;
    explicit stream(std::coroutine_handle<> frame) noexcept : home_{frame} {}
    detail::generator_home& idle() noexcept {
        if (auto* waits = home_.runs_for)
            misuse("an rt::stream is moved or destroyed while a task waits for its next value",
                   waits->awaited_at);
        return home_;
    }
    detail::generator_home home_;
};

namespace detail {
template <class T>
stream<T> stream_promise<T>::get_return_object() noexcept {
    return stream<T>(std::coroutine_handle<stream_promise>::from_promise(*this));
}
}  // namespace detail

/// The next value of any stream, as a task.
template <stream_of_values S>
task<std::optional<typename S::value_type>> next(
    S& from, std::source_location where = std::source_location::current()) {
    if constexpr (requires { from.next(where); }) {
        co_return co_await from.next(where);
    } else {
        co_return co_await from.next();
    }
}

}  // namespace rt
