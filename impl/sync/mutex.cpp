module;
#include <mutex>
#include <source_location>
#include <utility>
module rt.sync;

namespace rt {

mutex::~mutex() {
    // Who waits for it tells more than that it is locked, as it is then.
    if (!waiting_.empty())
        misuse("a mutex is destroyed while a task waits for it", waiting_.first()->waits_at());
    if (held_) misuse("a mutex is destroyed while it is locked", {});
}

bool mutex::take_or_wait(detail::lock_op& op) noexcept {
    std::lock_guard guard(lock_);
    // Free although somebody is linked: then nobody of those could be claimed, so it may be taken.
    if (!held_) return held_ = op.granted_ = true;
    waiting_.push(op);
    return false;
}

bool mutex::forget(detail::lock_op& op) noexcept {
    std::lock_guard guard(lock_);
    return waiting_.remove(op);
}

void mutex::pass_on() noexcept {
    detail::arm* next = nullptr;
    {
        std::lock_guard guard(lock_);
        next = waiting_.claim_first();
        if (next != nullptr) {
            static_cast<detail::lock_op&>(*next).granted_ = true;
        } else {
            held_ = false;
        }
    }
    if (next != nullptr) next->complete();
}

}  // namespace rt
