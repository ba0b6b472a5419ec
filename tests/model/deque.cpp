// The run queue: every item is taken once, by one, and what its pusher wrote is seen.
#include "models.hpp"
import rt.sched_queue;

namespace {

struct job : rt::work_item {
    model::cell<int> data;
    int taken = 0;
};
struct queue_of_three {
    rt::detail::run_queue queue;
    job jobs[3];
    void take() {
        if (auto* item = queue.take()) {
            auto& j = static_cast<job&>(*item);
            ++j.taken;
            model::check(j.data.get() == 5, "what the pusher wrote");
            j.data.set(6);
        }
    }
};

TEST(Models, the_run_queue) {
    explore("run queue",
            [] {
                auto* s = new queue_of_three;
                model::run([=] {
                    for (auto& j : s->jobs) {
                        j.data.set(5);
                        s->queue.push(j);
                    }
                    s->take();
                });
                model::run([=] { s->take(); });
                model::run([=] { s->take(); });
                return [=] {
                    while (s->queue.size() != 0) {
                        auto& j = static_cast<job&>(*s->queue.take());
                        ++j.taken;
                    }
                    for (auto& j : s->jobs) model::check(j.taken == 1, "each is taken once");
                    delete s;
                };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::torn_update});
}

/// push() and a look for sleepers; going to sleep and a look for items: one sees the other.
TEST(Models, the_run_queue_and_a_sleeper) {
    struct state {
        rt::detail::run_queue queue;
        model::atomic<int> sleeping{0};
        job one;
        bool woken = false, slept = false;
    };
    explore("run queue and sleeper",
            [] {
                auto* s = new state;
                model::run([=] {
                    s->queue.push(s->one);
                    s->woken = s->sleeping.load(std::memory_order_seq_cst) != 0;
                });
                model::run([=] {
                    s->sleeping.fetch_add(1, std::memory_order_seq_cst);
                    s->slept = s->queue.size() == 0;
                });
                return [=] {
                    model::check(s->woken || !s->slept, "no wake-up is lost");
                    delete s;
                };
            },
            {model::seeded::no_seq_cst});
}

}  // namespace
