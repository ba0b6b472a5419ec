module;
#include <atomic>
#include <cstddef>
#include <mutex>
#include <utility>
module rt.task;

namespace rt::detail {

void join_list::release() noexcept {
    // Acquire and release: whoever deletes it sees what the others did before they let go.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void join_list::add(task_state& task) noexcept {
    retain();
    task.membership()->parent = this;
    std::lock_guard guard(lock_);
    insert(task, nullptr);
}

void join_list::task_ended(task_state& task) noexcept {
    bool leaves;
    next_op* woken;
    {
        std::lock_guard guard(lock_);
        auto& place = member(task);
        place.ended = true;
        leaves = place.forgotten || task.was_stopped();
        if (leaves) {
            unlink(task);
        } else if (!in_order_) {
            unlink(task);
            insert(task, last_ended_ ? last_ended_->membership()->next : first_);
            last_ended_ = &task;
        }
        woken = wake();
    }
    if (leaves) drop(task);
    if (woken) woken->complete();
    release();
}

void join_list::forget(task_state& task) noexcept {
    bool has_ended;
    next_op* woken;
    {
        std::lock_guard guard(lock_);
        auto& place = member(task);
        has_ended = place.ended;
        if (has_ended) {
            unlink(task);
        } else {
            // It cannot leave the list, and its header cannot go, before the lock is free.
            place.forgotten = true;
            task.retain();
        }
        woken = wake();
    }
    if (has_ended) {
        drop(task);
    } else {
        task.env.request_stop();
        task.release();
    }
    if (woken) woken->complete();
}

void join_list::forget_all() noexcept {
    task_state* gone = nullptr;
    next_op* woken;
    {
        std::lock_guard guard(lock_);
        for (auto* task = first_; task;) {
            auto* next = task->membership()->next;
            if (member(*task).ended) {
                unlink(*task);
                task->membership()->next = std::exchange(gone, task);
            } else {
                member(*task).forgotten = true;
            }
            task = next;
        }
        woken = wake();
    }
    while (gone) drop(*std::exchange(gone, gone->membership()->next));
    stop_all();
    if (woken) woken->complete();
}

void join_list::stop_all() noexcept {
    stop_each([this](auto f) {
        std::lock_guard guard(lock_);
        for (auto* task = first_; task && (member(*task).ended || f(*task));)
            task = task->membership()->next;
    });
}

std::size_t join_list::size() noexcept {
    std::lock_guard guard(lock_);
    return size_;
}

bool join_list::ready() noexcept {
    std::lock_guard guard(lock_);
    return is_ready();
}

task_state* join_list::take() noexcept {
    std::lock_guard guard(lock_);
    return is_ready() ? pop() : nullptr;
}

/// Under no lock: it may run the destructor of a result.
void join_list::drop(task_state& task) noexcept {
    task.report_failure();
    task.release();
}

/// Null: at the end.
void join_list::insert(task_state& task, task_state* before) noexcept {
    auto& place = *task.membership();
    place.next = before;
    place.prev = before ? before->membership()->prev : last_;
    (place.prev ? place.prev->membership()->next : first_) = &task;
    (before ? before->membership()->prev : last_) = &task;
    ++size_;
}

void join_list::unlink(task_state& task) noexcept {
    auto& place = *task.membership();
    (place.prev ? place.prev->membership()->next : first_) = place.next;
    (place.next ? place.next->membership()->prev : last_) = place.prev;
    if (last_ended_ == &task) last_ended_ = place.prev;
    --size_;
}

bool join_list::is_ready() const noexcept { return !first_ || member(*first_).ended; }

/// Of a list that is ready.
task_state* join_list::pop() noexcept {
    auto* task = first_;
    if (task) unlink(*task);
    return task;
}

/// Whom to complete when the lock is free.
join_list::next_op* join_list::wake() noexcept {
    if (!waiting_ || !is_ready() || !waiting_->claim_to_try()) return nullptr;
    // In a select it waits on, and is tried; by itself it begins anew.
    if (waiting_->selected()) return waiting_;
    waiting_->retry_on_wake();
    return std::exchange(waiting_, nullptr);
}

bool join_list::next_op::try_now() noexcept { return list_->ready(); }

bool join_list::next_op::enlist() noexcept {
    std::lock_guard guard(list_->lock_);
    if (list_->is_ready()) return true;
    if (list_->waiting_) misuse("two next() of one join_set at once", waits_at(where_));
    list_->waiting_ = this;
    return false;
}

bool join_list::next_op::delist() noexcept {
    std::lock_guard guard(list_->lock_);
    if (list_->waiting_ != this) return false;
    list_->waiting_ = nullptr;
    return true;
}

task_state* join_list::next_op::take() noexcept {
    std::lock_guard guard(list_->lock_);
    if (!list_->is_ready())
        misuse("what a next() of a join_set had won was taken or stopped before", waits_at(where_));
    return list_->pop();
}

}  // namespace rt::detail
