// Who may take what: a request is served when all those before it have been, or cannot be claimed.
// One that cannot be claimed belongs to a select which has another winner, and will take it off
// the list, or which is trying, and then looks again. Either looks at what is left: leaving the
// list serves those behind.
module;
#include <algorithm>
#include <cstddef>
#include <mutex>
#include <optional>
#include <source_location>
#include <system_error>
#include <utility>
module rt.sync;

namespace rt {

namespace {
detail::acquire_op& request(detail::arm& a) noexcept { return static_cast<detail::acquire_op&>(a); }
}  // namespace

semaphore::semaphore(std::size_t permits, std::source_location where) : available_(permits) {
    if (permits > max()) misuse("a semaphore with more than semaphore::max() permits", where);
}

semaphore::~semaphore() {
    if (!waiting_.empty())
        misuse("a semaphore is destroyed while a task waits for it", waiting_.first()->waits_at());
}

/// So many are there, and nobody who came before waits for more than there are.
bool semaphore::reachable(const detail::acquire_op& op) const noexcept {
    for (auto* a = waiting_.first(); a != nullptr && a != &op; a = a->next_arm) {
        if (request(*a).count_ > available_) return false;
    }
    return op.count_ <= available_;
}

bool semaphore::take_locked(detail::acquire_op& op) noexcept {
    if (closed_) return op.refused_ = true;
    if (op.count_ != 0 && !reachable(op)) return false;
    available_ -= op.count_;
    return op.granted_ = true;
}

bool semaphore::take(detail::acquire_op& op) noexcept {
    std::lock_guard guard(lock_);
    return take_locked(op);
}

bool semaphore::take_or_wait(detail::acquire_op& op) noexcept {
    if (op.count_ > max())
        misuse("more permits are asked for than a semaphore can have", op.where_);
    std::lock_guard guard(lock_);
    if (take_locked(op)) return true;
    waiting_.push(op);
    return false;
}

bool semaphore::forget_request(detail::acquire_op& op) noexcept {
    detail::claimed_arms granted;
    bool waited;
    {
        std::lock_guard guard(lock_);
        waited = waiting_.remove(op);
        if (waited) serve(granted);
    }
    granted.complete();
    return waited;
}

void semaphore::serve(detail::claimed_arms& granted) noexcept {
    for (auto* a = waiting_.first(); a != nullptr && request(*a).count_ <= available_;) {
        auto& next = request(*std::exchange(a, a->next_arm));
        if (!next.claim()) continue;
        waiting_.remove(next);
        available_ -= next.count_;
        next.granted_ = true;
        granted.add(next);
    }
}

result<semaphore_permit> semaphore::try_acquire(std::size_t n) noexcept {
    detail::acquire_op request(*this, n, std::source_location());
    if (!take(request)) return std::make_error_code(std::errc::operation_would_block);
    return request.await_resume();
}

void semaphore::release(std::size_t n, std::source_location where) noexcept {
    detail::claimed_arms granted;
    {
        std::lock_guard guard(lock_);
        if (n > max() - available_)
            misuse("a semaphore gets more than semaphore::max() permits", where);
        available_ += n;
        serve(granted);
    }
    granted.complete();
}

std::size_t semaphore::forget(std::size_t n) noexcept {
    std::lock_guard guard(lock_);
    n = std::min(n, available_);
    available_ -= n;
    return n;
}

void semaphore::close() noexcept {
    detail::claimed_arms refused;
    {
        std::lock_guard guard(lock_);
        closed_ = true;
        while (auto* a = waiting_.claim_first()) {
            request(*a).refused_ = true;
            refused.add(*a);
        }
    }
    refused.complete();
}

bool semaphore::is_closed() const noexcept {
    std::lock_guard guard(lock_);
    return closed_;
}

std::size_t semaphore::available() const noexcept {
    std::lock_guard guard(lock_);
    return available_;
}

void semaphore_permit::merge(semaphore_permit&& other, std::source_location where) noexcept {
    if (other.semaphore_ == nullptr) return;
    if (semaphore_ == nullptr) semaphore_ = other.semaphore_;
    if (semaphore_ != other.semaphore_) misuse("permits of two semaphores are merged", where);
    count_ += std::exchange(other.count_, 0);
}

std::optional<semaphore_permit> semaphore_permit::split(std::size_t n) noexcept {
    if (n > count_) return std::nullopt;
    count_ -= n;
    semaphore_permit part;
    part.semaphore_ = semaphore_;
    part.count_ = n;
    return part;
}

}  // namespace rt
