// join_set and join_queue: spawned tasks whose results are taken one at a time, by whoever owns
// them.
//
// The tasks stand in one list, behind a lock: first those that have ended, in the order of their
// ends; then those that run. (In a join_queue all stay in the order of their spawns, and the first
// is ready once it has ended.) The list has a reference to the header of each, which goes with its
// result. A task that has been forgotten, or was stopped, leaves the list where it ends. So nobody
// but the list's lock orders a task's end, a withdrawn next() and a set that goes: the list is
// counted (one for the set, one for each task that has not ended, one for each next()) and outlives
// them.
//
// A next() waits for readiness: the end of a task wakes it to try (claim_to_try), and the result
// stays in the list until the await returns it. So it is at home in the adaptors of streams, too.
module;
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.task:join_set;
import :coroutine;
import :executor;
import :header;
import :leaf;
import :misuse;
import :operation;
import :spawn;

export namespace rt {

namespace detail {

struct listed_member : task_member {
    bool ended = false;      // guarded by the list's lock, as is the next
    bool forgotten = false;  // it leaves the list when it ends
};

class join_list final : public task_parent {
public:
    class next_op;

    explicit join_list(bool in_order) noexcept : in_order_(in_order) {}
    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;

    /// Before it is started.
    void add(task_state& task) noexcept;
    void task_ended(task_state& task) noexcept override;
    /// Stops it and drops its outcome, as if it were a handle.
    void forget(task_state& task) noexcept;
    void forget_all() noexcept;
    void stop_all() noexcept;
    [[nodiscard]] std::size_t size() noexcept;
    /// Something is to be had: a result, or the end.
    [[nodiscard]] bool ready() noexcept;
    /// The next one that has ended, if there is one. Its reference is the caller's from now on.
    task_state* take() noexcept;

private:
    static listed_member& member(task_state& task) noexcept {
        return static_cast<listed_member&>(*task.membership());
    }
    void insert(task_state& task, task_state* before) noexcept;
    void unlink(task_state& task) noexcept;
    [[nodiscard]] bool is_ready() const noexcept;
    task_state* pop() noexcept;
    next_op* wake() noexcept;
    static void drop(task_state& task) noexcept;

    std::atomic<std::uint32_t> references_{1};
    const bool in_order_;
    spin_lock lock_;  // it guards the rest
    task_state* first_ = nullptr;
    task_state* last_ = nullptr;
    task_state* last_ended_ = nullptr;  // of those that stand first; unused in order
    std::size_t size_ = 0;
    next_op* waiting_ = nullptr;
};

/// Waits until the list is ready.
class join_list::next_op : public leaf_op<next_op> {
public:
    using lossless = void;
    next_op(join_list& list, std::source_location where) noexcept : list_(&list), where_(where) {
        list.retain();
    }
    next_op(next_op&& other) noexcept
        : leaf_op(std::move(other)),
          list_(std::exchange(other.list_, nullptr)),
          where_(other.where_) {}

    bool try_now() noexcept;
    bool enlist() noexcept;
    bool delist() noexcept;
    const char* what() const noexcept { return "rt::join_set::next"; }
    std::source_location where() const noexcept { return where_; }

protected:
    ~next_op() {
        if (list_) list_->release();
    }
    /// Null at the end.
    task_state* take() noexcept;

private:
    friend class join_list;
    join_list* list_;
    std::source_location where_;
};

/// The list of a set, and what becomes of it when the set goes.
class owned_list {
public:
    explicit owned_list(bool in_order) : list_(new join_list(in_order)) {}
    owned_list(owned_list&& other) noexcept : list_(std::exchange(other.list_, nullptr)) {}
    owned_list& operator=(owned_list&& other) noexcept {
        std::swap(list_, other.list_);
        return *this;
    }
    ~owned_list() {
        if (!list_) return;
        list_->forget_all();
        list_->release();
    }
    join_list& at(std::source_location where) const noexcept {
        if (!list_) misuse("a join_set or join_map that was moved from is used", where);
        return *list_;
    }

private:
    join_list* list_;
};

/// Gives back the reference that was taken from the list.
struct task_reference {
    task_state* task;
    ~task_reference() { task->release(); }
};

}  // namespace detail

/// Tasks that are spawned here, and whose results are taken here, in the order of their ends. A
/// stream of values.
///
/// Destroying it requests the stop of all and does not wait, as dropping their handles would. Its
/// end in order: stop_all(), and then next() until it is empty. It belongs to one task; where its
/// tasks may borrow from a scope, use a task_group.
template <class T = void>
class join_set {
    using root_type = detail::task_root<T, detail::listed_member>;

public:
    /// std::monostate for void.
    using value_type = typename detail::stored<T>::type;

    class [[nodiscard("it does nothing until it is co_awaited")]] next_op
        : public detail::join_list::next_op {
    public:
        using detail::join_list::next_op::next_op;
        next_op(next_op&&) noexcept = default;
        std::optional<value_type> await_resume() { return result_of(this->take()); }
    };

    join_set() : join_set(false) {}

    /// Runs a task concurrently with the caller, as rt::spawn.
    void spawn(task<T> body, std::source_location where = std::source_location::current()) {
        auto* root =
            root_type::make(detail::executor_to_spawn_on(where), std::move(body), {}, where);
        root->consume();  // its failure is next()'s
        list_.at(where).add(*root);
        root->start();
    }
    /// A callable, as rt::spawn; with arguments: set.spawn(rt::call(f, a, b)).
    template <class F>
        requires detail::spawnable<F>
    void spawn(F f, std::source_location where = std::source_location::current()) {
        spawn(call(std::move(f)), where);
    }

    /// co_await set.next(): waits for the next task to end: its value, or what it threw; empty when
    /// there is no task left, and at once then: select over it while the set is not empty().
    ///
    /// A task that was stopped, by stop_all(), gives nothing. Resumes on the awaiting task's
    /// executor. A stop withdraws it; it may lose a select: the result stays in the set. One at a
    /// time.
    next_op next(std::source_location where = std::source_location::current()) noexcept {
        return {list_.at(where), where};
    }
    /// The same without waiting: empty when none has ended.
    std::optional<value_type> try_next(
        std::source_location where = std::source_location::current()) {
        return result_of(list_.at(where).take());
    }
    /// Requests the stop of all, and does not wait. Results that are there can still be taken.
    void stop_all(std::source_location where = std::source_location::current()) noexcept {
        list_.at(where).stop_all();
    }
    /// Tasks that have not ended, and results that were not taken.
    [[nodiscard]] std::size_t size(
        std::source_location where = std::source_location::current()) const noexcept {
        return list_.at(where).size();
    }
    [[nodiscard]] bool empty(
        std::source_location where = std::source_location::current()) const noexcept {
        return size(where) == 0;
    }

protected:
    explicit join_set(bool in_order) : list_(in_order) {}

private:
    static std::optional<value_type> result_of(task_state* task) {
        if (!task) return std::nullopt;
        detail::task_reference reference{task};
        auto& root = static_cast<root_type&>(*task);
        if constexpr (std::is_void_v<T>) {
            root.take();
            return std::monostate();
        } else {
            return root.take();
        }
    }
    detail::owned_list list_;
};

/// As join_set, but that the results come in the order in which their tasks were spawned.
template <class T = void>
class join_queue : public join_set<T> {
public:
    join_queue() : join_set<T>(true) {}
};

}  // namespace rt
