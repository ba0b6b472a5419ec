// Scopes within a task, and tasks by the many: what their operations wait for is withdrawn with
// them.
#include <array>
#include <ranges>
#include <vector>

#include "promises/race.hpp"

namespace {

/// A value, which a scope waits for.
template <class Waits>
struct scope_row : race::row {
    std::pair<rt::sender<int>, rt::receiver<int>> way = rt::channel<int>(1);
    std::pair<rt::sender<int>, rt::receiver<int>> never = rt::channel<int>(1);

    rt::task<> act() {
        auto value = co_await Waits()(*this);
        EXPECT_EQ(value, 1);
    }
    void give() { EXPECT_TRUE(way.first.try_send(1)); }
};
RACE(the_value_that_a_scope_observes_is_there_or_still_to_come_b34, "task/scope:inner_op",
     scope_row<decltype([](auto& row) -> rt::task<int> {
         auto value = co_await rt::as_optional(row.way.second.recv());
         if (!value) co_await rt::yield_now();  // it stops here
         co_return **value;
     })>)
RACE(the_value_that_a_body_under_a_token_waits_for_b34, "task/stop_when:stop_when_op",
     scope_row<decltype([](auto& row) -> rt::task<int> {
         rt::stop_source nobody;
         auto value = co_await rt::stop_when(nobody.get_token(), row.way.second.recv());
         co_return value.value().value();
     })>)
RACE(the_value_that_a_body_with_a_token_waits_for_b34, "task/stop_when:with_stop_token",
     scope_row<decltype([](auto& row) -> rt::task<int> {
         auto value =
             co_await rt::with_stop_token([&](rt::stop_token) -> rt::task<std::optional<int>> {
                 co_return co_await row.way.second.recv();
             });
         co_return *value;
     })>)
RACE(a_value_that_is_one_of_many_b30_b31, "task/range:select_any_op",
     scope_row<decltype([](auto& row) -> rt::task<int> {
         std::array receivers{&row.never.second, &row.way.second};
         auto [index, value] = co_await rt::select_any(
             receivers | std::views::transform([](auto* from) { return from->recv(); }));
         EXPECT_EQ(index, 1u);
         co_return *value;
     })>)
RACE(the_value_that_the_body_of_a_with_waits_for_b33, "task/scope:shield_op",
     scope_row<decltype([](auto& row) -> rt::task<int> {
         auto value = co_await rt::with(
             0,
             [&](int&) -> rt::task<std::optional<int>> {
                 co_return co_await row.way.second.recv();
             },
             [](int& closed) -> rt::task<> {
                 EXPECT_EQ(closed++, 0);
                 co_return;
             });
         co_return *value;
     })>)

/// The unit is the end of a task of a set.
template <class Set>
struct set_row : race::row {
    rt::notify bell;
    Set set;
    int number = 0;

    rt::task<> reset() {
        if (!set.empty()) co_return;
        ++number;
        auto body = [](rt::notify& bell, int value) -> rt::task<int> {
            co_await bell.wait();
            co_return value;
        };
        if constexpr (requires { set.spawn(number, body(bell, number)); }) {
            set.spawn(number, body(bell, number));
        } else {
            set.spawn(body(bell, number));
        }
    }
    auto op() { return set.next(); }
    void take(std::optional<int> value) { EXPECT_EQ(value, number); }
    void take(std::optional<std::pair<int, rt::outcome<int>>> value) {
        EXPECT_EQ(value->first, number);
        EXPECT_EQ(value->second.value(), number);
    }
    void give() { bell.notify_one(); }
};
RACE(the_next_task_of_a_set_b31_b37, "task/join_set:next_op", set_row<rt::join_set<int>>)
RACE(the_next_task_of_a_queue_b31_b37, "task/join_set:next_op", set_row<rt::join_queue<int>>)
RACE(the_next_task_of_a_map_b31_b37, "task/join_map:next_op", set_row<rt::join_map<int, int>>)

}  // namespace
