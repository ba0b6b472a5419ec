// What waits can be seen: from any thread, at any moment, and without disturbing it.
#include "support/run.hpp"

#include "pipe.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <random>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Dump : public EveryRuntime {};
EVERY_RUNTIME(Dump);

unsigned line(std::source_location where = std::source_location::current()) { return where.line(); }

/// Of the task with that name, once it waits.
rt::task<rt::task_info> waiting(rt::runtime& runtime, std::string name) {
    for (;;) {
        for (auto& t : runtime.dump().tasks) {
            if (t.name == name && !t.awaits.empty()) co_return t;
        }
        co_await rt::yield_now();
    }
}

struct lines {
    unsigned outer = 0, inner = 0;
};

rt::task<> sleeps(lines& at) {
    at.inner = line() + 1;
    co_await rt::sleep(24h);
}
rt::task<> calls(lines& at) {
    at.outer = line() + 1;
    co_await sleeps(at);
}
rt::io_task<> calls_with_results(lines& at) {
    auto fails = [](lines& at) -> rt::io_task<> {
        co_await sleeps(at);
        co_return {};
    };
    at.outer = line() + 1;
    co_await fails(at).or_return();
    co_return {};
}

TEST_P(Dump, a_task_shows_the_chain_of_what_it_awaits) {
    run([this]() -> rt::task<> {
        lines at;
        auto spawned = line() + 1;
        auto h = rt::spawn({.name = "sleeper"}, calls(at));
        auto t = co_await waiting(runtime(), "sleeper");
        EXPECT_EQ(t.id, h.id());
        EXPECT_EQ(t.spawned_at.line(), spawned);
        EXPECT_FALSE(t.worker);
        EXPECT_LT(t.waited, 1h);
        EXPECT_EQ(t.awaits.size(), 2u);
        EXPECT_STREQ(t.awaits.at(0).what, "a task");
        EXPECT_EQ(t.awaits.at(0).where.line(), at.outer);
        EXPECT_STREQ(t.awaits.at(1).what, "rt::sleep");
        EXPECT_EQ(t.awaits.at(1).where.line(), at.inner);
        EXPECT_NE(std::string(t.awaits.at(1).where.file_name()).find("dump.cpp"),
                  std::string::npos);

        auto r = rt::spawn({.name = "with results"}, calls_with_results(at));
        t = co_await waiting(runtime(), "with results");
        EXPECT_EQ(t.awaits.size(), 3u);
        EXPECT_EQ(t.awaits.at(0).where.line(), at.outer);
        EXPECT_EQ(t.awaits.at(2).where.line(), at.inner);
    });
}

TEST_P(Dump, what_is_nested_shows_its_caller_s_line) {
    run([this]() -> rt::task<> {
        rt::notify bell;
        auto nested = rt::spawn({.name = "nested"}, [](rt::notify& bell) -> rt::task<> {
            auto waits = [&](rt::task_group&) -> rt::task<> { co_await bell.wait(); };
            auto closes = [](int) -> rt::task<> { co_return; };
            (void)co_await rt::join(
                rt::select(bell.wait(), rt::sleep(24h)), rt::timeout(24h, bell.wait()),
                rt::try_join(bell.wait()), rt::as_optional(rt::shield(bell.wait())),
                rt::with_group(waits),
                rt::with(1, [&](int) -> rt::task<> { co_await bell.wait(); }, closes));
        }(bell));
        auto t = co_await waiting(runtime(), "nested");
        std::vector<std::string> names;
        for (auto& a : t.awaits) {
            if (a.depth == 1) names.emplace_back(a.what);
            EXPECT_NE(std::string(a.where.file_name()).find("dump.cpp"), std::string::npos)
                << to_string(runtime().dump());
        }
        for (auto* name : {"rt::select", "rt::timeout", "rt::try_join", "rt::as_optional",
                           "rt::with_group", "rt::with"})
            EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
        bell.notify_all();  // the shield holds a stop up
        co_await nested;
    });
}

