// task<T>: a lazy coroutine, awaited once, as an rvalue.
//
// A promise is two words: who owns the frame, and the scope that it runs in. The result is written
// straight into the owner (the awaiter in the parent's frame, or the task's header), so that a
// frame is destroyed the moment it ends, before anyone sees its result.
module;
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.task:coroutine;
import :frame;
import :leaf;
import :misuse;
import :operation;
import :result;

export namespace rt {

template <class T = void>
class task;
template <class T = void>
using io_task = task<result<T>>;

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

namespace detail {

template <class T>
struct stored {
    using type = T;
};
template <class T>
struct stored<T&> {
    using type = std::reference_wrapper<T>;
};
template <>
struct stored<void> {
    using type = std::monostate;
};

/// A link with room for what the frame ends with.
template <class T>
struct typed_link : child_link {
    using value_type = typename stored<T>::type;
    struct nothing {};
    std::variant<nothing, value_type, std::exception_ptr> outcome;

    [[nodiscard]] bool has_value() const noexcept { return outcome.index() == 1; }
    /// The value, or the exception again.
    T take() {
        if (auto* failed = std::get_if<2>(&outcome)) std::rethrow_exception(std::move(*failed));
        if constexpr (std::is_void_v<T>) {
            return;
        } else if constexpr (std::is_reference_v<T>) {
            return std::get_if<1>(&outcome)->get();
        } else {
            return std::move(*std::get_if<1>(&outcome));
        }
    }
    /// The error value that it ended with, if T is a result and it did.
    [[nodiscard]] std::error_code error() const noexcept {
        if constexpr (is_result<T>) {
            if (auto* value = std::get_if<1>(&outcome)) return value->error();
        }
        return {};
    }
};

template <class T>
struct task_promise;
template <class T>
class task_awaiter;
template <class T>
class or_return_awaiter;
template <class T>
class or_throw_awaiter;

template <class T>
struct or_return_task {
    task<result<T>> inner;
};
template <class T>
struct or_throw_task {
    task<result<T>> inner;
};

/// As the language has it: a function of that name, or an operator.
template <class A>
concept awaitable = requires(A&& a) { std::forward<A>(a).await_ready(); } || requires(A&& a) {
    std::forward<A>(a).operator co_await();
} || requires(A&& a) { operator co_await(std::forward<A>(a)); };

template <class A>
concept can_be_awaited =
    is_task<std::remove_cvref_t<A>> || std::is_base_of_v<wait_op, std::remove_cvref_t<A>> ||
    awaitable<A> || requires(A&& a) { std::forward<A>(a).as_operation(); } ||
    requires(A&& a) { std::move(a).enter(std::source_location()); };

/// Null after the message that or_return() needs a result, so that no other message follows it.
template <class Promise>
constexpr auto fail_of() noexcept -> void (*)(promise_base&, std::error_code) {
    if constexpr (requires { Promise::fail; }) {
        return &Promise::fail;
    } else {
        return nullptr;
    }
}

/// What co_await means in every coroutine of rt: operations learn their scope, tasks are entered.
template <class Promise>
struct awaits : promise_base {
    template <class A>
    decltype(auto) await_transform(A&& awaited,
                                   std::source_location where = std::source_location::current()) {
        using type = std::remove_cvref_t<A>;
        if constexpr (std::is_base_of_v<wait_op, type>) {
            static_assert(
                !std::is_lvalue_reference_v<A>,
                "an operation is awaited once, where it is made: co_await stream.read(buffer)");
            if (awaited.env()) [[unlikely]]
                misuse("an operation that was awaited before is awaited: make it anew", where);
            awaited.bind(env);
            if constexpr (requires { awaited.set_place(where); }) awaited.set_place(where);
            if constexpr (requires { typename type::ends_coroutine; }) {
                static_assert(
                    requires { Promise::fail; },
                    "or_return() ends a coroutine that returns a result: make it rt::io_task<T> "
                    "or rt::task<rt::result<T>>, or use or_throw()");
                awaited.set_failure(fail_of<Promise>());
            }
            return std::forward<A>(awaited);
        } else if constexpr (requires { std::move(awaited).enter(where); }) {
            static_assert(!std::is_lvalue_reference_v<A>,
                          "a task is awaited once: co_await std::move(task), or co_await f()");
            return std::move(awaited).enter(where);
        } else if constexpr (requires { std::forward<A>(awaited).as_operation(where); }) {
            auto op = std::forward<A>(awaited).as_operation(where);
            op.bind(env);
            return op;
        } else {
            static_assert(awaitable<A>,
                          "this cannot be awaited: await a task (co_await f(), with the "
                          "parentheses), an operation, or the next() of a stream");
            // A foreign awaitable: it resumes where it resumes.
            if constexpr (awaitable<A>) {
                return std::forward<A>(awaited);
            } else {
                return std::suspend_never();
            }
        }
    }
    template <class T>
    auto await_transform(or_return_task<T>&& awaited,
                         std::source_location where = std::source_location::current()) {
        static_assert(
            requires { Promise::fail; },
            "or_return() ends a coroutine that returns a result: make it rt::io_task<T> or "
            "rt::task<rt::result<T>>, or use or_throw()");
        return or_return_awaiter<T>(std::move(awaited.inner), fail_of<Promise>(), where);
    }
    template <class T>
    auto await_transform(or_throw_task<T>&& awaited,
                         std::source_location where = std::source_location::current()) {
        return or_throw_awaiter<T>(std::move(awaited.inner), where);
    }

