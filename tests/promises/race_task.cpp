// Tasks: an outcome is taken once; and what waits in join, groups and jobs is withdrawn with them.
#include <vector>

#include "promises/race.hpp"

namespace {

/// The unit is the end of a task.
template <class Waits>
struct join_row : race::row {
    rt::notify bell;
    rt::join_handle<int> child;
    int number = 0;

    rt::task<> reset() {
        auto worker = static_cast<unsigned>(++number) % workers;
        child = rt::spawn_on(worker, [](rt::notify& bell, int value) -> rt::task<int> {
            co_await bell.wait();
            co_return value;
        }(bell, number));
        co_return;
    }
    auto op() { return Waits()(child); }
    void take(int value) { EXPECT_EQ(value, number); }
    void take(rt::outcome<int> end) { EXPECT_EQ(end.value(), number); }
    void give() { bell.notify_one(); }
};
RACE(the_value_of_a_task_b25_b31, "task/spawn:join_op",
     join_row<decltype([](auto& child) { return child.as_operation(); })>)
RACE(the_outcome_of_a_task_b25_b31, "task/spawn:join_op",
     join_row<decltype([](auto& child) { return child.outcome(); })>)

/// Two values by two ways; what has come by one is not asked for again.
template <class Both>
struct two_row : race::row {
    std::pair<rt::sender<int>, rt::receiver<int>> ways[2] = {rt::channel<int>(1),
                                                             rt::channel<int>(1)};
    bool has[2] = {};

    rt::task<> reset() {
        has[0] = has[1] = false;
        co_return;
    }
    rt::task<> part(std::size_t i) {
        if (has[i]) co_return;
        EXPECT_TRUE(co_await ways[i].second.recv());
        has[i] = true;
    }
    rt::task<> act() { return Both()(*this); }
    void give() {
        for (auto& way : ways) EXPECT_TRUE(way.first.try_send(1));
    }
};
RACE(
    values_that_a_join_waits_for_b29_b34, "task/join:join_children",
    two_row<decltype([](auto& row) -> rt::task<> { co_await rt::join(row.part(0), row.part(1)); })>)
RACE(values_that_a_try_join_waits_for_b29_b34, "task/join:join_children",
     two_row<decltype([](auto& row) -> rt::task<> {
         EXPECT_TRUE(co_await rt::try_join(row.part(0), row.part(1)));
     })>)
RACE(values_that_a_range_of_tasks_waits_for_b29_b34, "task/range:join_range_op",
     two_row<decltype([](auto& row) -> rt::task<> {
         std::vector<rt::task<>> parts;
         parts.push_back(row.part(0));
         parts.push_back(row.part(1));
         co_await rt::join_all(std::move(parts));
     })>)
RACE(values_that_a_group_waits_for_b28_b34, "task/group:with_group task/group:group_op",
     two_row<decltype([](auto& row) -> rt::task<> {
         EXPECT_TRUE(co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
             group.spawn(row.part(0));
             co_await row.part(1);
         }));
     })>)

/// A job has run, or will not. Its task is the subject.
struct job_row : race::row {
    static constexpr int cost = 2;
    static constexpr bool early = true;
    std::atomic<bool> ran = false;

    rt::join_handle<bool> start() {
        return rt::spawn_blocking([this] {
            EXPECT_FALSE(ran.exchange(true));
            return true;
        });
    }
    rt::task<> act() {
        co_await start();
        EXPECT_TRUE(ran.exchange(false));
    }
    void give() {}
};
RACE(a_job_has_run_or_never_does_b19, "io/blocking:blocking_op io/blocking:run_blocking", job_row)

}  // namespace
