// What makes a race random: dice, an arm of a select that only disturbs, and a thread from outside.
#pragma once
#include "support/dice.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <semaphore>
#include <source_location>
#include <thread>
#include <utility>
import rt;

namespace race {

inline void spin(unsigned turns) {
    for (std::atomic<unsigned> i = 0; i < turns;) ++i;
}

/// An arm that is never ready, and makes noise.
class rattle {
public:
    class op : public rt::detail::leaf_op<op> {
    public:
        using lossless = void;
        explicit op(rattle& owner) : owner_(&owner) {}
        op(op&&) noexcept = default;
        bool try_now() {
            owner_->make_noise();
            return false;
        }
        bool enlist() {
            {
                std::lock_guard guard(owner_->mutex_);
                owner_->waiting_ = this;
            }
            owner_->make_noise();
            return false;
        }
        bool delist() {
            std::lock_guard guard(owner_->mutex_);
            return std::exchange(owner_->waiting_, nullptr) == this;
        }
        void await_resume() const {}
        const char* what() const noexcept { return "a rattle"; }
        std::source_location where() const noexcept { return {}; }

    private:
        rattle* owner_;
    };

    op wait() { return op(*this); }
    /// Wakes the select for nothing. Any thread.
    void shake() {
        op* woken = nullptr;
        {
            std::lock_guard guard(mutex_);
            if (waiting_ && waiting_->claim_to_try()) woken = waiting_;
        }
        if (woken) woken->complete();
    }
    /// Does this when the select comes by for the n-th time.
    void at(unsigned n, std::function<void()> noise) {
        left_ = n;
        noise_ = std::move(noise);
    }

private:
    void make_noise() {
        if (!noise_ || left_-- != 0) return;
        std::exchange(noise_, nullptr)();
    }
    std::mutex mutex_;
    op* waiting_ = nullptr;  // guarded by mutex_
    unsigned left_ = 0;
    std::function<void()> noise_;
};

/// An operation, with a count of how often it is tried while it waits already. A unit in memory is
/// found so only by a select that could not be claimed when it came: by a recheck. What asks the
/// kernel finds it so always, or finds EAGAIN.
struct tries {
    std::atomic<std::uint64_t> found{0}, in_vain{0};
};
template <class Op>
class counted final : public Op {
public:
    counted(Op&& op, tries& count) : Op(std::move(op)), count_(&count) {}
    counted(counted&&) noexcept = default;
    bool try_now() {
        bool found = Op::try_now();
        if (listed_) ++(found ? count_->found : count_->in_vain);
        return found;
    }
    bool enlist() {
        listed_ = true;
        return Op::enlist();
    }

private:
    tries* count_;
    bool listed_ = false;
};

/// A thread that is no runtime's.
class stranger {
public:
    ~stranger() {
        over_ = true;
        go_.release();
        thread_.join();
    }
    void run(std::function<void()> act) {
        act_ = std::move(act);
        busy_.store(true, std::memory_order_release);
        go_.release();
    }
    [[nodiscard]] bool busy() const { return busy_.load(std::memory_order_acquire); }

private:
    void loop() {
        for (go_.acquire(); !over_; go_.acquire()) {
            act_();
            busy_.store(false, std::memory_order_release);
        }
    }
    std::binary_semaphore go_{0};
    std::atomic<bool> busy_{false}, over_{false};
    std::function<void()> act_;
    std::thread thread_{[this] { loop(); }};
};

}  // namespace race
