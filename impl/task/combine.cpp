module;
#include <atomic>
#include <utility>
module rt.task;

namespace rt::detail {

strand::strand(combinator& owner) noexcept : owner_(&owner), inbox_(&idle_) {
    now_.self = this;
    now_.run = [](work_item& item) noexcept { static_cast<turn&>(item).self->drain(); };
    afterwards_.self = this;
    afterwards_.run = [](work_item& item) noexcept {
        // What gave way goes to the end of the line now. Release: pairs with the exchange in
        // post_later(), which may post this turn once more while a child runs elsewhere: its node
        // is out of the queue's hands.
        auto& self = *static_cast<turn&>(item).self;
        auto* items = self.later_.exchange(nullptr, std::memory_order_acq_rel);
        while (items) {
            auto* next = items->next;
            self.post(*items);
            items = next;
        }
        self.owner_->drop_and_post();
    };
}

/// True: the strand was idle, and the caller has to get it going.
bool strand::push(work_item& item) noexcept {
    auto* seen = inbox_.load(std::memory_order_relaxed);
    do {
        item.next = seen == &idle_ ? nullptr : seen;
        // Release: pairs with the acquire in drain().
    } while (!inbox_.compare_exchange_weak(seen, &item, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
    return seen == &idle_;
}

void strand::post(work_item& item) noexcept {
    // The item belongs to a child that has not ended and cannot run before the strand does: both
    // are alive.
    if (!push(item)) return;
    owner_->hold();
    up_->post(now_);
}

void strand::post_later(work_item& item) noexcept {
    auto* seen = later_.load(std::memory_order_relaxed);
    do {
        item.next = seen;
    } while (!later_.compare_exchange_weak(seen, &item, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
    if (seen) return;
    owner_->hold();
    up_->post_later(afterwards_);
}

void strand::drain() noexcept {
    auto* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
    work_item* oldest = nullptr;
    while (newest) {
        auto* next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        auto* item = std::exchange(oldest, oldest->next);
        item->run(*item);
    }
    retire();
}

void strand::retire() noexcept {
    work_item* empty = nullptr;
    if (inbox_.compare_exchange_strong(empty, &idle_, std::memory_order_acq_rel)) {
        owner_->drop_and_post();
    } else {
        up_->post(now_);  // others had their turn between
    }
}

bool combinator::hold_unless_over() noexcept {
    auto seen = count_.load(std::memory_order_relaxed);
    while (seen != 0) {
        if (count_.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return true;
    }
    return false;
}

void strand::enter() noexcept {
    inbox_.store(nullptr, std::memory_order_relaxed);  // no child has run yet: nobody else sees it
    owner_->hold();
}

void strand::leave() noexcept { retire(); }

}  // namespace rt::detail