    static void* operator new(std::size_t size) {
        static_assert(alignof(Promise) == alignof(promise_base));  // for promise_base::handle()
        return frame_allocate(size);
    }
    static void operator delete(void* frame, std::size_t size) noexcept {
        frame_release(frame, size);
    }
};

struct final_awaiter {
    inline bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) const noexcept {
        auto& link = *h.promise().owner;
        if (!link.frame) [[unlikely]]
            threw_while_unwinding(h.promise().env);
        return settle(link);
    }
    inline void await_resume() const noexcept {}
};

template <class T, class Promise>
struct returns : awaits<Promise> {
    typed_link<T>& link() noexcept { return static_cast<typed_link<T>&>(*this->owner); }
    template <class U = T>
        requires std::is_constructible_v<typename stored<T>::type, U>
    void return_value(U&& value) {
        link().outcome.template emplace<1>(std::forward<U>(value));
    }
};
template <class Promise>
struct returns<void, Promise> : awaits<Promise> {
    typed_link<void>& link() noexcept { return static_cast<typed_link<void>&>(*this->owner); }
    void return_void() noexcept { link().outcome.template emplace<1>(); }
};
template <class T, class Promise>
struct returns<result<T>, Promise> : awaits<Promise> {
    typed_link<result<T>>& link() noexcept {
        return static_cast<typed_link<result<T>>&>(*this->owner);
    }
    template <class U = result<T>>
        requires std::is_constructible_v<result<T>, U>
    void return_value(U&& value) {
        link().outcome.template emplace<1>(std::forward<U>(value));
    }
    static void fail(promise_base& frame, std::error_code error) {
        static_cast<typed_link<result<T>>&>(*frame.owner).outcome.template emplace<1>(error);
    }
};

template <class T>
struct task_promise : returns<T, task_promise<T>> {
    task<T> get_return_object() noexcept;
    std::suspend_always initial_suspend() const noexcept { return {}; }
    // It must always suspend: a frame inside its caller's is not freed by running off its end.
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept {
        if (!this->owner->frame) threw_while_unwinding(this->env);
        this->link().outcome.template emplace<2>(std::current_exception());
    }
};

}  // namespace detail

