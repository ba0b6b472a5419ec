// Misuse stops the program, with its name and the place.
#include "task/helpers.hpp"

#include <coroutine>

namespace {

class Misuse : public testing::Test {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    template <class F>
    static void run(F body) {
        rt::runtime::builder().current_thread().build().block_on(body());
    }
};

TEST_F(Misuse, spawn_outside_a_runtime_names_the_line_b4) {
    EXPECT_DEATH(rt::spawn(forever()).detach(),
                 "rt: misuse: rt::spawn is called outside a runtime.*misuse.cpp:[0-9]+");
}

/// A coroutine of somebody else's.
struct foreign {
    struct promise_type {
        foreign get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

TEST_F(Misuse, a_timer_without_a_runtime_names_the_line_b4) {
    auto body = []() -> foreign { co_await rt::sleep(1ms); };
    EXPECT_DEATH(body(), "rt: misuse: rt::sleep is awaited without a runtime.*misuse.cpp:[0-9]+");
}

TEST_F(Misuse, yielding_without_a_runtime_names_the_line_b4) {
    auto body = []() -> foreign { co_await rt::yield_now(); };
    EXPECT_DEATH(body(), "rt: misuse: rt::yield_now is awaited without.*misuse.cpp:[0-9]+");
}

TEST_F(Misuse, a_task_that_was_moved_from_is_awaited) {
    auto body = []() -> rt::task<> {
        auto t = forever();
        auto other = std::move(t);
        co_await std::move(t);
    };
    EXPECT_DEATH(run(body), "rt: misuse: a task that was moved from, or awaited before");
}

TEST_F(Misuse, a_task_that_was_moved_from_is_spawned) {
    auto body = []() -> rt::task<> {
        auto t = forever();
        rt::spawn(std::move(t)).detach();
        rt::spawn(std::move(t)).detach();
        co_return;
    };
    EXPECT_DEATH(run(body), "rt: misuse: a task that was moved from is spawned.*misuse.cpp:");
}

TEST_F(Misuse, a_task_that_was_moved_from_is_joined_or_selected) {
    auto joins = []() -> rt::task<> {
        auto t = forever();
        auto other = std::move(t);
        co_await rt::join(std::move(t), std::move(other));
    };
    EXPECT_DEATH(run(joins), "rt: misuse: a task that was moved from");
}

TEST_F(Misuse, an_outcome_is_taken_twice) {
    auto body = []() -> rt::task<> {
        auto h = rt::spawn([]() -> rt::task<> { co_return; });
        co_await h;
        co_await h;
    };
    EXPECT_DEATH(run(body), "rt: misuse: a task's outcome is taken twice.*misuse.cpp:");
}

TEST_F(Misuse, two_joins_of_one_task_at_once) {
    auto body = []() -> rt::task<> {
        auto h = rt::spawn(forever());
        auto waits = [](auto& h) -> rt::task<> { co_await h; };
        co_await rt::join(waits(h), waits(h));
    };
    EXPECT_DEATH(run(body), "rt: misuse: two joins of one task at once.*misuse.cpp:");
}

TEST_F(Misuse, an_empty_handle_is_used) {
    rt::join_handle<> h;
    EXPECT_DEATH(h.stop(), "rt: misuse: an empty join_handle is used");
}

/// A destructor that throws, as long as it is armed.
struct throws_in_destructor {
    bool armed = true;
    throws_in_destructor() = default;
    throws_in_destructor(throws_in_destructor&& o) noexcept
        : armed(std::exchange(o.armed, false)) {}
    ~throws_in_destructor() noexcept(false) {
        if (armed) throw boom{};
    }
};

template <class F>
rt::task<> stopped_in(F body) {
    auto h = rt::spawn(rt::task_options{.name = "the culprit"}, body());
    co_await settle_down();
    h.stop();
    (void)co_await h.outcome();
}

constexpr auto culprit = "rt: misuse: a destructor threw while a stop.*the culprit.*misuse.cpp:";

TEST_F(Misuse, a_destructor_throws_while_a_stop_unwinds_b26) {
    auto body = []() -> rt::task<> {
        throws_in_destructor t;
        co_await forever();
    };
    EXPECT_DEATH(run([&] { return stopped_in(body); }), culprit);
}

TEST_F(Misuse, a_destructor_throws_while_a_stop_unwinds_and_the_user_catches_it_b26) {
    auto body = []() -> rt::task<> {
        try {
            throws_in_destructor t;
            co_await forever();
        } catch (...) {
        }
    };
    EXPECT_DEATH(run([&] { return stopped_in(body); }), culprit);
}

/// The catch led back into user code, which waited once more: in a frame that was being destroyed.
TEST_F(Misuse, a_destructor_throws_and_the_user_who_catches_it_awaits_again_b26) {
    auto body = []() -> rt::task<> {
        for (;;) {
            try {
                throws_in_destructor t;
                co_await forever();
            } catch (...) {
            }
        }
    };
    EXPECT_DEATH(run([&] { return stopped_in(body); }), culprit);
}

TEST_F(Misuse, a_destructor_throws_and_the_user_who_catches_it_awaits_a_task_b26) {
    auto body = []() -> rt::task<> {
        try {
            throws_in_destructor t;
            co_await forever();
        } catch (...) {
        }
        co_await yields(3);
    };
    EXPECT_DEATH(run([&] { return stopped_in(body); }), culprit);
}

TEST_F(Misuse, a_parameters_destructor_throws_while_a_stop_unwinds_b26) {
    auto inner = [](throws_in_destructor) -> rt::task<> { co_await forever(); };
    auto body = [&]() -> rt::task<> { co_await inner(throws_in_destructor()); };
    EXPECT_DEATH(run([&] { return stopped_in(body); }), culprit);
}

}  // namespace
