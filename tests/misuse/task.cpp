// Misuse stops the program, with its name and the place: tasks, handles, groups, sets.
#include "misuse/helpers.hpp"

#include <optional>

namespace {

TEST_F(Misuse, spawn_outside_a_runtime_names_the_line_b4) {
    EXPECT_MISUSE("rt::spawn is called outside a runtime: use runtime.handle().spawn()",
                  rt::spawn(forever()).detach());
}

TEST_F(Misuse, a_timer_without_a_runtime_names_the_line_b4) {
    EXPECT_MISUSE(
        "rt::sleep is awaited without a runtime: await it in an rt::task that is spawned or "
        "passed to block_on",
        []() -> foreign { co_await rt::sleep(1ms); }());
}

TEST_F(Misuse, yielding_without_a_runtime_names_the_line_b4) {
    EXPECT_MISUSE(
        "rt::yield_now is awaited without a runtime: await it in an rt::task that is spawned or "
        "passed to block_on",
        []() -> foreign { co_await rt::yield_now(); }());
}

TEST_F(Misuse, a_select_without_a_runtime_names_the_line_of_an_arm_b4) {
    EXPECT_MISUSE(
        "rt::select is awaited without a runtime: await it in an rt::task that is spawned or "
        "passed to block_on",
        []() -> foreign { co_await rt::select(rt::sleep(1ms), rt::sleep(2ms)); }());
}

constexpr auto moved_from = "a task that was moved from, or awaited before, is awaited";

TEST_F(Misuse, a_task_that_was_moved_from_is_awaited) {
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = forever();
                      auto other = std::move(t);
                      co_await std::move(t);
                  }));
}

TEST_F(Misuse, a_task_is_awaited_twice) {
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = yields(1);
                      co_await std::move(t);
                      co_await std::move(t);
                  }));
}

TEST_F(Misuse, a_task_that_was_moved_from_is_spawned) {
    EXPECT_MISUSE("a task that was moved from is spawned", run([]() -> rt::task<> {
                      auto t = forever();
                      rt::spawn(std::move(t)).detach();
                      rt::spawn(std::move(t)).detach();
                      co_return;
                  }));
}

TEST_F(Misuse, a_task_that_was_moved_from_is_joined_or_selected) {
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = forever();
                      auto other = std::move(t);
                      co_await rt::join(std::move(t), std::move(other));
                  }));
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = forever();
                      auto other = std::move(t);
                      co_await rt::select(rt::allow_loss(std::move(t)), rt::sleep(1h));
                  }));
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = forever();
                      auto other = std::move(t);
                      (void)co_await rt::timeout(1h, std::move(t));
                  }));
}

TEST_F(Misuse, a_task_that_was_moved_from_is_shielded) {
    EXPECT_MISUSE(moved_from, run([]() -> rt::task<> {
                      auto t = forever();
                      auto other = std::move(t);
                      co_await rt::shield(std::move(t));
                  }));
}

TEST_F(Misuse, a_task_that_was_moved_from_is_blocked_on) {
    EXPECT_MISUSE(moved_from, run([t = forever()]() mutable {
                      auto other = std::move(t);
                      return std::move(t);
                  }));
}

TEST_F(Misuse, a_task_that_was_moved_from_is_waited_for) {
    auto t = forever();
    auto other = std::move(t);
    EXPECT_MISUSE("a task that was moved from is waited for", rt::sync_wait(std::move(t)));
}

TEST_F(Misuse, an_operation_is_awaited_twice) {
    EXPECT_MISUSE("an operation that was awaited before is awaited: make it anew",
                  run([]() -> rt::task<> {
                      auto op = rt::sleep(0ms);
                      co_await std::move(op);
                      co_await std::move(op);
                  }));
}

TEST_F(Misuse, waiting_in_a_task_as_a_thread) {
    EXPECT_MISUSE(
        "sync_wait, or what blocks by it, inside a task would hold up its worker: co_await instead",
        run([]() -> rt::task<> {
            rt::sync_wait(yields(1));
            co_return;
        }));
}

TEST_F(Misuse, an_outcome_is_taken_twice) {
    EXPECT_MISUSE("a task's outcome is taken twice", run([]() -> rt::task<> {
                      auto h = rt::spawn([]() -> rt::task<> { co_return; });
                      co_await h;
                      co_await h;
                  }));
}

