module;
#include <exception>
#include <mutex>
#include <system_error>
#include <utility>
module rt.task;

namespace rt::detail {

void group_state::add(task_state& task) noexcept {
    hold();
    std::lock_guard guard(lock_);
    task.next_sibling = first_;
    if (first_) first_->prev_sibling = &task;
    first_ = &task;
    if (stopping_) task.env.request_stop();
}

void group_state::task_ended(task_state& task) noexcept {
    if (!task.was_stopped()) {
        if (auto f = task.failure(); f.exception || f.error) fail(std::move(f.exception), f.error);
    }
    {
        std::lock_guard guard(lock_);
        if (task.prev_sibling) task.prev_sibling->next_sibling = task.next_sibling;
        if (task.next_sibling) task.next_sibling->prev_sibling = task.prev_sibling;
        if (first_ == &task) first_ = task.next_sibling;
    }
    drop_and_post();
}

void group_state::fail(std::exception_ptr exception, std::error_code error) noexcept {
    {
        std::lock_guard guard(lock_);
        if (failed_ || error_) return;
        failed_ = std::move(exception);
        error_ = error;
    }
    stop_all();
}

void group_state::stop_all() noexcept {
    hold();
    {
        // A task leaves the list before its header can go, so the list keeps all of them alive.
        std::lock_guard guard(lock_);
        stopping_ = true;
        for (auto* task = first_; task; task = task->next_sibling) task->env.request_stop();
    }
    stop_body();
    drop_and_post();
}

}  // namespace rt::detail
