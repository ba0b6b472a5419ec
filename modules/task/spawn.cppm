// Spawning a task, and the handle that joins or stops it.
module;
#include <coroutine>
#include <cstdint>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.task:spawn;
import :coroutine;
import :executor;
import :header;
import :leaf;
import :misuse;
import :operation;
import :result;

export namespace rt {

/// What joining a task gives when the task was stopped and its type is no result.
class stopped_error : public std::runtime_error {
public:
    stopped_error();
};

/// How a task ended: with a value, an exception, or stopped.
template <class T>
class outcome {
public:
    using stored_type = typename detail::stored<T>::type;

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 1; }
    [[nodiscard]] bool stopped() const noexcept { return state_.index() == 0; }
    [[nodiscard]] std::exception_ptr exception() const noexcept {
        auto* e = std::get_if<2>(&state_);
        return e ? *e : nullptr;
    }
    stored_type& value() { return std::get<1>(state_); }

    outcome() = default;
    explicit outcome(std::variant<std::monostate, stored_type, std::exception_ptr>&& state)
        : state_(std::move(state)) {}

private:
    std::variant<std::monostate, stored_type, std::exception_ptr> state_;
};

namespace detail {

/// Takes how it ended out of a link.
template <class T>
outcome<T> outcome_of(typed_link<T>& link, bool stopped) {
    if (stopped) return outcome<T>();
    using state =
        std::variant<std::monostate, typename outcome<T>::stored_type, std::exception_ptr>;
    if (auto* e = std::get_if<2>(&link.outcome))
        return outcome<T>(state(std::in_place_index<2>, std::move(*e)));
    return outcome<T>(state(std::in_place_index<1>, std::move(*std::get_if<1>(&link.outcome))));
}

/// Waits for the end of a task. Lossless: it takes the outcome only when it has won.
template <class T, class R>
class [[nodiscard("it does nothing until it is co_awaited")]] join_op
    : public leaf_op<join_op<T, R>> {
public:
    using lossless = void;
    /// An owner takes the handle's reference.
    join_op(task_root<T>* root, bool owner, std::source_location where) noexcept
        : root_(root), owner_(owner), where_(where) {
        if (!owner_) root_->retain();
    }
    join_op(join_op&& other) noexcept
        : leaf_op<join_op>(std::move(other)),
          root_(std::exchange(other.root_, nullptr)),
          owner_(other.owner_),
          where_(other.where_) {}
    ~join_op() {
        if (root_ == nullptr) return;
        if (owner_) {
            if (!root_->ended()) root_->env.request_stop();
            root_->dropped();
        }
        root_->release();
    }

    bool try_now() noexcept { return root_->try_join(); }
    bool enlist() noexcept { return root_->enlist(*this, place()); }
    bool delist() noexcept { return root_->delist(*this); }
    /// For or_return(), which hands the error on: that is how the outcome is taken, then.
    [[nodiscard]] std::error_code failure() const noexcept {
        auto error = root_->was_stopped() ? make_error_code(errc::stopped) : root_->error();
        if (error) root_->consume();
        return error;
    }
    R await_resume() {
        if (root_->consumed()) misuse("a task's outcome is taken twice", place());
        root_->consume();
        if constexpr (std::is_same_v<R, outcome<T>>) {
            return outcome_of<T>(*root_, root_->was_stopped());
        } else {
            if (root_->was_stopped()) {
                if constexpr (is_result<R>) {
                    return R(errc::stopped);
                } else {
                    throw stopped_error();
                }
            }
            return root_->take();
        }
    }
    const char* what() const noexcept { return "a join_handle"; }
    std::source_location where() const noexcept { return root_->identity.spawned_at; }

private:
    [[nodiscard]] std::source_location place() const noexcept {
        return where_.line() != 0 ? where_ : where();
    }
    task_root<T>* root_;
    bool owner_;
    std::source_location where_;  // of the await; none in a select
};

}  // namespace detail

