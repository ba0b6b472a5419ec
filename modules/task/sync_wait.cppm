// Waiting on a plain thread: for programs that have threads of their own beside the runtime's.
module;
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <type_traits>
#include <utility>
export module rt.task:sync_wait;
import :coroutine;
import :executor;
import :misuse;
import :operation;

export namespace rt {

namespace detail {

/// Runs one task, and what it waits for, on a thread that stands still meanwhile.
class waiting_thread final : public executor {
public:
    /// Misuse inside a task: it would hold up its worker.
    explicit waiting_thread(std::source_location where);
    waiting_thread(const waiting_thread&) = delete;
    waiting_thread& operator=(const waiting_thread&) = delete;
    ~waiting_thread();

    /// Until the link's frame has ended.
    void run(child_link& link, promise_base& promise) noexcept;

    void post(work_item& item) noexcept override;
    void post_later(work_item& item) noexcept override { post(item); }
    [[nodiscard]] unsigned worker_count() const noexcept override { return 1; }
    executor& on_worker(unsigned) noexcept override { return *this; }
    timer_service* timers() noexcept override { return nullptr; }
    io_service* io() noexcept override { return nullptr; }
    blocking_service* blocking() noexcept override { return nullptr; }
    std::uint64_t random() noexcept override { return random_ += 0x9e3779b97f4a7c15; }
    adoption adopt(task_state&) noexcept override { return adoption::ended; }
    void abandon(task_state&) noexcept override {}
    void unhandled(const unhandled_failure&) noexcept override {}

private:
    task_identity identity_;
    environment env_{*this, identity_};
    bool over_ = false;  // this thread's
    std::uint64_t random_ = 0;
    std::mutex mutex_;
    std::condition_variable posted_;
    work_item* first_ = nullptr;  // guarded by mutex_
    work_item* last_ = nullptr;   // guarded by mutex_
};

}  // namespace detail

/// Runs a task on this thread, which stands still until it has ended: its value, or what it threw.
///
/// For threads that are not the runtime's, to use channels, locks and joins with tasks. There are
/// no timers and no sockets here (misuse): for those, runtime.block_on. Inside a task it is misuse.
template <class T>
T sync_wait(task<T> body, std::source_location where = std::source_location::current()) {
    detail::waiting_thread here(where);
    detail::typed_link<T> link;
    auto frame = body.release();
    if (!frame) misuse("a task that was moved from is waited for", where);
    link.frame = frame;
    frame.promise().owner = &link;
    here.run(link, frame.promise());
    return link.take();
}

/// The same for an operation: rt::sync_wait(tx.send(value)).
template <class Op>
    requires(!is_task<std::remove_cvref_t<Op>>)
await_result_t<Op> sync_wait(Op&& op,
                             std::source_location where = std::source_location::current()) {
    auto body = [](std::remove_cvref_t<Op> op) -> task<await_result_t<Op>> {
        co_return co_await std::move(op);
    };
    return sync_wait(body(std::forward<Op>(op)), where);
}

}  // namespace rt
