module;
#include <exception>
#include <mutex>
#include <system_error>
#include <utility>
module rt.task;

namespace rt::detail {

executor& group_state::executor_to_spawn_on() const noexcept {
    auto* here = current_executor();
    if (here == exec_) return *exec_;
    // Two workers belong to one runtime if they know the same first worker.
    return here && &here->on_worker(0) == &exec_->on_worker(0) ? *here : *exec_;
}

void group_state::add(task_state& task) noexcept {
    hold();
    std::lock_guard guard(lock_);
    task.membership()->next = first_;
    if (first_) first_->membership()->prev = &task;
    first_ = &task;
    if (stopping_) task.env.request_stop();
}

void group_state::take_failure(task_state& task) noexcept {
    if (task.was_stopped() || !task.consumed() || !task.failed()) return;
    if (auto exception = task.take_exception()) {
        fail(std::move(exception), {});
    } else {
        fail(nullptr, task.failure().error);
    }
}

void group_state::task_ended(task_state& task) noexcept {
    // All of it ends before the group does: its value may borrow from the group's scope.
    take_failure(task);
    task.drop_outcome();
    {
        std::lock_guard guard(lock_);
        auto& member = *task.membership();
        if (member.prev) member.prev->membership()->next = member.next;
        if (member.next) member.next->membership()->prev = member.prev;
        if (first_ == &task) first_ = member.next;
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
    if (!hold_unless_over()) return;
    bool stops_already;
    {
        std::lock_guard guard(lock_);
        stops_already = std::exchange(stopping_, true);
    }
    if (!stops_already) {
        stop_each([this](auto f) {
            // A task leaves the list before its header can go, so the list keeps them alive.
            std::lock_guard guard(lock_);
            for (auto* task = first_; task && f(*task);) task = task->membership()->next;
        });
    }
    stop_body();
    drop_and_post();
}

}  // namespace rt::detail
