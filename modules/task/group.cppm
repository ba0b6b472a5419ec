// Task groups: tasks that are joined before their scope ends.
//
// The group counts its body and its tasks. The first failure, an exception or an error value, is
// kept and stops all; a stop from outside stops all; when the count is zero the group is over, and
// only then does with_group return. A child may spawn into its own group: its own place in the
// count keeps the group open meanwhile.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <mutex>
#include <source_location>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:group;
import :combine;
import :coroutine;
import :executor;
import :header;
import :misuse;
import :operation;
import :result;
import :spawn;

export namespace rt {

namespace detail {

class group_state : public combinator, public task_parent {
public:
    group_state() noexcept = default;

    /// The task counts from now on; it is stopped at once if the group is stopping.
    void add(task_state& task) noexcept;
    void task_ended(task_state& task) noexcept override;
    void fail(std::exception_ptr exception, std::error_code error) noexcept;
    void stop_all() noexcept;
    [[nodiscard]] bool closed() const noexcept {
        return count_.load(std::memory_order_acquire) == 0;
    }

protected:
    ~group_state() = default;
    virtual void stop_body() noexcept = 0;
    void take_failure(task_state& task) noexcept;
    executor* exec_ = nullptr;
    spin_lock lock_;
    task_state* first_ = nullptr;  // guarded by lock_
    bool stopping_ = false;        // guarded by lock_
    std::exception_ptr failed_;    // guarded by lock_ until the group is over
    std::error_code error_;

public:
    /// Where a task that is spawned here goes: as rt::spawn, to the worker that spawns it; from
    /// outside the runtime, to the group's.
    [[nodiscard]] executor& executor_to_spawn_on() const noexcept;
};

}  // namespace detail

/// Where the tasks of a with_group are spawned. It lives as long as its with_group waits.
class task_group {
public:
    explicit task_group(detail::group_state& state) noexcept : state_(&state) {}
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    /// Runs a task in the group, in parallel with the others where the runtime has several workers.
    /// As with rt::spawn, thread per core keeps it on the worker that spawns it.
    /// Its value is dropped; its failure is the group's.
    template <class T>
    void spawn(task<T> body, std::source_location where = std::source_location::current()) {
        spawn_into(nullptr, {}, false, std::move(body), where);
    }
    template <class T>
    void spawn(task_options options, task<T> body,
               std::source_location where = std::source_location::current()) {
        spawn_into(nullptr, std::move(options.name), options.own_failure, std::move(body), where);
    }
    /// On worker i, as rt::spawn_on.
    template <class T>
    void spawn_on(unsigned worker, task<T> body,
                  std::source_location where = std::source_location::current()) {
        spawn_into(&detail::executor_of_worker(worker, where), {}, false, std::move(body), where);
    }
    /// A callable and its arguments, as rt::spawn.
    template <class F>
        requires detail::spawnable<F>
    void spawn(F f, std::source_location where = std::source_location::current()) {
        spawn(call(std::move(f)), where);
    }
    template <class F>
        requires detail::spawnable<F>
    void spawn(task_options options, F f,
               std::source_location where = std::source_location::current()) {
        spawn(std::move(options), call(std::move(f)), where);
    }
    template <class F, class A>
        requires detail::spawnable<F, A>
    void spawn(F f, A a, std::source_location where = std::source_location::current()) {
        spawn(call(std::move(f), std::move(a)), where);
    }
    template <class F, class A, class B>
        requires detail::spawnable<F, A, B>
    void spawn(F f, A a, B b, std::source_location where = std::source_location::current()) {
        spawn(call(std::move(f), std::move(a), std::move(b)), where);
    }
    template <class F, class A, class B, class C>
        requires detail::spawnable<F, A, B, C>
    void spawn(F f, A a, B b, C c, std::source_location where = std::source_location::current()) {
        spawn(call(std::move(f), std::move(a), std::move(b), std::move(c)), where);
    }
    /// Stops all tasks of the group, its body included.
    void stop() noexcept { state_->stop_all(); }

private:
    template <class T>
    void spawn_into(executor* exec, std::string&& name, bool own_failure, task<T>&& body,
                    std::source_location where) {
        if (state_->closed())
            misuse("spawn into a task_group that has ended, or whose body has not begun", where);
        using root_type = detail::task_root<T, detail::task_member>;
        auto* root = root_type::make(exec ? *exec : state_->executor_to_spawn_on(), std::move(body),
                                     std::move(name), where, {.parent = state_});
        root->has_no_handle();
        state_->add(*root);
        if (!own_failure) root->consume();
        root->start();
    }
    detail::group_state* state_;
};

namespace detail {

template <class F>
concept group_body = is_task<std::invoke_result_t<F&, task_group&>>;

template <class T, class F>
class group_op final : public group_state {
public:
    using value_type = result<result_value_t<T>>;
    explicit group_op(F& make_body) : body_(make_body(group_)) {}
    group_op(const group_op&) = delete;

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        suspend_in(h.promise());
        // Tasks of the group run in parallel, so not on the strand of a join around it.
        exec_ = &env_->exec().root();
        hold();
        body_.start(env_->exec(), env_->identity(), *this, &on_body_end);
        if (drop()) return wake();
        return env_->arm(*this);
    }
    value_type await_resume() {
        if (failed_) std::rethrow_exception(std::move(failed_));
        if (error_) return error_;
        if (body_.was_stopped) return errc::stopped;  // by task_group::stop()
        if constexpr (is_result<T>) {
            return body_.take();
        } else if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            return body_.take();
        }
    }
    bool withdraw() noexcept override {
        stop_all();
        return false;
    }
    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({"rt::with_group", where_, depth});  // its tasks are listed by themselves
        body_.env.describe(to, depth + 1);
    }
    std::coroutine_handle<> wake() noexcept override {
        bool stopped = env_->stop_requested() && !failed_ && !error_ && stopping_;
        return stopped ? unwind(*frame_) : deliver();
    }

private:
    static child_link::next_step on_body_end(child_link& link, child_link::ending how) noexcept {
        auto& body = static_cast<child<T>&>(link);
        auto& self = static_cast<group_op&>(body.owner());
        body.was_stopped = how == child_link::ending::stopped;
        if (auto* threw = std::get_if<2>(&body.outcome)) self.fail(std::move(*threw), {});
        if (auto error = body.error()) self.fail(nullptr, error);
        self.drop_and_post();
        return {nullptr, std::noop_coroutine()};
    }
    void stop_body() noexcept override { body_.env.request_stop(); }

    task_group group_{*this};
    child<T> body_;
};

}  // namespace detail

/// Runs body(group) and every task that is spawned into the group; waits for all of them.
///
/// The first failure of body or tasks, an exception or an error value, stops the others; after all
/// have ended it is rethrown, or returned. Otherwise the value of body, in a result. A stop stops
/// all and waits for them. Body and tasks may borrow from the caller's scope: they have ended when
/// this returns.
template <detail::group_body F>
task<result<result_value_t<typename std::invoke_result_t<F&, task_group&>::value_type>>> with_group(
    F body) {
    using type = typename std::invoke_result_t<F&, task_group&>::value_type;
    detail::group_op<type, F> group(body);
    group.set_place(co_await detail::own_place());
    co_return co_await std::move(group);
}
/// For the message.
template <class F>
    requires(!detail::group_body<F>)
void with_group(F&&) {
    static_assert(detail::group_body<F>,
                  "the body of rt::with_group takes a group and gives a task: "
                  "[&](rt::task_group& group) -> rt::task<> { ...; co_return; }");
}

}  // namespace rt
