// Channels, semaphores, oneshot, broadcast, watch: items and permits add up, whoever is stopped
// meanwhile.
#include "models.hpp"

#include <optional>
#include <utility>

namespace {

using model::seeded;

TEST(Models, a_channel_of_one) {
    struct state {
        model_executor executor;
        model::cell<int> data;
        std::optional<rt::receiver<int>> receiver;
        std::optional<started<void>> task;
        int received = 0, sent = 0;
    };
    explore("channel, sends and a stop of the receiver",
            [] {
                auto* s = new state;
                auto [tx, rx] = rt::channel<int>(1);
                s->receiver = std::move(rx);
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    while (auto value = co_await s.receiver->recv()) {
                        s.received += *value;
                        model::check(s.data.get() == 9, "what the sender wrote");
                    }
                }(*s));
                auto* sender = new rt::sender<int>(std::move(tx));
                model::run([=] { s->executor.run(); });
                model::run([=] {
                    s->data.set(9);
                    for (int i = 1; i <= 2; ++i)
                        if (sender->try_send(i)) s->sent += i;
                    delete sender;
                });
                model::run([=] { (*s->task)->env.request_stop(); });
                return [=] {
                    model::check((*s->task)->ended(), "the receiver has ended");
                    while (auto left = s->receiver->try_recv()) s->received += *left;
                    model::check(s->received == s->sent, "what was sent is received, or there");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_order, seeded::torn_update});
}

TEST(Models, permits_of_a_semaphore) {
    struct state {
        model_executor one, two;
        rt::semaphore permits{1};
        model::cell<int> guarded;
        std::optional<started<void>> first, second;
        int entered = 0;
    };
    explore("semaphore, two holders and a stop",
            [] {
                auto* s = new state;
                auto holds = [](state& s) -> rt::task<> {
                    auto permit = co_await s.permits.acquire();
                    s.guarded.set(s.guarded.get() + 1);
                    ++s.entered;
                };
                s->first.emplace(s->one, holds(*s));
                s->second.emplace(s->two, holds(*s));
                model::run([=] { s->one.run(); });
                model::run([=] { s->two.run(); });
                model::run([=] { (*s->second)->env.request_stop(); });
                return [=] {
                    model::check((*s->first)->ended() && (*s->second)->ended(), "both have ended");
                    model::check(s->permits.available() == 1, "the permit is back");
                    model::check(s->guarded.get() == s->entered, "each entered alone");
                    delete s;
                };
            },
            {seeded::no_order, seeded::torn_update, seeded::no_lock});
}

TEST(Models, turns_of_a_mutex) {
    struct state {
        model_executor one, two;
        rt::mutex mutex;
        model::cell<int> guarded;
        std::optional<started<void>> first, second;
        int entered = 0, tried = 0;
    };
    explore("mutex, two holders, a stop and somebody who tries",
            [] {
                auto* s = new state;
                auto holds = [](state& s) -> rt::task<> {
                    auto turn = co_await s.mutex.lock();
                    s.guarded.set(s.guarded.get() + 1);
                    ++s.entered;
                };
                s->first.emplace(s->one, holds(*s));
                s->second.emplace(s->two, holds(*s));
                model::run([=] { s->one.run(); });
                model::run([=] { s->two.run(); });
                model::run([=] {
                    if (auto turn = s->mutex.try_lock()) {
                        s->guarded.set(s->guarded.get() + 1);
                        ++s->tried;
                    }
                    (*s->second)->env.request_stop();
                });
                return [=] {
                    model::check((*s->first)->ended() && (*s->second)->ended(), "both have ended");
                    model::check(s->mutex.try_lock().has_value(), "it is free");
                    model::check(s->guarded.get() == s->entered + s->tried, "each was alone");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update, seeded::no_lock});
}

/// Two give up at a select that tries its arms: what the first one left is gone when it looks
/// again, what the second one left must be seen.
TEST(Models, a_select_of_a_turn_and_a_value) {
    struct state {
        model_executor executor;
        rt::mutex mutex;
        std::optional<rt::mutex_guard> held;
        std::optional<rt::receiver<int>> receiver;
        std::optional<started<void>> task;
        int turns = 0, values = 0;
    };
    explore("select of a turn that goes and a value that comes",
            [] {
                auto* s = new state;
                s->held = s->mutex.try_lock();
                auto [tx, rx] = rt::channel<int>(1);
                s->receiver = std::move(rx);
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    auto first =
                        co_await rt::select(rt::biased, s.receiver->recv(), s.mutex.lock());
                    ++(first.index() == 0 ? s.values : s.turns);
                }(*s));
                auto* sender = new rt::sender<int>(std::move(tx));
                model::run([=] { s->executor.run(); });
                model::run([=] {
                    s->held.reset();
                    s->held = s->mutex.try_lock();
                });
                model::run([=] { (void)sender->try_send(1); });
                return [=] {
                    model::check(s->turns + s->values == 1, "one of them");
                    s->held.reset();
                    s->task.reset();
                    delete sender;
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_order, seeded::torn_update});
}

