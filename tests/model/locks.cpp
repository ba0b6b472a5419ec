// rt's own lock, and stop_source with its callbacks.
#include "models.hpp"

#include <optional>

namespace {

TEST(Models, the_spin_lock) {
    struct state {
        rt::detail::real_spin_lock lock;
        model::cell<int> data;
    };
    explore("spin lock",
            [] {
                auto* s = new state;
                for (int t = 0; t < 2; ++t)
                    model::run([=] {
                        for (int i = 0; i < 2; ++i) {
                            s->lock.lock();
                            s->data.set(s->data.get() + 1);
                            s->lock.unlock();
                        }
                    });
                return [=] {
                    model::check(s->data.get() == 4, "every addition");
                    delete s;
                };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::torn_update});
}

TEST(Models, a_stop_callback_runs_once_and_not_beyond_its_end) {
    struct state {
        rt::stop_source source;
        model::cell<int> data;
        int calls = 0;
    };
    explore("stop callback",
            [] {
                auto* s = new state;
                model::run([=] {
                    auto alive = std::make_optional<model::cell<int>>(0);
                    {
                        rt::stop_callback callback(s->source.get_token(), [&] {
                            alive->set(1);
                            ++s->calls;
                        });
                    }
                    alive->set(2);
                    alive.reset();
                });
                model::run([=] {
                    s->data.set(7);
                    s->source.request_stop();
                });
                model::run([=] {
                    if (!s->source.stop_requested()) return;
                    model::check(s->data.get() == 7, "what the requester wrote");
                    s->source.request_stop();
                });
                return [=] {
                    model::check(s->calls <= 1, "at most once");
                    delete s;
                };
            },
            {model::seeded::no_release, model::seeded::no_acquire, model::seeded::no_lock});
}

}  // namespace
