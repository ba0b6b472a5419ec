// What destructors see while a stop takes the frames down.
#include "task/helpers.hpp"

#include <memory>
#include <stdexcept>
#include <system_error>

namespace {

class Unwinding : public EveryRuntime {};
EVERY_RUNTIME(Unwinding);

/// Writes into the journal whether a stop is taking it down.
struct asks {
    journal& log;
    std::string name;
    ~asks() { log.add(name + (rt::this_task::unwinding() ? ": unwinding" : ": leaving")); }
};

TEST_P(Unwinding, destructors_can_tell_a_stop_from_a_return_an_error_and_an_exception) {
    journal log;
    run([&]() -> rt::task<> {
        auto returns = [&]() -> rt::task<> {
            asks a{log, "returned"};
            co_await rt::yield_now();
        };
        auto fails = [&]() -> rt::io_task<> {
            asks a{log, "failed"};
            auto inner = []() -> rt::io_task<> { co_return rt::errc::closed; };
            co_await inner().or_return();
            co_return {};
        };
        auto throws = [&]() -> rt::task<> {
            asks a{log, "thrown"};
            throw boom{};
            co_return;
        };
        auto waits = [&]() -> rt::task<> {
            asks a{log, "stopped"};
            co_await forever();
        };
        co_await returns();
        (void)co_await fails();
        EXPECT_THROW(co_await throws(), boom);
        auto h = rt::spawn(waits());
        co_await settle_down();
        h.stop();
        (void)co_await h.outcome();
        asks a{log, "afterwards"};
    });
    auto lines = log.lines();
    ASSERT_EQ(lines.size(), 5u);
    EXPECT_EQ(lines[0], "returned: leaving");
    EXPECT_EQ(lines[1], "failed: leaving");
    EXPECT_EQ(lines[2], "thrown: leaving");
    EXPECT_EQ(lines[4], "afterwards: leaving");
    // The worker may have seen the stop before the first turn: then there was no frame body.
    EXPECT_TRUE(lines[3] == "stopped: unwinding") << lines[3];
}

TEST_P(Unwinding, arguments_of_a_task_stopped_before_it_ran_see_the_stop_too) {
    journal log;
    run([&]() -> rt::task<> {
        auto h = rt::spawn([](std::unique_ptr<asks>) -> rt::task<> {
            co_await forever();
        }(std::unique_ptr<asks>(new asks{log, "argument"})));
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"argument: unwinding"});
}

TEST_P(Unwinding, a_select_that_stops_its_loser_unwinds_that_one_only) {
    journal log;
    run([&]() -> rt::task<> {
        asks outer{log, "outer"};
        auto loser = [&]() -> rt::task<> {
            asks a{log, "loser"};
            co_await forever();
        };
        auto first = co_await rt::select(rt::allow_loss(loser()), rt::sleep(1ms));
        EXPECT_EQ(first.index(), 1u);
        EXPECT_FALSE(rt::this_task::unwinding());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"loser: unwinding", "outer: leaving"}));
}

rt::task<> swallower(journal& log, std::atomic<bool>& waits) {
    for (;;) {
        try {
            mark m(log, "inner");
            waits = true;
            co_await forever();
            log.add("resumed");
        } catch (...) {
            log.add("caught");
        }
        log.add("went on");
    }
}

TEST_P(Unwinding, no_catch_all_on_the_way_sees_it) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false;
        auto outer = [&]() -> rt::task<> {
            mark m(log, "outer");
            try {
                co_await swallower(log, waits);
            } catch (...) {
                log.add("caught outside");
            }
            log.add("went on outside");
        };
        auto h = rt::spawn(outer());
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"inner", "outer"}));
}

TEST_P(Unwinding, locals_go_in_reverse_and_frames_from_the_inside_parameters_included) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false;
        auto inner = [&](mark) -> rt::task<> {
            mark a(log, "inner first"), b(log, "inner second");
            waits = true;
            co_await forever();
        };
        auto outer = [&](mark) -> rt::task<> {
            mark a(log, "outer local");
            co_await inner(mark(log, "inner parameter"));
        };
        auto h = rt::spawn(outer(mark(log, "outer parameter")));
        co_await until(waits);
        h.stop();
        (void)co_await h.outcome();
    });
    EXPECT_EQ(log.lines(),
              (std::vector<std::string>{"inner second", "inner first", "inner parameter",
                                        "outer local", "outer parameter"}));
}

TEST_P(Unwinding, a_destructor_may_spawn_stop_and_ask_for_its_task) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<bool> waits = false, spawned = false;
        struct busy {
            rt::join_handle<>& other;
            std::atomic<bool>& spawned;
            journal& log;
            std::uint64_t id;
            ~busy() {
                EXPECT_EQ(rt::this_task::id(), id);
                other.stop();
                rt::spawn([](std::atomic<bool>& spawned) -> rt::task<> {
                    spawned = true;
                    co_return;
                }(spawned))
                    .detach();
                log.add("done");
            }
        };
        auto other = rt::spawn(forever());
        auto h = rt::spawn([](auto& other, auto& waits, auto& spawned, auto& log) -> rt::task<> {
            busy b{other, spawned, log, rt::this_task::id()};
            waits = true;
            co_await forever();
        }(other, waits, spawned, log));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_TRUE((co_await other.outcome()).stopped());
        co_await until(spawned);
    });
    EXPECT_EQ(log.lines(), std::vector<std::string>{"done"});
}

TEST_P(Unwinding, a_handle_in_a_frame_that_goes_stops_its_task_too) {
    journal log;
    run([&]() -> rt::task<> {
        std::atomic<int> waits = 0;
        std::atomic<bool> gone = false;
        struct tells {
            std::atomic<bool>& gone;
            ~tells() { gone = true; }
        };
        auto child = [&](auto& waits, auto& gone) -> rt::task<> {
            tells t{gone};
            ++waits;
            co_await forever();
        };
        auto parent = [&]() -> rt::task<> {
            auto h = rt::spawn(child(waits, gone));
            ++waits;
            co_await h;
        };
        auto h = rt::spawn(parent());
        co_await until_at_least(waits, 2);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        co_await until(gone);
    });
}

}  // namespace
