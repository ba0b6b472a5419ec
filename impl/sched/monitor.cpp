module;
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>
module rt.sched;
import rt.task;
import :monitor;
import :threads;
import :worker;

namespace rt::detail {

namespace {
constexpr auto between_looks = std::chrono::milliseconds(10);
constexpr auto between_helps = std::chrono::milliseconds(1);
constexpr int looks_before_sleep = 20;
}  // namespace

monitor::monitor(std::vector<worker*> workers, duties what)
    : what_(std::move(what)), dumps_(times_signalled(what_.signal)) {
    for (auto* w : workers) workers_.push_back({w, {}, {}});
}

void monitor::start(std::string name) {
    thread_ = std::thread([this, name = std::move(name)] {
        name_this_thread(name);
        run();
    });
}

void monitor::stop() noexcept {
    if (!thread_.joinable()) return;
    {
        std::lock_guard guard(mutex_);
        over_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void monitor::wake() noexcept {
    {
        std::lock_guard guard(mutex_);
        asleep_.store(false, std::memory_order_relaxed);
    }
    changed_.notify_one();
}

void monitor::run() noexcept {
    std::chrono::milliseconds longest = std::chrono::hours(1);
    if (what_.signal != 0) longest = std::chrono::milliseconds(100);
    int quiet = 0;
    std::unique_lock guard(mutex_);
    while (!over_) {
        guard.unlock();
        bool stalled = false;
        dump_if_asked();
        quiet = look(clock::now(), stalled) ? 0 : quiet + 1;
        guard.lock();
        if (quiet >= looks_before_sleep) {
            asleep_.store(true, std::memory_order_seq_cst);
            auto up = [this] { return over_ || !asleep_.load(std::memory_order_relaxed); };
            bool woken = anybody_up() || changed_.wait_for(guard, longest, up);
            asleep_.store(false, std::memory_order_relaxed);
            quiet = woken ? 0 : looks_before_sleep - 1;
        }
        changed_.wait_for(guard, stalled ? between_helps : between_looks, [this] { return over_; });
    }
}

void monitor::dump_if_asked() noexcept {
    auto asked = times_signalled(what_.signal);
    if (std::exchange(dumps_, asked) != asked) what_.dump();
}

bool monitor::anybody_up() const noexcept {
    return std::any_of(workers_.begin(), workers_.end(), [](auto& w) { return w.who->up(); });
}

/// True: an item is under way.
bool monitor::look(clock::time_point now, bool& stalled) noexcept {
    bool moved = false;
    for (auto& w : workers_) {
        auto item = w.who->item_under_way();
        moved |= item.has_value();
        if (!item || item != w.item) {
            w.item = item;
            w.since = now;
            w.reported = false;
            continue;
        }
        auto lasted = now - w.since;
        if (what_.helps && lasted >= between_looks) {
            stalled = true;
            w.who->help();
        }
        if (what_.stalled && lasted >= what_.threshold && !std::exchange(w.reported, true))
            what_.stalled(w.who->index(), w.who->running(), lasted);
    }
    return moved;
}

}  // namespace rt::detail
