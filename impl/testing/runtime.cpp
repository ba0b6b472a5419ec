module;
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>
module rt.testing;
import rt.task;
import rt.time;
import rt.sched;

namespace rt::detail {

namespace {
constexpr int most_steps_to_an_end = 1'000'000;
}

test_executor::test_executor(std::uint64_t seed) : seed_(seed), random_(seed) {}

test_executor::~test_executor() {
    check_thread();
    end_all();
}

void test_executor::end_all() {
    if (!stop_all())
        misuse("an rt::test_runtime ends while tasks wait that were stopped and do not end: " +
                   to_string(dump()),
               {});
}

void test_executor::check_thread() const noexcept {
    if (std::this_thread::get_id() != thread_)
        misuse("an rt::test_runtime is reached from another thread: its run would not be repeated",
               {});
}

void test_executor::post(work_item& item) noexcept {
    check_thread();
    ready_.push_back(&item);
}
void test_executor::post_later(work_item& item) noexcept {
    check_thread();
    later_.push_back(&item);
}

std::uint64_t test_executor::random() noexcept { return random_.next(); }

executor::adoption test_executor::adopt(task_state& task) noexcept {
    check_thread();
    numbers_[task.identity.id] = ++spawned_;
    task.next_task = first_;
    if (first_) first_->prev_task = &task;
    first_ = &task;
    return closing_ ? adoption::closing : adoption::adopted;
}

void test_executor::abandon(task_state& task) noexcept {
    (task.prev_task ? task.prev_task->next_task : first_) = task.next_task;
    if (task.next_task) task.next_task->prev_task = task.prev_task;
    numbers_.erase(task.identity.id);
}

bool test_executor::submit(blocking_job& job) noexcept {
    jobs_.push_back(&job);
    post(job);
    return true;
}

bool test_executor::withdraw(blocking_job& job) noexcept {
    if (std::erase(jobs_, &job) == 0) return false;  // it runs, or has run
    std::erase(ready_, &job);
    return true;
}

bool test_executor::step() {
    check_thread();
    if (left_ == 0 || ready_.empty()) {
        wheel_.advance(clock_.now());
        ready_.insert(ready_.end(), later_.begin(), later_.end());
        later_.clear();
        left_ = ready_.size();
    }
    if (ready_.empty()) {
        auto deadline = wheel_.next_deadline();
        if (!deadline) return false;
        clock_.advance_to(*deadline);
        return true;
    }
    --left_;
    auto& drawn = ready_[static_cast<std::size_t>(random() % ready_.size())];
    auto& item = *std::exchange(drawn, ready_.back());
    ready_.pop_back();
    std::erase(jobs_, &item);  // one that runs cannot be withdrawn
    record(item);
    auto* outside = current_executor();
    set_current_executor(this);
    set_coarse_time(coarse_time_of(clock_.now()));
    item.run(item);
    set_current_executor(outside);
    return true;
}

void test_executor::record(work_item& item) {
    resumption r{clock_.now(), 0, {}};
    const task_identity* task = nullptr;
    if (auto* op = wait_op::posted(item)) {
        std::vector<awaited> waited;
        op->describe(waited, 0);
        if (!waited.empty()) r.what = waited.front();
        task = &op->env()->identity();
    } else if (auto* first = task_state::posted(item)) {
        r.what = {"its first turn", first->identity.spawned_at, 0};
        task = &first->identity;
    } else {
        r.what.what = "the parts of a join or select, or a blocking job";
    }
    if (task)
        if (auto known = numbers_.find(task->id); known != numbers_.end()) r.task = known->second;
    resumptions_.push_back(r);
}

bool test_executor::stop_all() {
    auto before = std::exchange(closing_, true);
    stop_each([this](auto f) {
        for (auto* t = first_; t && f(*t);) t = t->next_task;
    });
    for (int n = 0; first_ && n < most_steps_to_an_end && step(); ++n) {
    }
    closing_ = before;
    return first_ == nullptr;
}

std::string test_executor::trace() const {
    std::string text;
    for (auto& r : resumptions_) {
        auto ns = static_cast<long long>(r.at.time_since_epoch().count());
        char line[96];
        std::snprintf(line, sizeof line, "%lld.%09lld s", ns / 1'000'000'000, ns % 1'000'000'000);
        text += line;
        if (r.task != 0) text += ", task " + std::to_string(r.task);
        text += std::string(": ") + r.what.what;
        if (r.what.where.line() != 0) text += ", at " + place_of(r.what.where);
        text += "\n";
    }
    return text;
}

runtime_dump test_executor::dump() {
    runtime_dump all;
    for (auto* t = first_; t; t = t->next_task)
        all.tasks.push_back(info_of(*t, coarse_time_of(clock_.now())));
    return all;
}

void test_executor::tell_seed() const noexcept {
    std::fprintf(stderr, "rt: this was rt::test_runtime(%llu)\n",
                 static_cast<unsigned long long>(seed_));
}

void throw_deadlock(test_executor& exec) {
    auto what = "rt::test_runtime(" + std::to_string(exec.seed()) +
                "): nothing can run any more, and block_on's task has not ended; " +
                to_string(exec.dump());
    exec.tell_seed();
    exec.end_all();
    throw deadlock_error(what);
}

}  // namespace rt::detail
