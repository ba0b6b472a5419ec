module;
#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <source_location>
#include <utility>
module rt.task;

namespace rt::detail {

namespace {
// The link's hook knows only the link; its thread is this one.
thread_local bool* over_here = nullptr;
}  // namespace

waiting_thread::waiting_thread(std::source_location where) {
    if (current_identity() != nullptr)
        misuse(
            "sync_wait, or what blocks by it, inside a task would hold up its worker: co_await "
            "instead",
            where);
    identity_.spawned_at = where;
}

waiting_thread::~waiting_thread() = default;

void waiting_thread::post(work_item& item) noexcept {
    std::lock_guard guard(mutex_);
    item.next = nullptr;
    (first_ ? last_->next : first_) = &item;
    last_ = &item;
    // Under the lock: the waiter may be gone as soon as it has the item.
    posted_.notify_one();
}

void waiting_thread::run(child_link& link, promise_base& promise) noexcept {
    promise.env = &env_;
    link.hook = [](child_link&, child_link::ending) noexcept -> child_link::next_step {
        *over_here = true;
        return {nullptr, std::noop_coroutine()};
    };
    auto* before = std::exchange(over_here, &over_);
    run_turn(
        env_,
        [](void* link) noexcept -> std::coroutine_handle<> {
            return static_cast<child_link*>(link)->frame;
        },
        &link);
    while (!over_) {
        work_item* item;
        {
            std::unique_lock guard(mutex_);
            posted_.wait(guard, [this] { return first_ != nullptr; });
            item = std::exchange(first_, first_->next);
        }
        item->run(*item);
    }
    over_here = before;
}

}  // namespace rt::detail
