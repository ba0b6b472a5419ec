module;
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
module rt.io;

namespace rt {

struct blocking_pool::shared {
    std::mutex mutex;
    std::condition_variable work;
    std::condition_variable ended;
    blocking_job* first = nullptr;
    blocking_job* last = nullptr;
    std::size_t queued = 0;
    std::size_t threads = 0;
    std::size_t idle = 0;  // threads that wait in work
    std::size_t running = 0;
    bool closed = false;
    std::size_t limit;
    std::chrono::nanoseconds keep_alive;
    std::function<void()> on_idle;

    blocking_job* pop() {
        auto* job = first;
        first = job->following;
        (first ? first->prev : last) = nullptr;
        if (!first) last = nullptr;
        job->queued = false;
        --queued;
        return job;
    }
    void serve();
};

namespace {
/// Waits compute "now + this"; a longer one would overflow, and be over at once.
constexpr std::chrono::nanoseconds longest_wait = std::chrono::hours(24 * 365);
}  // namespace

blocking_pool::blocking_pool(std::size_t limit, std::chrono::nanoseconds keep_alive,
                             std::function<void()> on_idle)
    : shared_(std::make_shared<shared>()) {
    shared_->limit = limit;
    shared_->keep_alive = std::min(keep_alive, longest_wait);
    shared_->on_idle = std::move(on_idle);
}

blocking_pool::~blocking_pool() { (void)close(std::chrono::nanoseconds(-1)); }

void blocking_pool::shared::serve() {
    std::unique_lock guard(mutex);
    for (;;) {
        if (first) {
            auto* job = pop();
            ++running;
            guard.unlock();
            job->run(*job);  // completes its task, which may free it
            guard.lock();
            --running;
            if (on_idle && running + queued == 0) {
                guard.unlock();
                on_idle();
                guard.lock();
            }
            continue;
        }
        if (closed) break;
        ++idle;
        auto outcome = work.wait_for(guard, keep_alive);
        --idle;
        if (outcome == std::cv_status::timeout && !first) break;
    }
    --threads;
    ended.notify_all();
}

bool blocking_pool::submit(blocking_job& job) noexcept {
    auto& s = *shared_;
    std::lock_guard guard(s.mutex);
    if (s.closed) return false;
    // An idle thread stays counted until it has taken its job, and so does the job: more jobs than
    // idle threads means that somebody would wait.
    if (s.queued + 1 > s.idle && s.threads < s.limit) {
        try {
            std::thread([s = shared_] { s->serve(); }).detach();
            ++s.threads;
        } catch (const std::system_error&) {
            if (s.threads == 0) return false;  // else one of those that run will come to it
        }
    }
    job.prev = s.last;
    job.following = nullptr;
    (s.last ? s.last->following : s.first) = &job;
    s.last = &job;
    job.queued = true;
    ++s.queued;
    s.work.notify_one();
    return true;
}

bool blocking_pool::withdraw(blocking_job& job) noexcept {
    auto& s = *shared_;
    std::lock_guard guard(s.mutex);
    if (!job.queued) return false;
    (job.prev ? job.prev->following : s.first) = job.following;
    (job.following ? job.following->prev : s.last) = job.prev;
    job.queued = false;
    --s.queued;
    return true;
}

std::size_t blocking_pool::close(std::chrono::nanoseconds limit) noexcept {
    auto& s = *shared_;
    std::unique_lock guard(s.mutex);
    s.closed = true;
    s.work.notify_all();
    auto over = [&] { return s.threads == 0; };
    if (limit.count() < 0 || limit > longest_wait) {
        s.ended.wait(guard, over);
    } else {
        s.ended.wait_for(guard, limit, over);
    }
    return s.running;
}

blocking_pool::depth blocking_pool::depths() const noexcept {
    std::lock_guard guard(shared_->mutex);
    return {shared_->queued, shared_->running, shared_->threads, shared_->idle};
}

}  // namespace rt
