// Tasks: what completes one, what stops it, who looks at it and who joins it, all at once.
#include "models.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace {

using model::seeded;

/// A task that waits for a bell which is rung while it is stopped: it ends once, and a ring that it
/// did not take is still there.
struct bell_and_task {
    model_executor executor;
    rt::notify bell;
    model::cell<int> data;
    bool taken = false;
    std::optional<started<void>> task;
};

model::after wake_and_stop(bool looks) {
    auto* s = new bell_and_task;
    s->task.emplace(s->executor, [](bell_and_task& s) -> rt::task<> {
        co_await s.bell.wait();
        s.taken = true;
        model::check(s.data.get() == 1, "what the notifier wrote");
    }(*s));
    model::run([=] { s->executor.run(); });
    model::run([=] {
        s->data.set(1);
        s->bell.notify_one();
    });
    if (looks) {
        model::run([=] {
            std::vector<rt::awaited> chain;
            (*s->task)->env.describe(chain, 0);
            model::check(chain.size() < 2, "nothing, or one wait");
        });
    }
    if (!looks || model::choose(2)) model::run([=] { (*s->task)->env.request_stop(); });
    return [=] {
        model::check((*s->task)->ended(), "the task has ended");
        model::check(s->taken != s->executor.is_ready(s->bell.wait()),
                     "the ring is taken, or there");
        delete s;
    };
}

TEST(Models, a_task_is_woken_while_it_is_stopped) {
    explore("task, wake and stop", [] { return wake_and_stop(false); },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update, seeded::no_lock});
}

TEST(Models, a_task_is_looked_at_while_it_is_woken_and_stopped) {
    explore("task, wake, stop and look", [] { return wake_and_stop(true); },
            {seeded::no_order, seeded::torn_update, seeded::no_lock});
}

/// One bell for each arm, and another thread rings each: one arm wins, the other bell keeps its
/// ring.
TEST(Models, a_select_of_two) {
    struct state {
        model_executor executor;
        rt::notify bells[2];
        int won = -1;
        std::optional<started<void>> task;
    };
    explore("select, two wakes and a stop",
            [] {
                auto* s = new state;
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    auto first = co_await rt::select(s.bells[0].wait(), s.bells[1].wait());
                    s.won = static_cast<int>(first.index());
                }(*s));
                model::run([=] { s->executor.run(); });
                model::run([=] { s->bells[0].notify_one(); });
                model::run([=] {
                    s->bells[1].notify_one();
                    (*s->task)->env.request_stop();
                });
                return [=] {
                    model::check((*s->task)->ended(), "the task has ended");
                    for (int i = 0; i < 2; ++i)
                        model::check((s->won == i) != s->executor.is_ready(s->bells[i].wait()),
                                     "a ring is taken, or there");
                    delete s;
                };
            },
            {seeded::no_order, seeded::torn_update, seeded::no_lock});
}

TEST(Models, a_join_sees_what_the_task_did) {
    struct state {
        model_executor one, two;
        model::cell<int> data;
        rt::join_handle<int> handle;
        std::optional<started<void>> joiner;
        bool joined = false;
    };
    explore("join",
            [] {
                auto* s = new state;
                s->handle = rt::detail::spawn_into(
                    s->one,
                    [](state& s) -> rt::task<int> {
                        s.data.set(3);
                        co_return 4;
                    }(*s),
                    {}, std::source_location::current());
                s->joiner.emplace(s->two, [](state& s) -> rt::task<> {
                    auto value = co_await s.handle;
                    model::check(value == 4 && s.data.get() == 3, "what the task gave and wrote");
                    s.joined = true;
                }(*s));
                model::run([=] { s->one.run(); });
                model::run([=] { s->two.run(); });
                return [=] {
                    model::check(s->joined, "the joiner was woken");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update});
}

/// What a select withdraws is the task's to give later.
TEST(Models, a_select_of_a_task_s_end_and_a_bell) {
    struct state {
        model_executor one, two;
        rt::notify bell;
        model::cell<int> data;
        rt::join_handle<int> handle;
        std::optional<started<void>> joiner;
        bool joined = false;
    };
    explore("select of a task's end and a bell",
            [] {
                auto* s = new state;
                s->handle = rt::detail::spawn_into(
                    s->one,
                    [](state& s) -> rt::task<int> {
                        s.data.set(3);
                        co_return 4;
                    }(*s),
                    {}, std::source_location::current());
                s->joiner.emplace(s->two, [](state& s) -> rt::task<> {
                    auto first = co_await rt::select(s.handle, s.bell.wait());
                    auto value = first.index() == 0 ? std::get<0>(first) : co_await s.handle;
                    model::check(value == 4 && s.data.get() == 3, "what the task gave and wrote");
                    s.joined = true;
                }(*s));
                model::run([=] { s->one.run(); });
                model::run([=] { s->two.run(); });
                model::run([=] { s->bell.notify_one(); });
                return [=] {
                    model::check(s->joined, "the joiner was woken");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update});
}

/// The children of a join take turns, on whatever thread: they may share what has no lock.
TEST(Models, children_that_wake_on_two_threads_take_turns) {
    struct state {
        model_executor executor;
        rt::notify bells[2];
        model::cell<int> shared;
        std::optional<started<void>> task;
    };
    explore("strand",
            [] {
                auto* s = new state;
                auto child = [](state& s, int i) -> rt::task<> {
                    co_await s.bells[i].wait();
                    s.shared.set(s.shared.get() + 1);
                };
                s->task.emplace(s->executor, [](state& s, auto child) -> rt::task<> {
                    co_await rt::join(child(s, 0), child(s, 1));
                    s.shared.set(s.shared.get() + 1);
                }(*s, child));
                for (int i = 0; i < 2; ++i) {
                    model::run([=] {
                        s->bells[i].notify_one();
                        s->executor.run();
                    });
                }
                return [=] {
                    model::check((*s->task)->ended(), "the task has ended");
                    model::check(s->shared.get() == 3, "every addition");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update}, {.preemptions = 1});
}

/// A task takes its first token while its stop is requested: what listens hears of it once.
TEST(Models, a_token_of_a_task_that_is_stopped) {
    struct state {
        model_executor executor;
        model::cell<int> data;
        int began = 0, calls = 0;
        std::optional<started<void>> task;
    };
    explore("token of a task",
            [] {
                auto* s = new state;
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    s.began = 1;
                    auto token = rt::this_task::stop_token();
                    rt::stop_callback counts(token, [&] { ++s.calls; });
                    if (token.stop_requested())
                        model::check(s.data.get() == 7, "what the requester wrote");
                    rt::notify never;
                    co_await never.wait();
                }(*s));
                model::run([=] { s->executor.run(); });
                model::run([=] {
                    s->data.set(7);
                    (*s->task)->env.request_stop();
                });
                return [=] {
                    model::check((*s->task)->ended(), "the task has ended");
                    model::check(s->calls == s->began, "once");
                    delete s;
                };
            },
            {seeded::no_order, seeded::torn_update, seeded::no_lock});
}

}  // namespace
