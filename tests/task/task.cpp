// Tasks: laziness, values, exceptions, depth.
#include "support/run.hpp"

#include <chrono>
#include <coroutine>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

namespace {

class Task : public EveryRuntime {};
EVERY_RUNTIME(Task);

rt::task<int> one(int i) { co_return i; }

rt::task<long long> chain(int n) {
    long long sum = 0;
    for (int i = 0; i < n; ++i) sum += co_await one(i);
    co_return sum;
}
rt::task<int> deep(int n) {
    if (n == 0) co_return 0;
    co_return 1 + co_await deep(n - 1);
}
rt::task<int> thrower() {
    throw std::runtime_error("boom");
    co_return 0;
}

struct counted {
    explicit counted(int& n) : n(&n) {}
    counted(counted&& o) noexcept : n(std::exchange(o.n, nullptr)) {}
    ~counted() {
        if (n) ++*n;
    }
    int* n;
};

TEST_P(Task, a_task_gives_its_value_b22) {
    EXPECT_EQ(run([] { return one(7); }), 7);
}

TEST_P(Task, an_unstarted_task_destroys_its_arguments_and_runs_nothing_b22) {
    int destroyed = 0;
    bool ran = false;
    {
        auto t = [](counted, bool& ran) -> rt::task<> {
            ran = true;
            co_return;
        }(counted(destroyed), ran);
        EXPECT_EQ(destroyed, 0);
    }
    EXPECT_EQ(destroyed, 1);
    EXPECT_FALSE(ran);
}

TEST_P(Task, exceptions_reach_the_awaiter) {
    EXPECT_THROW(run([] { return thrower(); }), std::runtime_error);
}

TEST_P(Task, a_sleep_and_a_spawned_task_end) {
    auto body = []() -> rt::task<std::string> {
        auto h = rt::spawn(
            [](std::string s) -> rt::task<std::string> {
                co_await rt::sleep(2ms);
                co_return s + "!";
            },
            std::string("moved"));
        co_await rt::sleep(1ms);
        co_return co_await h;
    };
    EXPECT_EQ(run(body), "moved!");
}

struct foreign_awaitable {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return 1; }
};
struct foreign_by_member {
    foreign_awaitable operator co_await() const noexcept { return {}; }
};
struct foreign_by_operator {};
foreign_awaitable operator co_await(foreign_by_operator) noexcept { return {}; }

TEST_P(Task, what_another_library_makes_is_awaited_as_the_language_has_it) {
    auto sum = []() -> rt::task<int> {
        foreign_awaitable named;
        co_return co_await named + co_await foreign_by_member() + co_await foreign_by_operator();
    };
    EXPECT_EQ(run(sum), 3);
}

TEST(TaskDepth, ten_million_synchronous_awaits_and_a_million_deep_chain_b23) {
    // A tenth of them under the sanitizers, which are that much slower.
    constexpr int awaits = sanitized ? 1'000'000 : 10'000'000;
    auto runtime = rt::runtime::builder().current_thread().build();
    EXPECT_EQ(runtime.block_on(chain(awaits)), static_cast<long long>(awaits) * (awaits - 1) / 2);
    EXPECT_EQ(runtime.block_on(deep(1'000'000)), 1'000'000);
}

}  // namespace
