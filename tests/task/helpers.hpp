// What the tests of tasks have in common: marks that tell when they die, and waiting without time.
#pragma once
#include "support/run.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

/// The names of the marks that died, in order. Any thread.
class journal {
public:
    void add(std::string line) {
        std::lock_guard guard(mutex_);
        lines_.push_back(std::move(line));
    }
    std::vector<std::string> lines() const {
        std::lock_guard guard(mutex_);
        return lines_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

/// Writes its name into a journal when it goes.
class mark {
public:
    mark(journal& log, std::string name) : log_(&log), name_(std::move(name)) {}
    mark(mark&& other) noexcept
        : log_(std::exchange(other.log_, nullptr)), name_(std::move(other.name_)) {}
    ~mark() {
        if (log_) log_->add(name_);
    }

private:
    journal* log_;
    std::string name_;
};

/// Gives way until the flag is set.
inline rt::task<> until(std::atomic<bool>& flag) {
    while (!flag.load(std::memory_order_acquire)) co_await rt::yield_now();
}
/// Gives way until n has reached the count.
inline rt::task<> until_at_least(std::atomic<int>& n, int count) {
    while (n.load(std::memory_order_acquire) < count) co_await rt::yield_now();
}
inline rt::task<> yields(int n) {
    for (int i = 0; i < n; ++i) co_await rt::yield_now();
}
/// Waits for what will not come.
inline rt::task<> forever() { co_await rt::sleep(24h); }

/// Lets every item that is ready now, and what it makes ready, have its turn.
inline rt::task<> settle_down() { co_await yields(50); }

struct boom {
    int value = 0;
};
