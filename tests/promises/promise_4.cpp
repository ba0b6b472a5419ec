// Promise 4: a stop request unwinds, and nothing on the way can swallow it.
#include "task/helpers.hpp"

#include <thread>

namespace {

class Promise4 : public EveryRuntime {};
EVERY_RUNTIME(Promise4);

/// A body that does its worst to survive: it catches everything, for ever, around every wait.
rt::task<> stubborn(int kind, journal& log, std::atomic<bool>& waits) {
    rt::notify never;
    auto other = rt::spawn(forever());
    for (;;) {
        try {
            mark m(log, "unwound");
            waits = true;
            switch (kind) {
                case 0:
                    co_await rt::sleep(24h);
                    break;
                case 1:
                    co_await never.wait();
                    break;
                case 2:
                    co_await other;
                    break;
                case 3:
                    co_await rt::join(forever(), forever());
                    break;
                case 4:
                    (void)co_await rt::select(never.wait(), rt::allow_loss(forever()));
                    break;
                case 5:
                    (void)co_await rt::timeout(24h, forever());
                    break;
                case 6:
                    (void)co_await rt::with_group([](rt::task_group& g) -> rt::task<> {
                        g.spawn(forever());
                        co_await forever();
                    });
                    break;
                default:
                    co_await forever();
            }
            log.add("resumed");
        } catch (...) {
            log.add("caught");
        }
    }
}

TEST_P(Promise4, a_stop_unwinds_past_every_catch_all) {
    for (int kind = 0; kind < 8; ++kind) {
        journal log;
        run([&]() -> rt::task<> {
            std::atomic<bool> waits = false;
            auto outer = [&]() -> rt::task<> {
                for (;;) {
                    try {
                        co_await stubborn(kind, log, waits);
                    } catch (...) {
                        log.add("caught outside");
                    }
                }
            };
            auto h = rt::spawn(outer());
            co_await until(waits);
            h.stop();
            EXPECT_TRUE((co_await h.outcome()).stopped());
        });
        EXPECT_EQ(log.lines(), std::vector<std::string>{"unwound"}) << kind;
    }
}

TEST_P(Promise4, it_never_runs_on_the_requesters_thread_when_that_is_no_worker) {
    std::atomic<bool> waits = false;
    std::thread::id destroyed_on;
    run([&]() -> rt::task<> {
        struct tells {
            std::thread::id& where;
            ~tells() { where = std::this_thread::get_id(); }
        };
        auto h = rt::spawn([](auto& waits, auto& where) -> rt::task<> {
            tells t{where};
            waits = true;
            co_await forever();
        }(waits, destroyed_on));
        co_await until(waits);
        std::thread::id requester;
        std::thread foreign([&] {
            requester = std::this_thread::get_id();
            h.stop();
        });
        EXPECT_TRUE((co_await h.outcome()).stopped());
        foreign.join();
        EXPECT_NE(destroyed_on, requester);
    });
}

}  // namespace
