module;
#include <mutex>
#include <thread>
#include <utility>
module rt.task;

namespace rt::detail {

bool stop_list::request() noexcept {
    std::unique_lock guard(lock_);
    // Release: pairs with the acquire in requested().
    if (requested_.exchange(true, std::memory_order_acq_rel)) return false;
    runner_ = std::this_thread::get_id();
    while (auto* callback = first_) {
        first_ = callback->next_;
        if (first_) first_->prev_ = nullptr;
        callback->listed_ = false;
        bool gone = false;
        callback->gone_ = &gone;
        running_ = callback;
        guard.unlock();
        callback->call_(*callback);
        guard.lock();
        running_ = nullptr;
        if (!gone) callback->gone_ = nullptr;
    }
    return true;
}

bool stop_list::add(stop_callback_base& callback) noexcept {
    std::lock_guard guard(lock_);
    if (requested_.load(std::memory_order_relaxed)) return false;
    callback.next_ = first_;
    if (first_) first_->prev_ = &callback;
    first_ = &callback;
    callback.listed_ = true;
    return true;
}

void stop_list::remove(stop_callback_base& callback) noexcept {
    std::unique_lock guard(lock_);
    if (callback.listed_) {
        if (callback.prev_) callback.prev_->next_ = callback.next_;
        if (callback.next_) callback.next_->prev_ = callback.prev_;
        if (first_ == &callback) first_ = callback.next_;
        return;
    }
    if (running_ != &callback) return;
    if (runner_ == std::this_thread::get_id()) {
        *callback.gone_ = true;
        return;
    }
    while (running_ == &callback) {  // it runs on another thread: its destructor waits for it
        guard.unlock();
        std::this_thread::yield();
        guard.lock();
    }
}

stop_link::stop_link(stop_list* parent, stop_list& child) noexcept
    : stop_callback_base([](stop_callback_base& self) noexcept {
          static_cast<stop_link&>(self).child_->request();
      }),
      parent_(parent),
      child_(&child) {
    if (!parent_ || parent_->add(*this)) return;
    parent_ = nullptr;
    child.request();
}

stop_link::~stop_link() {
    if (parent_) parent_->remove(*this);
}

}  // namespace rt::detail
