// Who a task is: id, name and spawn site, in its body and in the destructors of what it leaves.
#include "task/helpers.hpp"

#include <set>
#include <source_location>

namespace {

class Identity : public EveryRuntime {};
EVERY_RUNTIME(Identity);

struct asks_id {
    std::atomic<std::uint64_t>* seen;
    explicit asks_id(std::atomic<std::uint64_t>& s) : seen(&s) {}
    asks_id(asks_id&& other) noexcept : seen(std::exchange(other.seen, nullptr)) {}
    ~asks_id() {
        if (seen) *seen = rt::this_task::id();
    }
};

TEST_P(Identity, the_id_is_seen_in_the_body_and_the_destructors_of_frame_and_result_b35) {
    EXPECT_EQ(rt::this_task::id(), 0u);
    run([&]() -> rt::task<> {
        auto mine = rt::this_task::id();
        EXPECT_NE(mine, 0u);
        std::atomic<std::uint64_t> body = 0, local = 0, parameter = 0, result = 0;
        auto work = [](asks_id, auto& body, auto& local, auto& result) -> rt::task<asks_id> {
            asks_id l(local);
            co_await rt::yield_now();
            body = rt::this_task::id();
            co_return asks_id(result);
        };
        auto h = rt::spawn(work(asks_id(parameter), body, local, result));
        auto id = h.id();
        EXPECT_NE(id, mine);
        h.detach();
        while (result == 0) co_await rt::yield_now();
        EXPECT_EQ(body, id);
        EXPECT_EQ(local, id);
        EXPECT_EQ(parameter, id);
        EXPECT_EQ(result, id);
        // Destroyed by whoever drops the handle: still its own task's.
        result = 0;
        auto kept = rt::spawn(work(asks_id(parameter), body, local, result));
        while (!kept.done()) co_await rt::yield_now();
        id = kept.id();
        kept = {};
        while (result == 0) co_await rt::yield_now();
        EXPECT_EQ(result, id);
        EXPECT_EQ(rt::this_task::id(), mine);
    });
    EXPECT_EQ(rt::this_task::id(), 0u);
}

TEST_P(Identity, destructors_that_run_on_a_stop_see_the_id_b35) {
    run([&]() -> rt::task<> {
        std::atomic<std::uint64_t> local = 0;
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& local, auto& waits) -> rt::task<> {
            asks_id l(local);
            auto inner = [](auto& waits) -> rt::task<> {
                waits = true;
                co_await forever();
            };
            co_await rt::join(inner(waits), forever());
        }(local, waits));
        auto id = h.id();
        co_await until(waits);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_EQ(local, id);
    });
}

TEST_P(Identity, it_is_the_same_after_every_kind_of_await_and_in_every_child_b35) {
    run([&]() -> rt::task<> {
        auto id = rt::this_task::id();
        auto check = [id]() -> rt::task<> {
            EXPECT_EQ(rt::this_task::id(), id);
            co_await rt::sleep(1ms);
            EXPECT_EQ(rt::this_task::id(), id);
        };
        co_await check();
        co_await rt::join(check(), check());
        (void)co_await rt::select(rt::allow_loss(check()), rt::allow_loss(check()));
        EXPECT_EQ(rt::this_task::id(), id);
        (void)co_await rt::timeout(24h, check());
        co_await rt::spawn(yields(2));
        EXPECT_EQ(rt::this_task::id(), id);
        (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            EXPECT_EQ(rt::this_task::id(), id);
            g.spawn([](std::uint64_t id) -> rt::task<> {
                EXPECT_NE(rt::this_task::id(), id);
                co_return;
            }(id));
            co_await check();
        });
        EXPECT_EQ(rt::this_task::id(), id);
    });
}

TEST_P(Identity, ids_of_live_tasks_never_collide_b35) {
    run([&]() -> rt::task<> {
        std::vector<rt::join_handle<>> h;
        std::set<std::uint64_t> ids;
        std::mutex mutex;
        std::atomic<bool> over = false;
        auto many = [&]() -> rt::task<> {
            std::vector<rt::join_handle<>> mine;
            for (int i = 0; i < 3000; ++i) {
                mine.push_back(rt::spawn(until(over)));
                std::lock_guard guard(mutex);
                EXPECT_TRUE(ids.insert(mine.back().id()).second);
            }
            for (auto& each : mine) each.stop();
            for (auto& each : mine) (void)co_await each.outcome();
        };
        auto a = rt::spawn(many()), b = rt::spawn(many());
        co_await a;
        co_await b;
    });
}

TEST_P(Identity, names_and_spawn_sites_are_those_of_the_callers_line_b35) {
    run([&]() -> rt::task<> {
        auto site = []() -> rt::task<std::source_location> {
            co_return rt::this_task::spawned_at();
        };
        auto name = []() -> rt::task<std::string> { co_return std::string(rt::this_task::name()); };
        auto line = std::source_location::current().line();
        auto a = rt::spawn(site());
        auto b = rt::spawn([site] { return site(); });
        auto c = rt::spawn([site](int) { return site(); }, 1);
        auto d = rt::spawn(rt::task_options{.name = "named"}, name());
        auto e = rt::spawn_on(0, site());
        auto f = runtime().spawn(site());
        EXPECT_EQ((co_await a).line(), line + 1);
        EXPECT_EQ((co_await b).line(), line + 2);
        EXPECT_EQ((co_await c).line(), line + 3);
        EXPECT_EQ(co_await d, "named");
        EXPECT_EQ((co_await e).line(), line + 5);
        EXPECT_EQ((co_await f).line(), line + 6);
    });
}

TEST_P(Identity, tasks_of_a_group_know_the_callers_line_too_b35) {
    run([&]() -> rt::task<> {
        std::vector<unsigned> lines(4);
        unsigned line = 0;
        auto site = [](unsigned& out) -> rt::task<> {
            out = rt::this_task::spawned_at().line();
            EXPECT_TRUE(
                std::string(rt::this_task::spawned_at().file_name()).ends_with("identity.cpp"));
            co_return;
        };
        (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
            line = std::source_location::current().line();
            g.spawn(site(lines[0]));
            g.spawn({.name = "named"}, site(lines[1]));
            g.spawn([&] { return site(lines[2]); });
            g.spawn([&](int i) { return site(lines[static_cast<unsigned>(i)]); }, 3);
            co_return;
        });
        for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(lines[i], line + 1 + i);
    });
}

/// A task spawned into a runtime that has ended ends on the spot, inside its spawner's turn.
TEST_P(Identity, spawning_into_a_runtime_that_has_ended_leaves_the_spawner_who_it_is_b12_b35) {
    auto other = builder_for(GetParam()).build();
    auto handle = other.handle();
    other.shutdown();
    run([&]() -> rt::task<> {
        auto id = rt::this_task::id();
        std::atomic<std::uint64_t> seen = 0;
        auto h = handle.spawn([](asks_id) -> rt::task<> { co_return; }(asks_id(seen)));
        EXPECT_EQ(rt::this_task::id(), id);
        EXPECT_EQ(seen, h.id());
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_EQ(rt::this_task::id(), id);
    });
}

}  // namespace
