// The header of a spawned task. It is counted (one for the running task, one for its handle) and
// outlives the frame. When the coroutine ends its frame, parameters included, is destroyed first;
// then the header takes the task off its runtime's list, tells its group, and completes whoever
// joins it.
//
// The word of the header (task_state::state_) holds the arm that joins, and two bits:
//   ended     the outcome is in place; set by the task, once
//   dropped   the handle went without having learned the outcome; set once
// Whoever sets the second of the two reports a failure, so that exactly one does. An arm enters and
// leaves by compare-exchange while the task has not ended. One that stands beside `ended` is in the
// hands of the task's end, which claims it, then takes it out of the word (release), and only then
// completes it: a select that withdraws its join waits for that (acquire), and is never touched
// afterwards. Setting `ended` is a release, and every look at it an acquire: the outcome is seen.
module;
#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:header;
import :coroutine;
import :executor;
import :frame;
import :leaf;
import :misuse;
import :operation;

export namespace rt {

class task_state;

namespace detail {
/// Whom a task tells of its end, where that is not its handle: a group, a join_set.
class task_parent {
public:
    /// The last word of a task: its outcome is in place. Its reference to the header goes after
    /// this.
    virtual void task_ended(task_state& task) noexcept = 0;

protected:
    ~task_parent() = default;
};
/// A task's place with its parent.
struct task_member {
    task_parent* parent = nullptr;
    task_state* prev = nullptr;  // the parent's list; guarded by its lock
    task_state* next = nullptr;
};
struct no_parent {};
}  // namespace detail

/// The header of a spawned task. For executors and groups; users hold a join_handle.
class task_state : public work_item {
public:
    environment env;
    detail::task_identity identity;

    task_state* prev_task = nullptr;  // the runtime's list of live tasks; guarded by its lock
    task_state* next_task = nullptr;
    unsigned shard = 0;

    /// The task whose first turn a posted item is; null: it is something else.
    [[nodiscard]] inline static task_state* posted(work_item& item) noexcept {
        return item.run == &run_first ? static_cast<task_state*>(&item) : nullptr;
    }
    /// Makes the task known to its runtime and runs it.
    void start() noexcept;
    inline void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept;
    /// Before it runs: nobody has a handle of it.
    inline void has_no_handle() noexcept { references_.store(1, std::memory_order_relaxed); }
    [[nodiscard]] inline bool ended() const noexcept {
        return (state_.load(std::memory_order_acquire) & ended_bit) != 0;
    }
    [[nodiscard]] inline bool was_stopped() const noexcept { return stopped_; }
    /// The exception or error value that it ended with. After it has ended.
    [[nodiscard]] virtual unhandled_failure failure() const noexcept = 0;
    [[nodiscard]] virtual bool failed() const noexcept = 0;
    /// For who passes it on to another thread: an exception has one owner at a time.
    virtual std::exception_ptr take_exception() noexcept = 0;
    /// Destroys the outcome. What that throws is contained and reported, and others go on.
    virtual void drop_outcome() noexcept = 0;
    /// Null: it is in no group and no join_set.
    virtual detail::task_member* membership() noexcept { return nullptr; }

    inline bool try_join() noexcept { return ended(); }
    bool enlist(detail::arm& joiner, std::source_location where) noexcept;
    bool delist(detail::arm& joiner) noexcept;
    /// The handle goes without having learned the outcome.
    void dropped() noexcept;
    /// It has ended, and nobody will take its outcome: a failure goes to on_unhandled.
    void report_failure() noexcept;
    inline void consume() noexcept { consumed_ = true; }
    [[nodiscard]] inline bool consumed() const noexcept { return consumed_; }

protected:
    task_state(executor& exec, std::string&& name, std::source_location where);
    virtual ~task_state() = default;
    virtual void destroy() noexcept = 0;
    virtual detail::child_link& link() noexcept = 0;
    void on_end(bool stopped) noexcept;
    /// Tells the runtime of this thread; without one, stderr.
    static void report(const unhandled_failure& f) noexcept;

private:
    static void run_first(work_item& item) noexcept;
    void give_name(std::string&& name);
    void tell_failure(executor& exec) noexcept;

    static constexpr std::uintptr_t ended_bit = 1, dropped_bit = 2, bits = 3;
    [[nodiscard]] inline static detail::arm* arm_in(std::uintptr_t word) noexcept {
        return reinterpret_cast<detail::arm*>(word & ~bits);
    }
    std::atomic<std::uintptr_t> state_{0};
    std::atomic<std::uint32_t> references_{2};
    bool stopped_ = false;
    bool consumed_ = false;
};

namespace detail {

/// Stops tasks of a list, and holds none of its locks while it does: what listens for a stop is the
/// user's, and may come back to the list. each(f) locks and calls f(task) for the tasks of the
/// list, up to the first false.
template <class Each>
void stop_each(Each each) noexcept {
    std::array<task_state*, 64> few;
    std::vector<task_state*> many;
    std::span<task_state*> kept(few);
    for (bool more = true; more;) {
        std::size_t n = 0;
        more = false;
        each([&](task_state& task) {
            if (task.env.stop_requested()) return true;
            more = n == kept.size();
            if (more) return false;
            task.retain();
            kept[n++] = &task;
            return true;
        });
        for (auto* task : kept.first(n)) {
            task->env.request_stop();
            task->release();
        }
        if (!more) return;
        try {
            many.resize(4 * kept.size());
            kept = many;
        } catch (const std::bad_alloc&) {  // then in as many rounds as it takes
        }
    }
}

/// Member is a task_member for tasks that have a parent, and takes no room otherwise.
template <class T, class Member = no_parent>
class task_root final : public task_state, public typed_link<T>, public Member {
public:
    static task_root* make(executor& exec, task<T>&& body, std::string&& name,
                           std::source_location where, Member member = {}) {
        auto frame = body.release();
        if (!frame) misuse("a task that was moved from is spawned", where);
        auto* memory = frame_allocate(sizeof(task_root), counted_as::task);
        auto* root = ::new (memory) task_root(exec, std::move(name), where, std::move(member));
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

    [[nodiscard]] bool failed() const noexcept override {
        return this->outcome.index() == 2 || this->error();
    }
    std::exception_ptr take_exception() noexcept override {
        auto* e = std::get_if<2>(&this->outcome);
        return e ? std::exchange(*e, nullptr) : nullptr;
    }

private:
    task_root(executor& exec, std::string&& name, std::source_location where, Member member)
        : task_state(exec, std::move(name), where), Member(std::move(member)) {
        this->hook = [](child_link& link,
                        child_link::ending how) noexcept -> child_link::next_step {
            static_cast<task_root&>(link).on_end(how == child_link::ending::stopped);
            return {nullptr, std::noop_coroutine()};
        };
    }
    ~task_root() noexcept override {}  // what T's may throw, destroy() has dealt with
    void destroy() noexcept override {
        drop_outcome();
        this->~task_root();
        frame_release(this, sizeof(task_root), counted_as::task);
    }
    void drop_outcome() noexcept override {
        if constexpr (std::is_trivially_destructible_v<typename typed_link<T>::value_type>) {
            if (this->outcome.index() < 2) [[likely]]
                return;
        }
        // A result's destructor may ask for the task's id.
        auto* before = exchange_identity(&this->identity);
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
        exchange_identity(before == &this->identity ? nullptr : before);
    }
    child_link& link() noexcept override { return *this; }
    task_member* membership() noexcept override {
        if constexpr (std::is_base_of_v<task_member, Member>) {
            return this;
        } else {
            return nullptr;
        }
    }
};

}  // namespace detail

}  // namespace rt
