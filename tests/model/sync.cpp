// Channels and semaphores: items and permits add up, whoever is stopped meanwhile.
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
            {seeded::no_release, seeded::torn_update, seeded::no_lock});
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
            {seeded::torn_update, seeded::no_lock});
}

}  // namespace