/// A coroutine that has not started. Awaited, it runs on the awaiter's scope; spawned, on its own.
/// Destroying one that has not started destroys its arguments, and runs nothing.
template <class T>
class [[nodiscard("a task does nothing until it is co_awaited or spawned"),
        clang::coro_await_elidable]] task {
public:
    using promise_type = detail::task_promise<T>;
    using value_type = T;

    task(task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    task& operator=(task&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~task() {
        if (frame_) frame_.destroy();
    }

    /// The value, or the error ends the enclosing coroutine with it; no exception.
    auto or_return() && {
        static_assert(is_result<T>,
                      "or_return() needs an rt::io_task<T>: this task gives no "
                      "rt::result, so co_await it as it is");
        return detail::or_return_task<result_value_t<T>>{std::move(*this)};
    }
    /// The value, or std::system_error.
    auto or_throw() && {
        static_assert(is_result<T>,
                      "or_throw() needs an rt::io_task<T>: this task gives no "
                      "rt::result, so co_await it as it is");
        return detail::or_throw_task<result_value_t<T>>{std::move(*this)};
    }
    /// For the message: a coroutine of another library has no scope to run it in.
    template <class T2 = T>
    std::suspend_never operator co_await() && {
        static_assert(!std::is_same_v<T, T2>,
                      "an rt::task is awaited in a coroutine of rt, an rt::task or rt::stream; "
                      "elsewhere: rt::spawn, runtime.block_on or rt::sync_wait");
        return {};
    }

    /// For await_transform.
    auto enter(std::source_location where) && noexcept {
        return detail::task_awaiter<T>(std::move(*this), where);
    }
    /// Gives the frame away to a link that will own it.
    std::coroutine_handle<promise_type> release() noexcept { return std::exchange(frame_, {}); }

private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T>
inline task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

/// Of the task that the link owns.
template <class T>
task_promise<T>& promise_of(child_link& link) noexcept {
    using handle = std::coroutine_handle<task_promise<T>>;
    return handle::from_address(link.frame.address()).promise();
}

/// Owns the frame of an awaited task, in the frame of who awaits it.
template <class T>
class task_awaiter : public typed_link<T> {
public:
    task_awaiter(task<T>&& awaited, std::source_location where) noexcept {
        this->frame = awaited.release();
        if (!this->frame)
            misuse("a task that was moved from, or awaited before, is awaited", where);
        this->awaited_at = where;
    }
    task_awaiter(const task_awaiter&) = delete;
    task_awaiter& operator=(const task_awaiter&) = delete;
    ~task_awaiter() {
        if (this->frame) this->frame.destroy();
    }

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        this->parent = &h.promise();
        auto& promise = promise_of<T>(*this);
        promise.owner = this;
        promise.env = h.promise().env;
        return this->frame;
    }
    T await_resume() { return this->take(); }
};

template <class T>
class or_return_awaiter : public task_awaiter<result<T>> {
public:
    or_return_awaiter(task<result<T>>&& awaited, void (*fail)(promise_base&, std::error_code),
                      std::source_location where) noexcept
        : task_awaiter<result<T>>(std::move(awaited), where), fail_(fail) {
        this->hook = [](child_link& link, child_link::ending) noexcept -> child_link::next_step {
            auto& self = static_cast<or_return_awaiter&>(link);
            auto error = self.error();
            if (!error) return {nullptr, self.parent->handle()};
            auto* parent = self.parent;
            self.fail_(*parent, error);
            return {parent->owner, {}};
        };
    }
    T await_resume() { return *this->take(); }

private:
    void (*fail_)(promise_base&, std::error_code);
};

template <class T>
class or_throw_awaiter : public task_awaiter<result<T>> {
public:
    using task_awaiter<result<T>>::task_awaiter;
    T await_resume() { return this->take().or_throw(); }
};

template <class A>
struct awaited_value {
    using type = decltype(std::declval<A>().await_resume());
};
template <class A>
    requires requires(A a) { std::move(a).as_operation(); }
struct awaited_value<A> : awaited_value<decltype(std::declval<A>().as_operation())> {};
template <class T>
struct awaited_value<task<T>> {
    using type = T;
};

}  // namespace detail

/// What co_await of an operation or task gives.
template <class A>
using await_result_t = typename detail::awaited_value<std::remove_cvref_t<A>>::type;

/// A task of a callable and its arguments: both move into its frame, so that nothing dangles.
template <class F, class... Args>
    requires is_task<std::invoke_result_t<F&, Args...>>
task<typename std::invoke_result_t<F&, Args...>::value_type> call(F callable, Args... args) {
    co_return co_await callable(std::move(args)...);
}

}  // namespace rt
