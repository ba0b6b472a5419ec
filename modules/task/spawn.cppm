// Spawned tasks: a header that outlives the frame, and the handle that joins or stops it.
//
// A header (task_state) is counted: one for the running task, one for its handle. When the
// coroutine ends its frame, parameters included, is destroyed first; then the header takes the task
// off its runtime's list, tells its group, and completes whoever joins it. The joiner's slot is
// guarded by a lock of the header, so that a select which withdraws its join is never touched
// afterwards.
module;
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
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
import :frame;
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

namespace detail {
class group_state;
/// A task's place in its group.
struct group_member {
    group_state* group = nullptr;
    class rt::task_state* task = nullptr;
    group_member* prev = nullptr;  // the group's list; guarded by its lock
    group_member* next = nullptr;
};
struct no_group {};
}  // namespace detail

/// The header of a spawned task. For executors and groups; users hold a join_handle.
class task_state : public work_item {
public:
    environment env;
    detail::task_identity identity;

    task_state* prev_task = nullptr;  // the runtime's list of live tasks; guarded by its lock
    task_state* next_task = nullptr;
    unsigned shard = 0;

    /// Makes the task known to its runtime and runs it.
    void start() noexcept;
    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;
    [[nodiscard]] bool ended() const noexcept {
        return (state_.load(std::memory_order_acquire) & ended_bit) != 0;
    }
    [[nodiscard]] bool was_stopped() const noexcept { return stopped_; }
    /// The exception or error value that it ended with. After it has ended.
    [[nodiscard]] virtual unhandled_failure failure() const noexcept = 0;
    /// For who passes it on to another thread: an exception has one owner at a time.
    virtual std::exception_ptr take_exception() noexcept = 0;
    /// Null: it is in no group.
    virtual detail::group_member* membership() noexcept { return nullptr; }

    bool try_join() noexcept { return ended(); }
    bool enlist(detail::arm& joiner) noexcept;
    bool delist(detail::arm& joiner) noexcept;
    /// The handle goes without having learned the outcome.
    void dropped() noexcept;
    void consume() noexcept { consumed_ = true; }
    [[nodiscard]] bool consumed() const noexcept { return consumed_; }

protected:
    task_state(executor& exec, std::string name, std::source_location where);
    virtual ~task_state() = default;
    virtual void destroy() noexcept = 0;
    virtual detail::child_link& link() noexcept = 0;
    void on_end(bool stopped) noexcept;
    /// Tells the runtime of this thread; without one, stderr.
    static void report(const unhandled_failure& f) noexcept;

private:
    static void run_first(work_item& item) noexcept;

    std::atomic<std::uint32_t> references_{2};
    // ended: the outcome is in place; set by the task. dropped: the handle went without having
    // learned it. Whoever sets the second of the two reports a failure, so that exactly one does.
    static constexpr std::uint8_t ended_bit = 1, dropped_bit = 2;
    std::atomic<std::uint8_t> state_{0};
    bool stopped_ = false;
    bool consumed_ = false;
    detail::spin_lock lock_;
    detail::arm* joiner_ = nullptr;
};

namespace detail {

std::uint64_t next_task_id() noexcept;
/// The executor that spawn() uses; misuse when there is none.
executor& executor_to_spawn_on(std::source_location where) noexcept;
executor& executor_of_worker(unsigned worker, std::source_location where);

/// Member is group_member for tasks of groups, and takes no room otherwise.
template <class T, class Member = no_group>
class task_root final : public task_state, public typed_link<T>, public Member {
public:
    static task_root* make(executor& exec, task<T>&& body, std::string name,
                           std::source_location where, Member member = {}) {
        auto frame = body.release();
        if (!frame) misuse("a task that was moved from is spawned", where);
        auto* memory = frame_allocate(sizeof(task_root), counted_as::task);
        auto* root = ::new (memory) task_root(exec, std::move(name), where, member);
        root->frame = frame;
        frame.promise().owner = root;
        frame.promise().env = &root->env;
        return root;
    }
    [[nodiscard]] unhandled_failure failure() const noexcept override {
        unhandled_failure f{this->identity.id, {}, this->identity.spawned_at, {}, {}};
        f.task_name = this->identity.name();
        if (auto* e = std::get_if<2>(&this->outcome)) f.exception = *e;
        f.error = this->error();
        return f;
    }