TEST_F(Misuse, two_joins_of_one_task_at_once) {
    EXPECT_MISUSE("two joins of one task at once", run([]() -> rt::task<> {
                      auto h = rt::spawn(forever());
                      auto waits = [](auto& h) -> rt::task<> { co_await h; };
                      co_await rt::join(waits(h), waits(h));
                  }));
}

TEST_F(Misuse, an_empty_handle_is_used) {
    rt::join_handle<> h;
    EXPECT_MISUSE("an empty join_handle is used", h.stop());
    EXPECT_MISUSE("an empty join_handle is used", (void)h.done());
    EXPECT_MISUSE("an empty join_handle is used", (void)h.id());
    EXPECT_MISUSE("an empty join_handle is used", (void)h.outcome());
    EXPECT_MISUSE("an empty join_handle is used", run([]() -> rt::task<> {
                      rt::join_handle<> none;
                      co_await none;
                  }));
}

// A group cannot be left unjoined: with_group joins it, and nothing else makes one.
TEST_F(Misuse, a_group_gets_a_task_before_its_body_has_begun) {
    EXPECT_MISUSE("spawn into a task_group that has ended, or whose body has not begun",
                  run([]() -> rt::task<> {
                      auto body = [](rt::task_group& group) {
                          group.spawn(forever());
                          return forever();
                      };
                      (void)co_await rt::with_group(body);
                  }));
}

TEST_F(Misuse, select_any_of_nothing) {
    EXPECT_MISUSE("rt::select_any of nothing would wait for ever", run([]() -> rt::task<> {
                      std::vector<rt::join_handle<>> none;
                      (void)co_await rt::select_any(none);
                  }));
}

constexpr auto moved_set = "a join_set or join_map that was moved from is used";

TEST_F(Misuse, a_join_set_that_was_moved_from_is_used) {
    rt::join_set<int> set;
    auto other = std::move(set);
    EXPECT_MISUSE(moved_set, (void)set.size());
    EXPECT_MISUSE(moved_set, (void)set.empty());
    EXPECT_MISUSE(moved_set, (void)set.try_next());
    EXPECT_MISUSE(moved_set, set.stop_all());
    EXPECT_MISUSE(moved_set, (void)set.next());
}

TEST_F(Misuse, a_join_map_that_was_moved_from_is_used) {
    rt::join_map<int> map;
    auto other = std::move(map);
    EXPECT_MISUSE(moved_set, (void)map.size());
    EXPECT_MISUSE(moved_set, (void)map.empty());
    EXPECT_MISUSE(moved_set, (void)map.try_next());
    EXPECT_MISUSE(moved_set, map.stop_all());
    EXPECT_MISUSE(moved_set, (void)map.next());
}

TEST_F(Misuse, two_wait_for_one_join_set) {
    EXPECT_MISUSE("two next() of one join_set at once", run([]() -> rt::task<> {
                      rt::join_set<> set;
                      set.spawn(forever());
                      co_await rt::join(set.next(), set.next());
                  }));
}

/// Takes a result of the set when it goes.
struct taker {
    rt::join_set<int>* set;
    ~taker() { (void)set->try_next(); }
};

TEST_F(Misuse, a_result_is_taken_away_from_the_select_that_won_it) {
    EXPECT_MISUSE("what a next() of a join_set had won was taken or stopped before",
                  run([]() -> rt::task<> {
                      rt::join_set<int> set;
                      set.spawn([]() -> rt::task<int> {
                          co_await yields(3);
                          co_return 1;
                      });
                      set.spawn([]() -> rt::task<int> {
                          co_await forever();
                          co_return 2;
                      });
                      auto loser = [](rt::join_set<int>& set) -> rt::task<> {
                          taker takes{&set};
                          co_await forever();
                      };
                      (void)co_await rt::select(set.next(), rt::allow_loss(loser(set)));
                  }));
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

constexpr auto culprit =
    "rt: misuse: a destructor threw while a stop or an error took the frames down, in task [0-9]+ "
    "'the culprit', spawned at .*misuse/task.cpp:";

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
