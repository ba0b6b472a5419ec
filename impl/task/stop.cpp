module;
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
module rt.task;

namespace rt {
namespace detail {

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
    if (!parent_) return;
    if (parent_->add(*this)) {
        parent_->keep();
    } else {
        parent_ = nullptr;
        child.request();
    }
}

stop_link::~stop_link() {
    if (!parent_) return;
    parent_->remove(*this);
    parent_->let_go();
}

}  // namespace detail

// --- The token of a scope. Most scopes have none, so their lists stand beside them.

namespace detail {
namespace {

/// Its owners: the scope, and the tokens.
class scope_stop_list final : public stop_list {
public:
    scope_stop_list() noexcept : stop_list(true) {}
    std::atomic<unsigned> owners{1};
};

struct shelf {
    std::mutex mutex;
    std::unordered_map<const environment*, scope_stop_list*> lists;  // guarded by mutex
};
shelf& shelf_of(const environment& scope) noexcept {
    static auto* const shelves = new shelf[64];  // kept: a task may end after main() has
    auto at = reinterpret_cast<std::uintptr_t>(&scope);
    return shelves[((at >> 6) ^ (at >> 12)) % 64];
}

}  // namespace

void stop_list::keep_shared() noexcept {
    static_cast<scope_stop_list*>(this)->owners.fetch_add(1, std::memory_order_relaxed);
}
void stop_list::let_go_shared() noexcept {
    auto* self = static_cast<scope_stop_list*>(this);
    if (self->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete self;
}

}  // namespace detail

detail::stop_list& environment::listeners() {
    auto& s = detail::shelf_of(*this);
    if (state_.load(std::memory_order_relaxed) & listened) {
        std::lock_guard guard(s.mutex);
        return *s.lists.find(this)->second;
    }
    auto made = std::make_unique<detail::scope_stop_list>();
    auto& list = *made;
    {
        std::lock_guard guard(s.mutex);
        s.lists.emplace(this, made.get());
        (void)made.release();
    }
    // Either this sees the stop, or who sets it sees this.
    if (state_.fetch_or(listened, std::memory_order_acq_rel) & stop) (void)list.request();
    return list;
}

void environment::forget_listeners() noexcept {
    auto& s = detail::shelf_of(*this);
    detail::scope_stop_list* gone;
    {
        std::lock_guard guard(s.mutex);
        auto at = s.lists.find(this);
        gone = at->second;
        s.lists.erase(at);
    }
    gone->let_go();
}

stop_token this_task::stop_token() {
    auto* scope = detail::current_scope();
    return scope ? rt::stop_token(&scope->listeners()) : rt::stop_token();
}

}  // namespace rt
