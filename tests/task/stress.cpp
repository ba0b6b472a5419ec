// Everything at once, with stops at random points: all joined, and the audit is zero.
//
// RT_TEST_SEED and --gtest_repeat vary it; a failure prints its seed.
#include "support/living.hpp"
#include "task/helpers.hpp"

#include <cstdlib>
#include <random>

namespace {

class TaskStress : public EveryRuntime {};
EVERY_RUNTIME(TaskStress);

std::uint32_t first_seed() {
    static std::uint32_t seed = [] {
        auto* text = std::getenv("RT_TEST_SEED");
        return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10))
                    : std::random_device()();
    }();
    return seed++;
}

using generator = std::mt19937;

rt::task<int> anything(std::uint32_t seed, int depth, rt::notify& bell, std::atomic<int>& alive) {
    living one(alive);
    generator random(seed);
    auto next = [&] { return static_cast<std::uint32_t>(random()); };
    auto child = [&] { return anything(next(), depth - 1, bell, alive); };
    int steps = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < steps; ++i) {
        switch (random() % (depth > 0 ? 16 : 6)) {
            case 0:
                co_await rt::yield_now();
                break;
            case 1:
                co_await rt::sleep(std::chrono::microseconds(random() % 200));
                break;
            case 2:
                bell.notify_one();
                break;
            case 3:
                bell.notify_all();
                break;
            case 4:
                (void)co_await rt::select(bell.wait(), rt::sleep(50us));
                break;
            case 5:
                (void)co_await rt::select(rt::sleep(20us), rt::sleep(30us), bell.wait());
                break;
            case 6:
                (void)co_await rt::join(child(), child());
                break;
            case 7:
                (void)co_await rt::join(child(), rt::sleep(10us), bell.wait(),
                                        [](auto& bell) -> rt::task<> {
                                            for (int i = 0; i < 8; ++i) {
                                                co_await rt::yield_now();
                                                bell.notify_all();
                                                bell.notify_one();
                                            }
                                        }(bell));
                break;
            case 8:
                (void)co_await rt::select(rt::allow_loss(child()), rt::sleep(30us));
                break;
            case 9:
                (void)co_await rt::select(rt::allow_loss(child()), rt::allow_loss(child()),
                                          bell.wait());
                break;
            case 10: {
                auto h = rt::spawn(child());
                if (random() % 2) co_await rt::yield_now();
                if (random() % 2) h.stop();
                (void)co_await h.outcome();
                break;
            }
            case 11: {
                auto h = rt::spawn(child());  // dropped
                if (random() % 2) co_await rt::yield_now();
                break;
            }
            case 12: {
                auto a = rt::spawn(child()), b = rt::spawn(child());
                (void)co_await rt::select(a.outcome(), b.outcome(), rt::sleep(50us));
                break;
            }
            case 13:
                (void)co_await rt::with_group([&](rt::task_group& g) -> rt::task<> {
                    int n = static_cast<int>(random() % 4);
                    for (int k = 0; k < n; ++k) g.spawn(child());
                    if (random() % 3 == 0) g.stop();
                    co_await rt::yield_now();
                });
                break;
            case 14:
                (void)co_await rt::timeout(30us, child());
                break;
            default:
                try {
                    auto fails = [](int turns) -> rt::io_task<> {
                        co_await yields(turns);
                        if (turns == 2) throw boom{};
                        co_return rt::errc::closed;
                    };
                    (void)co_await rt::try_join(child(), fails(static_cast<int>(random() % 3)));
                } catch (const boom&) {
                }
        }
    }
    co_return 1;
}

TEST_P(TaskStress, stops_at_random_points_leave_nothing_behind_b24_b34) {
    auto seed = first_seed();
    SCOPED_TRACE("RT_TEST_SEED=" + std::to_string(seed));
    generator random(seed);
    const int rounds = sanitized ? 60 : 250;
    std::atomic<int> alive = 0;
    run([&]() -> rt::task<> {
        for (int round = 0; round < rounds; ++round) {
            rt::notify bell;
            {
                std::vector<rt::join_handle<int>> h;
                for (int i = 0; i < 12; ++i)
                    h.push_back(
                        rt::spawn(anything(static_cast<std::uint32_t>(random()), 4, bell, alive)));
                for (auto& each : h) {
                    auto what = random() % 8;
                    if (what < 3) co_await yields(static_cast<int>(what));
                    if (what == 3) co_await rt::sleep(std::chrono::microseconds(random() % 100));
                    if (what != 4) each.stop();
                }
                bool over = false;
                auto rings = [&]() -> rt::task<> {  // for those that are left to end by themselves
                    while (!over) {
                        bell.notify_all();
                        bell.notify_one();
                        co_await rt::yield_now();
                    }
                };
                auto joins = [&]() -> rt::task<> {
                    for (auto& each : h) (void)co_await each.outcome();
                    while (alive != 0)
                        co_await rt::yield_now();  // those whose handles were dropped
                    over = true;
                };
                co_await rt::join(joins(), rings());
            }
        }
    });
    EXPECT_EQ(alive, 0);
}

TEST_P(TaskStress, a_runtime_that_ends_in_the_middle_of_it_leaves_nothing_behind_b9) {
    auto seed = first_seed();
    SCOPED_TRACE("RT_TEST_SEED=" + std::to_string(seed));
    const int rounds = sanitized ? 15 : 40;
    for (int round = 0; round < rounds; ++round) {
        std::atomic<int> alive = 0;
        rt::notify bell;
        {
            auto runtime = builder_for(GetParam()).build();
            runtime.block_on([](std::uint32_t seed, auto& bell, auto& alive) -> rt::task<> {
                generator random(seed);
                for (int i = 0; i < 30; ++i)
                    rt::spawn(anything(static_cast<std::uint32_t>(random()), 4, bell, alive))
                        .detach();
                co_await yields(static_cast<int>(random() % 20));
            }(seed + static_cast<std::uint32_t>(round), bell, alive));
        }
        EXPECT_EQ(alive, 0);
    }
}

}  // namespace