/// The only way to a spawned task's outcome. Dropping it requests the task's stop and does not
/// wait.
///
/// co_await handle: waits for the task's end and gives its value, or throws what it threw; a task
/// that was stopped gives errc::stopped in a result, and throws stopped_error otherwise. Withdrawn,
/// it has taken nothing; it may be an arm of a select. A stop of the awaiter leaves the task to its
/// handle.
template <class T = void>
class [[nodiscard("a dropped join_handle stops its task: keep it, await it, or detach() it")]]
join_handle {
public:
    using here = std::source_location;
    join_handle() noexcept = default;
    explicit join_handle(detail::task_root<T>* root) noexcept : root_(root) {}
    join_handle(join_handle&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
    join_handle& operator=(join_handle&& other) noexcept {
        if (this != &other) {
            drop();
            root_ = std::exchange(other.root_, nullptr);
        }
        return *this;
    }
    ~join_handle() { drop(); }

    /// Lets the task run on by itself, to its end or the runtime's.
    void detach() && noexcept { detach(); }
    void detach() & noexcept {
        if (auto* root = std::exchange(root_, nullptr)) {
            root->dropped();
            root->release();
        }
    }
    /// Requests the task's stop, and does not wait. Stopping a finished task changes nothing.
    void stop(here where = here::current()) noexcept { root(where).env.request_stop(); }
    [[nodiscard]] bool done(here where = here::current()) const noexcept {
        return root(where).ended();
    }
    [[nodiscard]] bool valid() const noexcept { return root_ != nullptr; }
    [[nodiscard]] std::uint64_t id(here where = here::current()) const noexcept {
        return root(where).identity.id;
    }

    /// Waits as co_await handle does, and shows value, exception and stop alike, without throwing.
    auto outcome(here where = here::current()) & {
        return detail::join_op<T, rt::outcome<T>>(&root(where), false, where);
    }
    auto as_operation(here where = {}) & {
        return detail::join_op<T, T>(&root(where), false, where);
    }
    auto as_operation(here where = {}) && {
        auto op = detail::join_op<T, T>(&root(where), true, where);
        root_ = nullptr;
        return op;
    }
    auto or_return(here where = here::current()) & { return as_operation(where).or_return(); }
    auto or_return(here where = here::current()) && {
        return std::move(*this).as_operation(where).or_return();
    }

private:
    detail::task_root<T>& root(here where) const noexcept {
        if (root_ == nullptr) misuse("an empty join_handle is used", where);
        return *root_;
    }
    void drop() noexcept {
        if (auto* root = std::exchange(root_, nullptr)) {
            if (!root->ended()) root->env.request_stop();
            root->dropped();
            root->release();
        }
    }
    detail::task_root<T>* root_ = nullptr;
};

struct task_options {
    std::string name{};
    /// In a group: its failure is no concern of the group, and goes to on_unhandled instead.
    bool own_failure = false;
};

namespace detail {

/// The executor that spawn() uses; misuse when there is none.
executor& executor_to_spawn_on(std::source_location where) noexcept;
executor& executor_of_worker(unsigned worker, std::source_location where);

template <class T>
join_handle<T> spawn_into(executor& exec, task<T>&& body, std::string&& name,
                          std::source_location where) {
    auto* root = task_root<T>::make(exec, std::move(body), std::move(name), where);
    join_handle<T> handle(root);
    root->start();
    return handle;
}

template <class F, class... Args>
concept spawnable = is_task<std::invoke_result_t<F&, Args...>>;

}  // namespace detail

/// Runs a task concurrently with the caller: on any worker (work stealing), or on this one (thread
/// per core). It begins when the caller waits, or another worker is free: of several the newest
/// first on this worker, so that a tree of tasks is walked depth first.
template <class T>
join_handle<T> spawn(task<T> body, std::source_location where = std::source_location::current()) {
    return detail::spawn_into(detail::executor_to_spawn_on(where), std::move(body), {}, where);
}
template <class T>
join_handle<T> spawn(task_options options, task<T> body,
                     std::source_location where = std::source_location::current()) {
    return detail::spawn_into(detail::executor_to_spawn_on(where), std::move(body),
                              std::move(options.name), where);
}
/// A callable and its arguments: both move into the task's frame. Of a lambda that captures, only
/// so: the captures of spawn([x]() -> task<> { ... }()) go with the lambda, before the task runs.
/// (One overload for each number of arguments, so that the caller's line is known; for more than
/// three: rt::spawn(rt::call(f, a, b,
/// ...)).)
template <class F>
    requires detail::spawnable<F>
auto spawn(F f, std::source_location where = std::source_location::current()) {
    return spawn(call(std::move(f)), where);
}
template <class F>
    requires detail::spawnable<F>
auto spawn(task_options options, F f,
           std::source_location where = std::source_location::current()) {
    return spawn(std::move(options), call(std::move(f)), where);
}
template <class F, class A>
    requires detail::spawnable<F, A>
auto spawn(F f, A a, std::source_location where = std::source_location::current()) {
    return spawn(call(std::move(f), std::move(a)), where);
}
template <class F, class A, class B>
    requires detail::spawnable<F, A, B>
auto spawn(F f, A a, B b, std::source_location where = std::source_location::current()) {
    return spawn(call(std::move(f), std::move(a), std::move(b)), where);
}
template <class F, class A, class B, class C>
    requires detail::spawnable<F, A, B, C>
auto spawn(F f, A a, B b, C c, std::source_location where = std::source_location::current()) {
    return spawn(call(std::move(f), std::move(a), std::move(b), std::move(c)), where);
}

/// For the message.
template <class X>
    requires(!is_task<std::remove_cvref_t<X>> && !detail::spawnable<X>)
void spawn(X&&, std::source_location = {}) {
    static_assert(is_task<std::remove_cvref_t<X>>,
                  "rt::spawn runs a task, or a callable that gives one: rt::spawn(f()), "
                  "rt::spawn([]() -> rt::task<> { ... })");
}

/// As spawn, on worker i of this runtime: there it stays in thread per core; work stealing takes it
/// as a hint. Throws std::out_of_range for an i that the runtime does not have.
template <class T>
join_handle<T> spawn_on(unsigned worker, task<T> body,
                        std::source_location where = std::source_location::current()) {
    return detail::spawn_into(detail::executor_of_worker(worker, where), std::move(body), {},
                              where);
}

}  // namespace rt