TEST(Models, a_oneshot) {
    struct state {
        model_executor executor;
        model::cell<int> data;
        std::optional<rt::oneshot_receiver<int>> receiver;
        std::optional<started<void>> task;
        int received = 0, refused = 0;
    };
    explore("oneshot, a send and a stop of the receiver",
            [] {
                auto* s = new state;
                auto [tx, rx] = rt::oneshot<int>();
                s->receiver = std::move(rx);
                bool drops = model::choose(2);
                s->task.emplace(s->executor, [](state& s) -> rt::task<> {
                    if (auto value = co_await s.receiver->recv()) {
                        s.received = *value;
                        model::check(s.data.get() == 9, "what the sender wrote");
                    }
                }(*s));
                auto* sender = new rt::oneshot_sender<int>(std::move(tx));
                model::run([=] {
                    s->executor.run();
                    if (drops) s->receiver.reset();
                });
                model::run([=] {
                    s->data.set(9);
                    if (auto back = sender->send(4)) s->refused = *back;
                    delete sender;
                });
                model::run([=] { (*s->task)->env.request_stop(); });
                return [=] {
                    model::check((*s->task)->ended(), "the receiver has ended");
                    if (!drops) {
                        model::check(s->refused == 0, "nobody was gone");
                        if (s->received == 0) s->received = s->receiver->try_recv().value();
                        model::check(s->received == 4, "it is received, or there");
                    }
                    model::check(s->received == 0 || s->refused == 0, "not both");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::torn_update});
}

/// A sender sends 1 and 2 and leaves, while the receiver's task runs, and perhaps is stopped.
template <class Receiver>
struct two_sends {
    model_executor executor;
    model::cell<int> data;
    std::optional<Receiver> receiver;
    std::optional<started<void>> task;
    int received = 0;
    bool stops = false;

    template <class Sender>
    two_sends(std::pair<Sender, Receiver> ends, rt::task<> (*receives)(two_sends&))
        : receiver(std::move(ends.second)) {
        task.emplace(executor, receives(*this));
        auto* sender = new Sender(std::move(ends.first));
        model::run([this] { executor.run(); });
        model::run([this, sender] {
            data.set(9);
            (void)sender->send(1);
            (void)sender->send(2);
            delete sender;
        });
        stops = model::choose(2) != 0;
        if (stops) model::run([this] { (*task)->env.request_stop(); });
    }
    void check_sent() { model::check(data.get() == 9, "what the sender wrote"); }
    void check_ended() { model::check((*task)->ended(), "the receiver has ended"); }
};

TEST(Models, a_broadcast) {
    using state = two_sends<rt::broadcast_receiver<int>>;
    explore("broadcast, two sends and a stop of the receiver",
            [] {
                auto* s = new state(rt::broadcast<int>(2), [](state& s) -> rt::task<> {
                    while (auto value = co_await s.receiver->recv()) {
                        s.received = s.received * 10 + *value;
                        s.check_sent();
                    }
                });
                return [=] {
                    s->check_ended();
                    while (auto left = s->receiver->try_recv())
                        s->received = s->received * 10 + *left;
                    model::check(s->received == 12, "each is received, or there, in order");
                    delete s;
                };
            },
            {seeded::no_order, seeded::torn_update, seeded::no_lock});
}

TEST(Models, a_watch) {
    using state = two_sends<rt::watch_receiver<int>>;
    explore("watch, two sends and a stop of the receiver",
            [] {
                auto* s = new state(rt::watch<int>(0), [](state& s) -> rt::task<> {
                    while (co_await s.receiver->changed()) {
                        auto value = s.receiver->get();
                        model::check(value >= s.received, "it never goes back");
                        s.check_sent();
                        s.received = value;
                    }
                });
                return [=] {
                    s->check_ended();
                    model::check(s->received == 2 || s->stops, "the last value is seen");
                    model::check(s->receiver->get() == 2, "and is there");
                    delete s;
                };
            },
            {seeded::no_release, seeded::no_acquire, seeded::no_lock});
}

}  // namespace
