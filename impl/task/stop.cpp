module;
#include <atomic>
#include <cstdint>
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

// --- The token of a scope. Most scopes have none, so their lists stand beside them.

namespace rt {

namespace {
struct listeners_of {
    const environment* scope;
    listeners_of* next;
    detail::stop_list list;
};
struct shelf {
    detail::spin_lock lock;  // guards first, and the links; not the lists
    listeners_of* first = nullptr;
};
shelf shelves[64];

shelf& shelf_of(const environment& scope) noexcept {
    auto at = reinterpret_cast<std::uintptr_t>(&scope);
    return shelves[((at >> 6) ^ (at >> 12)) % 64];
}
}  // namespace

detail::stop_list& environment::listeners() {
    auto& s = shelf_of(*this);
    if (state_.load(std::memory_order_relaxed) & listened) {
        std::lock_guard guard(s.lock);
        auto* found = s.first;
        while (found->scope != this) found = found->next;
        return found->list;
    }
    auto* made = new listeners_of{this, nullptr, {}};
    {
        std::lock_guard guard(s.lock);
        made->next = std::exchange(s.first, made);
    }
    // Either this sees the stop, or who sets it sees this.
    if (state_.fetch_or(listened, std::memory_order_acq_rel) & stop) (void)made->list.request();
    return made->list;
}

void environment::forget_listeners() noexcept {
    auto& s = shelf_of(*this);
    listeners_of* gone;
    {
        std::lock_guard guard(s.lock);
        auto** at = &s.first;
        while ((*at)->scope != this) at = &(*at)->next;
        gone = std::exchange(*at, (*at)->next);
    }
    delete gone;
}

rt::stop_token this_task::stop_token() {
    auto* scope = detail::current_scope();
    return scope ? rt::stop_token(&scope->listeners()) : rt::stop_token();
}

}  // namespace rt
