// What the workers have ready, how it is sent and handed over, and who sleeps meanwhile: every item
// is taken once, by one, what its pusher wrote is seen, and no wake-up is lost.
#include "models.hpp"

#include <array>
import rt.sched_parts;

namespace {

struct job : rt::work_item {
    model::cell<int> data;
    int taken = 0;
};
struct queue_of_three {
    rt::detail::run_queue queue{true};
    job jobs[3];
    void ran(rt::work_item* item) {
        if (!item) return;
        auto& j = static_cast<job&>(*item);
        ++j.taken;
        model::check(j.data.get() == 5, "what the pusher wrote");
        j.data.set(6);
    }
    void take() { ran(queue.take()); }
    void pop() { ran(queue.pop()); }
    void push(int i) {
        jobs[i].data.set(5);
        queue.push(jobs[i]);
    }
    /// What nobody has taken meanwhile is there.
    void end() {
        while (auto* item = queue.pop()) ++static_cast<job*>(item)->taken;
        for (auto& j : jobs) model::check(j.taken == 1, "each is taken once");
        delete this;
    }
};

TEST(Models, the_run_queue) {
    explore("run queue",
            [] {
                auto* s = new queue_of_three;
                model::run([=] {
                    for (int i = 0; i < 3; ++i) s->push(i);
                    s->take();
                });
                model::run([=] { s->take(); });
                model::run([=] { s->take(); });
                return [=] { s->end(); };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::torn_update});
}

/// The owner takes what it has spawned from its own end, down to the last one that a thief wants.
TEST(Models, what_was_spawned) {
    explore("spawned",
            [] {
                auto* s = new queue_of_three;
                model::run([=] {
                    s->push(0);
                    s->push(1);
                    s->pop();
                    s->pop();
                    s->push(2);
                    s->pop();
                });
                model::run([=] {
                    s->take();
                    s->take();
                });
                return [=] { s->end(); };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::no_seq_cst,
             model::seeded::torn_update});
}

/// A worker is kept in one item: what it has ready is handed over, while it comes back to it.
TEST(Models, what_is_ready_is_handed_over) {
    struct state {
        rt::detail::ready_items ready{true};
        std::array<job, 5> jobs;
        void ran(rt::work_item* item) {
            if (!item) return;
            auto& j = static_cast<job&>(*item);
            ++j.taken;
            model::check(j.data.get() == 5, "what the pusher wrote");
            j.data.set(6);
        }
    };
    explore(
        "hand-over",
        [] {
            auto* s = new state;
            model::run([=] {
                for (auto& j : s->jobs) j.data.set(5);
                s->ready.push_front(s->jobs[0]);
                s->ready.push_front(s->jobs[1]);
                s->ready.put_off(s->jobs[2]);
                s->ready.push_spawned(s->jobs[4]);
                s->ran(s->ready.take_front());
                s->ran(s->ready.take());
                s->ran(s->ready.pop_spawned());
                s->ready.push_front(s->jobs[3]);
                auto later = s->ready.take_put_off();
                s->ran(later.pop());
            });
            model::run([=] { s->ready.hand_over([=](rt::work_item& item) { s->ran(&item); }); });
            return [=] {
                s->ready.hand_over([=](rt::work_item& item) { s->ran(&item); });
                for (auto& j : s->jobs) model::check(j.taken == 1, "each is taken once");
                delete s;
            };
        },
        {model::seeded::no_release, model::seeded::no_acquire, model::seeded::torn_update,
         model::seeded::no_lock});
}

/// What wakes a thread that waits in its reactor.
struct bell {
    bool rung = false;
    void wait() {
        model::wait_until([this] { return rung; });
        rung = false;
    }
};

TEST(Models, mail_wakes_its_reader) {
    struct state {
        rt::detail::mailbox mail;
        bell wakes;
        job jobs[2];
    };
    explore("mailbox",
            [] {
                auto* s = new state;
                for (auto& j : s->jobs)
                    model::run([=, &j] {
                        j.data.set(5);
                        if (s->mail.send(j)) s->wakes.rung = true;
                    });
                model::run([=] {
                    for (int taken = 0; taken < 2;) {
                        auto mail = s->mail.take();
                        while (auto* item = mail.pop()) {
                            auto& j = static_cast<job&>(*item);
                            model::check(j.data.get() == 5, "what the sender wrote");
                            ++j.taken;
                            ++taken;
                        }
                        if (taken == 2) break;
                        s->mail.go_to_sleep();
                        if (s->mail.empty()) s->wakes.wait();
                        s->mail.get_up();
                    }
                });
                return [=] {
                    for (auto& j : s->jobs) model::check(j.taken == 1, "each comes once");
                    delete s;
                };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::no_seq_cst,
             model::seeded::torn_update});
}

/// Two workers push and call for help, a third one searches, and sleeps when it finds nothing.
TEST(Models, what_is_pushed_wakes_a_sleeper) {
    struct state {
        rt::detail::ready_items ready[2]{rt::detail::ready_items(true),
                                         rt::detail::ready_items(true)};
        rt::detail::sleepers asleep{3};
        bell wakes;
        job jobs[2];
        job* take() {
            for (auto& r : ready) {
                if (auto* item = r.take()) return static_cast<job*>(item);
                if (auto* item = r.take_spawned()) return static_cast<job*>(item);
            }
            return nullptr;
        }
    };
    explore("sleepers",
            [] {
                auto* s = new state;
                for (int i = 0; i < 2; ++i)
                    model::run([=] {
                        auto& ready = s->ready[i];
                        i == 0 ? ready.line_up(s->jobs[i]) : ready.push_spawned(s->jobs[i]);
                        if (s->asleep.call_one()) s->wakes.rung = true;
                    });
                model::run([=] {
                    bool searches = false;
                    for (int taken = 0; taken < 2;) {
                        if (!searches) searches = s->asleep.begin_search();
                        if (auto* item = s->take()) {
                            ++item->taken;
                            ++taken;
                            if (std::exchange(searches, false)) (void)s->asleep.end_search();
                            continue;
                        }
                        s->asleep.enter(2);
                        if (std::exchange(searches, false)) (void)s->asleep.end_search();
                        if (s->ready[0].stealable() + s->ready[1].stealable() == 0) s->wakes.wait();
                        searches = !s->asleep.leave(2);
                    }
                });
                return [=] {
                    for (auto& j : s->jobs) model::check(j.taken == 1, "each is taken once");
                    delete s;
                };
            },
            {model::seeded::no_seq_cst, model::seeded::torn_update});
}

}  // namespace
