// Which workers of the stealing flavor sleep, and how many look for work.
//
// No wake-up is lost: who publishes an item (seq_cst) then reads searching_ and sleeping_
// (seq_cst); a worker that goes to sleep counts itself into sleeping_, then out of searching_
// (seq_cst), and then looks at every queue again. So in the total order of these operations one of
// the two sees the other. A searcher stands for all items that are published while it searches: it
// finds one, and if it was the last to search, it wakes the next (end_search). At most half of the
// workers search.
module;
#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <vector>
module rt.sched:sleepers;

namespace rt::detail {

class sleepers {
public:
    explicit sleepers(unsigned workers) : workers_(workers) { asleep_.reserve(workers); }

    /// After an item was published: whom to wake for it. It counts as searching from now on.
    [[nodiscard]] inline std::optional<unsigned> call_one() noexcept {
        if (searching_.load(std::memory_order_seq_cst) != 0 ||
            sleeping_.load(std::memory_order_seq_cst) == 0)
            return std::nullopt;
        std::lock_guard guard(mutex_);
        if (asleep_.empty()) return std::nullopt;
        auto called = asleep_.back();
        asleep_.pop_back();
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
        searching_.fetch_add(1, std::memory_order_seq_cst);
        return called;
    }

    // A worker of itself.
    [[nodiscard]] inline bool begin_search() noexcept {
        if (2 * searching_.load(std::memory_order_relaxed) >= workers_) return false;
        searching_.fetch_add(1, std::memory_order_seq_cst);
        return true;
    }
    /// True: it was the last one to search.
    inline bool end_search() noexcept {
        return searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;
    }
    /// Before it ends its search, and looks for the last time whether there is anything to do.
    void enter(unsigned worker) noexcept {
        std::lock_guard guard(mutex_);
        asleep_.push_back(worker);
        sleeping_.fetch_add(1, std::memory_order_seq_cst);
    }
    /// False: it had been called already, and counts as searching.
    [[nodiscard]] bool leave(unsigned worker) noexcept {
        std::lock_guard guard(mutex_);
        auto at = std::find(asleep_.begin(), asleep_.end(), worker);
        if (at == asleep_.end()) return false;
        asleep_.erase(at);
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
        return true;
    }

private:
    unsigned workers_;
    std::mutex mutex_;
    std::vector<unsigned> asleep_;  // guarded by mutex_
    std::atomic<unsigned> sleeping_{0}, searching_{0};
};

}  // namespace rt::detail