TEST_P(Dump, joins_selects_and_groups_show_each_of_their_parts) {
    run([this]() -> rt::task<> {
        auto j = rt::spawn({.name = "join"}, []() -> rt::task<> {
            rt::notify bell;
            lines at;
            (void)co_await rt::join(calls(at), bell.wait());
        }());
        auto t = co_await waiting(runtime(), "join");
        std::vector<std::pair<unsigned, std::string>> seen;
        for (auto& a : t.awaits) seen.emplace_back(a.depth, a.what);
        std::vector<std::pair<unsigned, std::string>> expected{
            {0, "rt::join"}, {1, "a task"}, {1, "rt::sleep"}, {1, "rt::notify::wait"}};
        EXPECT_EQ(seen, expected) << to_string(runtime().dump());

        auto s = rt::spawn({.name = "select"}, []() -> rt::task<> {
            rt::notify bell;
            lines at;
            (void)co_await rt::select(rt::sleep(24h), bell.wait(), rt::allow_loss(calls(at)));
        }());
        t = co_await waiting(runtime(), "select");
        seen.clear();
        for (auto& a : t.awaits) seen.emplace_back(a.depth, a.what);
        expected = {{0, "rt::select"},
                    {1, "rt::sleep"},
                    {1, "rt::notify::wait"},
                    {1, "a task"},
                    {1, "rt::sleep"}};
        EXPECT_EQ(seen, expected) << to_string(runtime().dump());

        auto g = rt::spawn({.name = "group"}, []() -> rt::task<> {
            lines at;
            co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
                group.spawn({.name = "member"}, calls(at));
                co_await rt::sleep(24h);
            }).or_throw();
        }());
        t = co_await waiting(runtime(), "group");
        EXPECT_STREQ(t.awaits.at(1).what, "rt::with_group");
        EXPECT_STREQ(t.awaits.back().what, "rt::sleep");
        (void)co_await waiting(runtime(), "member");
    });
}

TEST_P(Dump, io_and_blocking_jobs_are_named) {
    run([this]() -> rt::task<> {
        test_pipe pipe;
        auto r = rt::spawn({.name = "reader"},
                           [](test_pipe& pipe) -> rt::task<> { co_await pipe.get(); }(pipe));
        EXPECT_STREQ((co_await waiting(runtime(), "reader")).awaits.back().what, "read_byte");

        std::atomic<bool> over{false};
        auto b = rt::spawn({.name = "waits for a job"}, [](auto& over) -> rt::task<> {
            co_await rt::spawn_blocking([&] {
                while (!over) std::this_thread::yield();
            });
        }(over));
        auto t = co_await waiting(runtime(), "waits for a job");
        EXPECT_STREQ(t.awaits.back().what, "a join_handle") << to_string(runtime().dump());
        over = true;
        co_await std::move(b);
        r.stop();
        (void)co_await r.outcome();
    });
}

TEST_P(Dump, a_running_task_shows_its_worker_and_a_ready_one_nothing) {
    run([this]() -> rt::task<> {
        auto me = rt::this_task::id();
        auto all = runtime().dump();
        auto t =
            std::find_if(all.tasks.begin(), all.tasks.end(), [me](auto& t) { return t.id == me; });
        EXPECT_NE(t, all.tasks.end());
        EXPECT_TRUE(t->worker && *t->worker < runtime().worker_count());
        EXPECT_TRUE(t->awaits.empty());
        EXPECT_NE(to_string(all).find("runs on worker"), std::string::npos);
        co_return;
    });
}

