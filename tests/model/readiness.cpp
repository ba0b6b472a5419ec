// Arms that only know that it is time to try: the states trying and recheck of the commit word.
#include "models.hpp"

#include <optional>
#include <utility>

namespace {

using model::seeded;

/// A select of a join_set's next() and a bell, while the set's task ends, the bell is rung and the
/// select is stopped: what it did not take is still there.
TEST(Models, a_select_that_must_try) {
    struct state {
        model_executor executor, other;
        rt::notify bell;
        rt::join_set<int> set;
        std::optional<started<void>> task;
        int rings = 0, results = 0;
    };
    explore("select of readiness and a bell",
            [] {
                auto* s = new state;
                rt::detail::set_current_executor(&s->other);
                s->set.spawn([]() -> rt::task<int> { co_return 4; }());
                rt::detail::set_current_executor(nullptr);
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    auto first = co_await rt::select(s.set.next(), s.bell.wait());
                    first.index() == 0 ? ++s.results : ++s.rings;
                }(*s));
                model::run([=] { s->executor.run(); });
                model::run([=] { s->other.run(); });
                model::run([=] { s->bell.notify_one(); });
                if (model::choose(2)) model::run([=] { (*s->task)->env.request_stop(); });
                return [=] {
                    model::check((*s->task)->ended(), "the task has ended");
                    s->rings += s->executor.is_ready(s->bell.wait());
                    model::check(s->rings == 1, "the ring is taken, or there");
                    s->results += !s->set.empty();
                    model::check(s->results == 1, "the result is taken, or there");
                    delete s;
                };
            },
            {seeded::no_order, seeded::torn_update, seeded::no_lock}, {.preemptions = 1});
}

struct scope_in_task {
    model_executor executor;
    rt::notify bell;
    model::cell<int> data;
    std::optional<started<void>> task;
    int rings = 0;
    bool began = false;

    void rung() {
        ++rings;
        model::check(data.get() == 1, "what the notifier wrote");
    }
};
rt::task<> shielded(scope_in_task& s) {
    co_await rt::shield([](scope_in_task& s) -> rt::task<> {
        s.began = true;
        co_await s.bell.wait();
        s.rung();
    }(s));
}
rt::task<> learns_of_its_stop(scope_in_task& s) {
    if (co_await rt::as_optional(s.bell.wait())) s.rung();
}

/// A body that is shielded, or learns of its stop, while it is woken and stopped.
model::after wake_and_stop_scope(rt::task<> (*body)(scope_in_task&)) {
    auto* s = new scope_in_task;
    s->task.emplace(s->executor, body(*s));
    model::run([=] { s->executor.run(); });
    model::run([=] {
        s->data.set(1);
        s->bell.notify_one();
    });
    model::run([=] { (*s->task)->env.request_stop(); });
    return [=] {
        model::check((*s->task)->ended(), "the task has ended");
        if (s->began) model::check(s->rings == 1, "a shielded body has its ring");
        s->rings += s->executor.is_ready(s->bell.wait());
        model::check(s->rings == 1, "the ring is taken, or there");
        delete s;
    };
}

TEST(Models, a_shielded_body) {
    explore("shield, wake and stop", [] { return wake_and_stop_scope(shielded); },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update});
}

TEST(Models, a_body_that_learns_of_its_stop) {
    explore("as_optional, wake and stop", [] { return wake_and_stop_scope(learns_of_its_stop); },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update});
}

}  // namespace
