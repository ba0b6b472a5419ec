// What other threads send to one worker, and whether it sleeps.
//
// No wake-up is lost: a sender pushes (seq_cst) and then takes the mark of sleep away (seq_cst);
// the owner sets the mark (seq_cst) and then looks at its mail again (seq_cst). So in the total
// order of these operations one of the two sees the other: the owner its mail, or the sender the
// mark, and then it wakes. The mail is a stack: whoever takes all of it turns it round.
module;
#include <atomic>
#include <utility>
module rt.sched:mailbox;
import rt.task;
import :queue;

namespace rt::detail {

class mailbox {
public:
    // Any thread.
    /// True: the owner sleeps, or is about to: wake it.
    [[nodiscard]] inline bool send(work_item& item) noexcept {
        auto* seen = mail_.load(std::memory_order_relaxed);
        do {
            item.next = seen;
        } while (!mail_.compare_exchange_weak(seen, &item, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
        return disturb();
    }
    /// The same without mail. Of several only one is told to wake it.
    [[nodiscard]] inline bool disturb() noexcept {
        return asleep_.exchange(false, std::memory_order_seq_cst);
    }

    // The owner.
    /// What has come, oldest first.
    inline item_list take() noexcept {
        item_list all;
        if (mail_.load(std::memory_order_relaxed) == nullptr) return all;
        auto* newest = mail_.exchange(nullptr, std::memory_order_acquire);
        all.last = newest;
        while (newest) {
            auto* older = std::exchange(newest->next, all.first);
            all.first = std::exchange(newest, older);
        }
        return all;
    }
    /// Before it looks for the last time whether there is anything to do.
    inline void go_to_sleep() noexcept { asleep_.store(true, std::memory_order_seq_cst); }
    [[nodiscard]] inline bool empty() const noexcept {
        return mail_.load(std::memory_order_seq_cst) == nullptr;
    }
    inline void get_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }

private:
    std::atomic<work_item*> mail_{nullptr};
    std::atomic<bool> asleep_{false};
};

}  // namespace rt::detail
