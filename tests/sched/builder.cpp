// The builder: what it refuses, what the environment may say, and the hooks.
#include "support/run.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Sets a variable of the environment for one scope; null: unsets it.
class with_env {
public:
    with_env(const char* name, const char* value) : name_(name) {
        auto* before = std::getenv(name);
        was_set_ = before != nullptr;
        if (before) before_ = before;
        value ? ::setenv(name, value, 1) : ::unsetenv(name);
    }
    with_env(const with_env&) = delete;
    with_env& operator=(const with_env&) = delete;
    ~with_env() { was_set_ ? ::setenv(name_, before_.c_str(), 1) : ::unsetenv(name_); }

private:
    const char* name_;
    bool was_set_;
    std::string before_;
};

class Environment : public testing::Test {
    with_env flavor_{"RT_FLAVOR", nullptr}, reactor_{"RT_REACTOR", nullptr},
        workers_{"RT_WORKERS", nullptr};
};

std::string refusal_of(rt::runtime::builder_type builder) {
    std::string why;
    auto made = builder.try_build(&why);
    EXPECT_FALSE(made.has_value());
    if (!made) {
        EXPECT_EQ(made.error(), rt::errc::bad_option);
    }
    try {
        (void)builder.build();
        ADD_FAILURE() << "build() did not throw";
    } catch (const std::system_error& e) {
        EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
    return why;
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(Environment, it_fills_in_what_the_code_left_automatic_b20) {
    with_env workers("RT_WORKERS", "3"), reactor("RT_REACTOR", "epoll");
    {
        with_env flavor("RT_FLAVOR", "thread_per_core");
        auto runtime = rt::runtime::builder().build();
        EXPECT_EQ(runtime.flavor(), rt::runtime_flavor::thread_per_core);
        EXPECT_EQ(runtime.reactor(), rt::reactor_kind::epoll);
        EXPECT_EQ(runtime.worker_count(), 3u);
    }
    {
        with_env flavor("RT_FLAVOR", "work_stealing");
        EXPECT_EQ(rt::runtime::builder().build().flavor(), rt::runtime_flavor::work_stealing);
    }
    {
        with_env flavor("RT_FLAVOR", "current_thread");
        auto runtime = rt::runtime::builder().build();
        EXPECT_EQ(runtime.flavor(), rt::runtime_flavor::current_thread);
        EXPECT_EQ(runtime.worker_count(), 1u);  // RT_WORKERS is for those who have them
    }
    with_env flavor("RT_FLAVOR", nullptr);
    EXPECT_EQ(rt::runtime::builder().build().flavor(), rt::runtime_flavor::work_stealing);
    EXPECT_EQ(rt::block_on([]() -> rt::task<unsigned> {
                  co_return rt::current_executor()->worker_count();
              }()),
              3u);
}

TEST_F(Environment, it_never_overrides_the_code_b20) {
    with_env flavor("RT_FLAVOR", "work_stealing"), reactor("RT_REACTOR", "io_uring"),
        workers("RT_WORKERS", "7");
    auto runtime = rt::runtime::builder()
                       .thread_per_core()
                       .reactor(rt::reactor_kind::epoll)
                       .workers(2)
                       .build();
    EXPECT_EQ(runtime.flavor(), rt::runtime_flavor::thread_per_core);
    EXPECT_EQ(runtime.reactor(), rt::reactor_kind::epoll);
    EXPECT_EQ(runtime.worker_count(), 2u);
    auto current = rt::runtime::builder().current_thread().build();
    EXPECT_EQ(current.flavor(), rt::runtime_flavor::current_thread);
}

TEST_F(Environment, a_value_that_it_does_not_know_is_not_looked_at_where_the_code_chose_b20) {
    with_env flavor("RT_FLAVOR", "nonsense"), reactor("RT_REACTOR", "nonsense"),
        workers("RT_WORKERS", "nonsense");
    auto runtime =
        rt::runtime::builder().work_stealing().reactor(rt::reactor_kind::epoll).workers(1).build();
    EXPECT_EQ(runtime.worker_count(), 1u);
}

TEST_F(Environment, an_unknown_flavor_is_refused_and_the_message_says_what_there_is_b20) {
    with_env flavor("RT_FLAVOR", "threads");
    auto why = refusal_of(rt::runtime::builder());
    EXPECT_HAS(why, "RT_FLAVOR=threads");
    EXPECT_HAS(why, "work_stealing, thread_per_core or current_thread");
}

TEST_F(Environment, an_unknown_reactor_is_refused_and_the_message_says_what_there_is_b20) {
    with_env reactor("RT_REACTOR", "kqueue");
    auto why = refusal_of(rt::runtime::builder());
    EXPECT_HAS(why, "RT_REACTOR=kqueue");
    EXPECT_HAS(why, "io_uring, epoll or automatic");
}

TEST_F(Environment, workers_that_are_no_number_from_1_to_1024_are_refused_b20) {
    for (auto* value : {"0", "1025", "-1", "four", "4x", " 4", "99999999999999999999"}) {
        with_env workers("RT_WORKERS", value);
        auto why = refusal_of(rt::runtime::builder());
        EXPECT_HAS(why, std::string("RT_WORKERS=") + value);
        EXPECT_HAS(why, "1 to 1024");
    }
    with_env workers("RT_WORKERS", "");  // set, and empty: as if unset
    EXPECT_GE(rt::runtime::builder().build().worker_count(), 1u);
}

TEST_F(Environment, the_builder_refuses_0_workers_and_says_what_to_change_b20) {
    auto why = refusal_of(rt::runtime::builder().workers(0));
    EXPECT_HAS(why, "builder.workers(0)");
    EXPECT_HAS(why, "1 to 1024");
    EXPECT_HAS(refusal_of(rt::runtime::builder().workers(1025)), "1 to 1024");
    EXPECT_HAS(refusal_of(rt::runtime::builder().blocking_threads(0)), "at least one thread");
}

TEST_F(Environment, current_thread_has_one_worker_and_more_are_refused_b20) {
    auto why = refusal_of(rt::runtime::builder().current_thread().workers(4));
    EXPECT_HAS(why, "builder.workers(4)");
    EXPECT_HAS(why, "current_thread");
    EXPECT_EQ(rt::runtime::builder().current_thread().workers(1).build().worker_count(), 1u);
    // The number is the code's: the environment must not make one worker of it behind its back.
    with_env flavor("RT_FLAVOR", "current_thread");
    why = refusal_of(rt::runtime::builder().workers(4));
    EXPECT_HAS(why, "RT_FLAVOR=current_thread");
    EXPECT_HAS(why, "builder.workers(4)");
}

TEST_F(Environment, the_default_is_a_worker_for_each_cpu_that_may_be_used_b20) {
    auto n = rt::runtime::builder().build().worker_count();
    EXPECT_GE(n, 1u);
    EXPECT_LE(n, std::thread::hardware_concurrency());
}

class Hooks : public EveryRuntime {};
EVERY_RUNTIME(Hooks);

TEST_P(Hooks, each_start_of_a_worker_is_matched_by_one_stop_b18) {
    std::mutex mutex;
    std::vector<unsigned> started, stopped;
    std::set<std::pair<unsigned, std::thread::id>> open;
    {
        auto runtime = builder_for(GetParam())
                           .on_worker_start([&](unsigned i) {
                               std::lock_guard guard(mutex);
                               started.push_back(i);
                               EXPECT_TRUE(open.emplace(i, std::this_thread::get_id()).second);
                           })
                           .on_worker_stop([&](unsigned i) {
                               std::lock_guard guard(mutex);
                               stopped.push_back(i);
                               EXPECT_EQ(open.erase({i, std::this_thread::get_id()}), 1u);
                           })
                           .build();
        for (int i = 0; i < 3; ++i) runtime.block_on([]() -> rt::task<> { co_return; }());
        // Something is left for the end to stop.
        runtime.spawn([]() -> rt::task<> { co_await rt::sleep(1h); }()).detach();
    }
    EXPECT_TRUE(open.empty());
    EXPECT_EQ(started.size(), stopped.size());
    EXPECT_EQ(std::set<unsigned>(started.begin(), started.end()).size(),
              GetParam().workers ? GetParam().workers : 1);
    if (GetParam().workers) {
        EXPECT_EQ(started.size(), GetParam().workers);
    }
}

TEST_P(Hooks, a_start_hook_runs_before_the_first_task_of_its_worker_b18) {
    std::mutex mutex;
    std::set<std::thread::id> ready;
    auto runtime = builder_for(GetParam())
                       .on_worker_start([&](unsigned) {
                           std::lock_guard guard(mutex);
                           ready.insert(std::this_thread::get_id());
                       })
                       .build();
    runtime.block_on([&]() -> rt::task<> {
        for (int i = 0; i < 20; ++i) {
            co_await rt::spawn([](auto& mutex, auto& ready) -> rt::task<> {
                std::lock_guard guard(mutex);
                EXPECT_TRUE(ready.contains(std::this_thread::get_id()));
                co_return;
            }(mutex, ready));
        }
    }());
}

}  // namespace