    std::exception_ptr take_exception() noexcept override {
        auto* e = std::get_if<2>(&this->outcome);
        return e ? std::exchange(*e, nullptr) : nullptr;
    }

private:
    task_root(executor& exec, std::string name, std::source_location where, Member member)
        : task_state(exec, std::move(name), where), Member(member) {
        this->hook = [](child_link& link,
                        child_link::ending how) noexcept -> child_link::next_step {
            static_cast<task_root&>(link).on_end(how == child_link::ending::stopped);
            return {nullptr, std::noop_coroutine()};
        };
    }
    ~task_root() noexcept override {}  // what T's may throw, destroy() has dealt with
    void destroy() noexcept override {
        // A result's destructor may ask for the task's id.
        auto* before = exchange_identity(&this->identity);
        drop_result();
        exchange_identity(before == &this->identity ? nullptr : before);
        this->~task_root();
        frame_release(this, sizeof(task_root), counted_as::task);
    }
    /// What the destructor of a result throws is contained and reported, and others go on.
    void drop_result() noexcept {
        if constexpr (!std::is_nothrow_destructible_v<typename typed_link<T>::value_type>) {
            using value_type = typename typed_link<T>::value_type;
            if (auto* value = std::get_if<1>(&this->outcome)) {
                try {
                    value->~value_type();
                } catch (...) {
                    unhandled_failure f{this->identity.id, {}, this->identity.spawned_at, {}, {}};
                    f.task_name = this->identity.name();
                    f.exception = std::current_exception();
                    this->report(f);
                }
                std::construct_at(&this->outcome);  // in its place: it must not be destroyed again
            }
        }
        this->outcome.template emplace<0>();
    }
    child_link& link() noexcept override { return *this; }
    group_member* membership() noexcept override {
        if constexpr (std::is_same_v<Member, group_member>) {
            return this;
        } else {
            return nullptr;
        }
    }
};

}  // namespace detail

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

/// Waits for the end of a task. Lossless: it takes the outcome only when it has won.
template <class T, class R>
class join_op : public leaf_op<join_op<T, R>> {
public:
    using lossless = void;
    join_op(task_root<T>* root, bool owner) noexcept : root_(root), owner_(owner) {
        root_->retain();
    }
    join_op(join_op&& other) noexcept
        : leaf_op<join_op>(std::move(other)),
          root_(std::exchange(other.root_, nullptr)),
          owner_(other.owner_) {}
    ~join_op() {
        if (root_ == nullptr) return;
        if (owner_) {
            if (!root_->ended()) root_->env.request_stop();
            root_->dropped();
        }
        root_->release();
    }

    bool try_now() noexcept { return root_->try_join(); }
    bool enlist() noexcept { return root_->enlist(*this); }
    bool delist() noexcept { return root_->delist(*this); }
    /// For or_return(), which hands the error on: that is how the outcome is taken, then.
    [[nodiscard]] std::error_code failure() const noexcept {
        auto error = root_->was_stopped() ? make_error_code(errc::stopped) : root_->error();
        if (error) root_->consume();
        return error;
    }
    R await_resume() {
        if (root_->consumed())
            misuse("a task's outcome is taken twice", root_->identity.spawned_at);
        root_->consume();
        if constexpr (std::is_same_v<R, outcome<T>>) {
            if (root_->was_stopped()) return R();
            using state = std::variant<std::monostate, typename R::stored_type, std::exception_ptr>;
            if (auto* e = std::get_if<2>(&root_->outcome))
                return R(state(std::in_place_index<2>, std::move(*e)));
            return R(state(std::in_place_index<1>, std::move(*std::get_if<1>(&root_->outcome))));
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
    task_root<T>* root_;
    bool owner_;
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
    void stop() noexcept { root().env.request_stop(); }
    [[nodiscard]] bool done() const noexcept { return root().ended(); }
    [[nodiscard]] bool valid() const noexcept { return root_ != nullptr; }
    [[nodiscard]] std::uint64_t id() const noexcept { return root().identity.id; }

    /// Waits as co_await handle does, and shows value, exception and stop alike, without throwing.
    auto outcome() & { return detail::join_op<T, rt::outcome<T>>(&root(), false); }
    auto as_operation() & { return detail::join_op<T, T>(&root(), false); }
    auto as_operation() && {
        auto op = detail::join_op<T, T>(&root(), true);
        std::exchange(root_, nullptr)->release();
        return op;
    }
    auto or_return() & { return as_operation().or_return(); }
    auto or_return() && { return std::move(*this).as_operation().or_return(); }

private:
    detail::task_root<T>& root() const noexcept {
        if (root_ == nullptr) misuse("an empty join_handle is used");
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
};

namespace detail {

template <class T>
join_handle<T> spawn_into(executor& exec, task<T>&& body, std::string name,
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
/// per core).
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
/// A callable and its arguments: both move into the task's frame. (One overload for each number of
/// arguments, so that the caller's line is known; for more than three: rt::spawn(rt::call(f, a, b,
/// ...)).)
template <class F>
    requires detail::spawnable<F>
auto spawn(F f, std::source_location where = std::source_location::current()) {
    return spawn(call(std::move(f)), where);
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

/// As spawn, on worker i of this runtime: there it stays in thread per core; work stealing takes it
/// as a hint. Throws std::out_of_range for an i that the runtime does not have.
template <class T>
join_handle<T> spawn_on(unsigned worker, task<T> body,
                        std::source_location where = std::source_location::current()) {
    return detail::spawn_into(detail::executor_of_worker(worker, where), std::move(body), {},
                              where);
}

}  // namespace rt
