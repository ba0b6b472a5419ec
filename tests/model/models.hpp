// What the models have in common: a model holds as it is, and fails with each bug that is put into
// it.
#pragma once
#include "model.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <iostream>
#include <source_location>
#include <utility>
import rt.task;
import rt.sync;

namespace model {
inline std::ostream& operator<<(std::ostream& out, seeded bug) {
    constexpr const char* names[] = {"none",       "no release",  "no acquire", "no order",
                                     "no seq_cst", "torn update", "no lock"};
    return out << names[static_cast<int>(bug)];
}
}  // namespace model

/// Explores it whole, and then with each of the bugs, which must be found.
inline void explore(const char* name, const std::function<model::after()>& setup,
                    std::initializer_list<model::seeded> bugs, model::options how = {}) {
    auto r = model::explore(setup, how);
    EXPECT_FALSE(r.failed) << r.failure;
    EXPECT_TRUE(r.complete) << "more than " << r.executions << " executions";
    std::cout << "model: " << name << ": " << r.executions << " executions, " << r.operations
              << " operations; bugs found:";
    int found = 0;
    for (auto bug : bugs) {
        how.bug = bug;
        auto broken = model::explore(setup, how);
        EXPECT_TRUE(broken.failed) << name << " does not mind: " << bug;
        found += broken.failed;
        std::cout << " [" << bug << " after " << broken.executions << "]";
    }
    std::cout << " " << found << " of " << bugs.size() << "\n";
}

/// Runs tasks on the threads that call run(). Any thread posts.
class model_executor final : public rt::executor {
public:
    void post(rt::work_item& item) noexcept override {
        lock_.lock();
        item.next = nullptr;
        (first_ ? last_->next : first_) = &item;
        last_ = &item;
        lock_.unlock();
    }
    void post_later(rt::work_item& item) noexcept override { post(item); }
    [[nodiscard]] unsigned worker_count() const noexcept override { return 1; }
    executor& on_worker(unsigned) noexcept override { return *this; }
    rt::timer_service* timers() noexcept override { return nullptr; }
    rt::io_service* io() noexcept override { return nullptr; }
    rt::blocking_service* blocking() noexcept override { return nullptr; }
    std::uint64_t random() noexcept override { return model::choose(2); }
    adoption adopt(rt::task_state&) noexcept override {
        ++alive_;
        return adoption::adopted;
    }
    void abandon(rt::task_state&) noexcept override { --alive_; }
    void unhandled(const rt::unhandled_failure&) noexcept override {}

    /// Until every task that it knows has ended.
    void run() {
        auto* before = rt::current_executor();
        rt::detail::set_current_executor(this);
        while (alive_ != 0) {
            model::wait_until([this] { return first_ != nullptr || alive_ == 0; });
            lock_.lock();
            auto* item = first_;
            if (item) first_ = item->next;
            lock_.unlock();
            if (item) item->run(*item);
        }
        rt::detail::set_current_executor(before);
    }

    /// Tries, as a task of this executor would.
    template <class Op>
    bool is_ready(Op op) {
        rt::detail::task_identity identity;
        rt::environment env(*this, identity);
        op.bind(&env);
        return op.try_now();
    }

private:
    model::mutex lock_{true};
    rt::work_item* first_ = nullptr;
    rt::work_item* last_ = nullptr;
    int alive_ = 0;
};

/// A task of an executor, and its header, as long as the model wants.
template <class T>
class started {
public:
    started(model_executor& executor, rt::task<T> body)
        : root_(rt::detail::task_root<T>::make(executor, std::move(body), {},
                                               std::source_location::current())) {
        root_->start();
    }
    started(const started&) = delete;
    ~started() {
        root_->consume();
        root_->release();
    }
    rt::detail::task_root<T>* operator->() { return root_; }

private:
    rt::detail::task_root<T>* root_;
};