// The dump holds operations fast for a moment: completions and stops that come meanwhile are made
// up for.
TEST_P(Dump, it_disturbs_neither_completions_nor_stops) {
    run([this]() -> rt::task<> {
        std::atomic<bool> over{false};
        std::atomic<int> ended{0};
        auto looker = rt::spawn_blocking([&] {
            std::size_t seen = 0;
            while (!over) {
                // Not without end: who dumps all the time leaves the others little.
                auto round = ended.load();
                for (int i = 0; i < 20; ++i) {
                    for (auto& t : runtime().dump().tasks) seen += t.awaits.size();
                }
                while (!over && ended == round) std::this_thread::yield();
            }
            return seen;
        });
        std::mt19937 random(7);
        for (int round = 0; round < (sanitized ? 100 : 400); ++round) {
            rt::notify bell;
            auto [tx, rx] = rt::channel<int>(1);
            std::vector<rt::join_handle<>> tasks;
            for (int i = 0; i < 4; ++i) {
                tasks.push_back(rt::spawn([](rt::notify& bell) -> rt::task<> {
                    (void)co_await rt::join(bell.wait(), rt::sleep(20us), rt::yield_now());
                }(bell)));
                tasks.push_back(rt::spawn([](rt::notify& bell, auto tx) -> rt::task<> {
                    (void)co_await rt::select(bell.wait(), rt::sleep(30us));
                    (void)co_await tx.send(1);
                }(bell, tx)));
                tasks.push_back(rt::spawn([](auto& rx) -> rt::task<> {
                    (void)co_await rt::select(rx.recv(), rt::sleep(100us));
                }(rx)));
                if (i == 0) continue;
                tasks.pop_back();  // one receiver
            }
            std::vector<rt::join_handle<>> sleepers;  // they end by a stop, or never
            for (int i = 0; i < 8; ++i)
                sleepers.push_back(rt::spawn([]() -> rt::task<> { co_await rt::sleep(24h); }()));
            for (unsigned n = random() % 8; n > 0; --n) co_await rt::yield_now();
            for (auto& s : sleepers) s.stop();
            for (auto& s : sleepers) EXPECT_TRUE((co_await s.outcome()).stopped());
            bell.notify_all();
            for (auto& t : tasks) {
                if (random() % 2) t.stop();
            }
            rx.close();
            while (!std::all_of(tasks.begin(), tasks.end(), [](auto& t) { return t.done(); })) {
                bell.notify_all();
                co_await rt::yield_now();
            }
            ++ended;
        }
        over = true;
        EXPECT_GT(co_await std::move(looker), 0u);
        EXPECT_EQ(ended, sanitized ? 100 : 400);
    });
}

TEST(DumpStall, it_comes_at_once_though_all_workers_are_kept) {
    auto runtime = rt::runtime::builder().workers(2).build();
    std::atomic<int> kept{0};
    std::atomic<bool> over{false};
    std::vector<rt::join_handle<>> hogs;
    for (int i = 0; i < 2; ++i)
        hogs.push_back(runtime.spawn([](auto& kept, auto& over) -> rt::task<> {
            ++kept;
            while (!over) std::this_thread::yield();
            co_return;
        }(kept, over)));
    while (kept < 2) std::this_thread::yield();
    auto all = runtime.dump();
    over = true;
    EXPECT_EQ(all.tasks.size(), 2u);
    for (auto& t : all.tasks) EXPECT_TRUE(t.worker);
    for (auto& h : hogs) rt::sync_wait(std::move(h));
}

TEST(DumpSignal, it_comes_on_a_signal_though_all_workers_are_kept) {
    std::atomic<std::size_t> seen{0};
    std::atomic<int> dumps{0};
    auto runtime = rt::runtime::builder()
                       .workers(1)
                       .dump_on_signal(SIGUSR2,
                                       [&](auto& dump) {
                                           seen = dump.tasks.size();
                                           ++dumps;
                                       })
                       .build();
    std::raise(SIGUSR2);
    while (dumps != 1) std::this_thread::yield();  // nothing runs
    EXPECT_EQ(seen, 0u);
    runtime.block_on([](auto& dumps) -> rt::task<> {
        auto other = rt::spawn([]() -> rt::task<> { co_await rt::sleep(24h); }());
        co_await rt::yield_now();
        std::raise(SIGUSR2);
        while (dumps != 2) std::this_thread::yield();
    }(dumps));
    EXPECT_EQ(seen, 2u);
}

TEST(DumpSignal, one_that_cannot_be_caught_is_refused_b20) {
    for (int signal : {-1, SIGKILL, 1000}) {
        std::string why;
        EXPECT_FALSE(rt::runtime::builder().dump_on_signal(signal).try_build(&why));
        EXPECT_NE(why.find("dump_on_signal"), std::string::npos) << why;
    }
}

}  // namespace
