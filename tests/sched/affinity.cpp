// Thread per core: a task never changes its thread. And what spawn_on() promises.
#include "support/run.hpp"

#include "pipe.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

class Affinity : public testing::TestWithParam<rt::reactor_kind> {
protected:
    static constexpr unsigned workers = 3;
    rt::runtime runtime =
        rt::runtime::builder().thread_per_core().workers(workers).reactor(GetParam()).build();
};
INSTANTIATE_TEST_SUITE_P(Each, Affinity,
                         testing::Values(rt::reactor_kind::io_uring, rt::reactor_kind::epoll),
                         [](const auto& info) { return std::string(rt::to_string(info.param)); });

class home {
public:
    void check(const char* after) const {
        EXPECT_EQ(std::this_thread::get_id(), id_) << "after " << after;
    }

private:
    std::thread::id id_ = std::this_thread::get_id();
};

rt::task<> every_kind_of_await(test_pipe& pipe, rt::notify& bell) {
    home here;
    for (int i = 0; i < 3; ++i) {
        co_await rt::yield_now();
        here.check("yield_now");
        co_await rt::sleep(100us);
        here.check("sleep");
        for (int n = 0; n < 300; ++n) co_await rt::consume_budget();
        here.check("a used-up budget");
        co_await rt::spawn([]() -> rt::task<> { co_await rt::yield_now(); }());
        here.check("the join of a task here");
        for (unsigned w = 0; w < rt::current_executor()->worker_count(); ++w) {
            co_await rt::spawn_on(w, []() -> rt::task<> { co_await rt::sleep(50us); }());
            here.check("the join of a task elsewhere");
        }
        co_await rt::spawn_blocking([] { std::this_thread::yield(); });
        here.check("a blocking job");
        (void)co_await rt::select(rt::sleep(50us), rt::sleep(1h));
        here.check("select");
        (void)co_await rt::select(rt::allow_loss([](home here) -> rt::task<> {
                                      co_await rt::sleep(50us);
                                      here.check("a sleep in an arm of a select");
                                  }(here)),
                                  rt::sleep(1h));
        here.check("select of a task");
        auto child = [](home here) -> rt::task<> {
            co_await rt::sleep(50us);
            here.check("a sleep in a join");
        };
        co_await rt::join(child(here), child(here));
        here.check("join");
        (void)co_await rt::with_group([&](rt::task_group& group) -> rt::task<> {
            group.spawn(child(here));
            co_return;
        });
        here.check("with_group");
        (void)co_await rt::timeout(50us, rt::sleep(1h));
        here.check("timeout");
        auto [tx, rx] = rt::channel<int>(1);
        auto sends = rt::spawn_blocking([tx = std::move(tx)]() mutable { (void)tx.try_send(1); });
        EXPECT_TRUE(co_await rx.recv());
        here.check("recv from a channel");
        co_await std::move(sends);
        auto rings = rt::spawn_blocking([&bell] { bell.notify_one(); });
        co_await bell.wait();
        here.check("notify");
        co_await std::move(rings);
        auto writes = rt::spawn_blocking([&pipe] { pipe.put(); });
        EXPECT_TRUE(co_await pipe.get());
        here.check("a read");
        co_await std::move(writes);
        (void)co_await rt::select(pipe.get(), rt::sleep(50us));
        here.check("a read in a select");
    }
}

TEST_P(Affinity, a_task_never_changes_its_thread_b17) {
    test_pipe pipes[2 * workers];
    rt::notify bells[2 * workers];
    runtime.block_on([](auto& pipes, auto& bells) -> rt::task<> {
        std::vector<rt::join_handle<>> all;
        for (unsigned i = 0; i < 2 * workers; ++i)
            all.push_back(rt::spawn_on(i % workers, every_kind_of_await(pipes[i], bells[i])));
        for (auto& h : all) co_await h;
    }(pipes, bells));
}

// A group that serves every worker's connections: they had all gone to the worker of the group.
TEST_P(Affinity, what_a_group_s_task_spawns_into_it_stays_on_that_worker_b17) {
    runtime.block_on([]() -> rt::task<> {
        (void)co_await rt::with_group([](rt::task_group& group) -> rt::task<> {
            auto here = [](home spawner) -> rt::task<> {
                spawner.check("a spawn into a group of another worker");
                co_return;
            };
            for (unsigned w = 0; w < workers; ++w) {
                group.spawn_on(w, [](rt::task_group& group, auto here) -> rt::task<> {
                    group.spawn(here(home()));
                    co_return;
                }(group, here));
            }
            co_return;
        });
    }());
}

TEST_P(Affinity, spawn_stays_and_spawn_on_goes_to_its_worker_b17) {
    runtime.block_on([]() -> rt::task<> {
        std::set<std::thread::id> threads;
        for (unsigned w = 0; w < workers; ++w) {
            auto ids = co_await rt::spawn_on(w, []() -> rt::task<std::vector<std::thread::id>> {
                std::vector<std::thread::id> ids{std::this_thread::get_id()};
                for (int i = 0; i < 5; ++i) {
                    ids.push_back(co_await rt::spawn([]() -> rt::task<std::thread::id> {
                        co_await rt::yield_now();
                        co_return std::this_thread::get_id();
                    }()));
                }
                co_return ids;
            }());
            for (auto id : ids) EXPECT_EQ(id, ids[0]);
            threads.insert(ids[0]);
            auto again = co_await rt::spawn_on(
                w, []() -> rt::task<std::thread::id> { co_return std::this_thread::get_id(); }());
            EXPECT_EQ(again, ids[0]);
        }
        EXPECT_EQ(threads.size(), workers);
    }());
}

TEST_P(Affinity, tasks_of_one_worker_never_run_at_the_same_time_b17) {
    runtime.block_on([]() -> rt::task<> {
        for (unsigned w = 0; w < workers; ++w) {
            int plain = 0;  // no atomic, no lock: the thread sanitizer is the judge
            std::vector<rt::join_handle<>> all;
            for (int i = 0; i < 20; ++i) {
                all.push_back(rt::spawn_on(w, [](int& plain) -> rt::task<> {
                    for (int n = 0; n < 20; ++n) {
                        ++plain;
                        co_await rt::yield_now();
                        co_await rt::spawn_blocking([] {});
                    }
                }(plain)));
            }
            for (auto& h : all) co_await h;
            EXPECT_EQ(plain, 400);
        }
    }());
}

class SpawnOn : public EveryRuntime {};
EVERY_RUNTIME(SpawnOn);

TEST_P(SpawnOn, an_unknown_worker_is_a_clear_error_b17) {
    auto runtime = builder_for(GetParam()).build();
    auto n = runtime.worker_count();
    auto says = [n](auto call) {
        try {
            call();
            ADD_FAILURE() << "no exception";
        } catch (const std::out_of_range& e) {
            auto message = std::string(e.what());
            EXPECT_NE(message.find("spawn_on(" + std::to_string(n) + ")"), std::string::npos)
                << message;
            EXPECT_NE(message.find("workers 0 to " + std::to_string(n - 1)), std::string::npos)
                << message;
        }
    };
    auto nothing = []() -> rt::task<> { co_return; };
    says([&] { (void)runtime.handle().spawn_on(n, nothing()); });
    runtime.block_on([](auto says, unsigned n, auto nothing) -> rt::task<> {
        says([&] { (void)rt::spawn_on(n, nothing()); });
        co_await rt::spawn_on(n - 1, nothing());
    }(says, n, nothing));
    EXPECT_EQ(runtime.counters().alive, 0u);
}

}  // namespace
