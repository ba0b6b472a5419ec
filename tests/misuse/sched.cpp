// Misuse stops the program, with its name and the place: runtimes.
#include "misuse/helpers.hpp"

#include <atomic>
#include <memory>
#include <thread>

namespace {

class SchedMisuse : public Misuse {};

TEST_F(SchedMisuse, block_on_in_a_task_b11) {
    EXPECT_MISUSE("block_on inside a task would block its worker: co_await the task instead",
                  run([]() -> rt::task<> {
                      rt::block_on(yields(1));
                      co_return;
                  }));
}

TEST_F(SchedMisuse, two_threads_drive_one_runtime_b11) {
    auto runtime = rt::runtime::builder().current_thread().build();
    std::atomic<bool> inside{false};
    auto stays = [](std::atomic<bool>& inside) -> rt::task<> {
        inside = true;
        co_await forever();
    };
    auto drive_elsewhere = [&] {
        std::thread([&] { runtime.block_on(stays(inside)); }).detach();
        while (!inside) std::this_thread::yield();
    };
    EXPECT_MISUSE("block_on from two threads at once on a current_thread runtime", {
        drive_elsewhere();
        runtime.block_on(yields(1));
    });
}

constexpr auto ends_itself =
    "a runtime is shut down by one of its own tasks or blocking jobs, which it would have to wait "
    "for";

rt::task<> shuts_down(rt::runtime& runtime, std::source_location where) {
    runtime.shutdown(where);
    co_return;
}

TEST_F(SchedMisuse, a_runtime_is_shut_down_by_its_own_task_b11) {
    EXPECT_MISUSE(ends_itself, [] {
        auto runtime = rt::runtime::builder().workers(2).build();
        runtime.block_on(shuts_down(runtime, std::source_location::current()));
    }());
}

TEST_F(SchedMisuse, a_runtime_is_destroyed_by_its_own_task_b11) {
    EXPECT_MISUSE_IN_TASK(ends_itself, [] {
        auto runtime = std::make_unique<rt::runtime>(rt::runtime::builder().workers(2).build());
        auto ends = [](std::unique_ptr<rt::runtime>& runtime) -> rt::task<> {
            runtime.reset();
            co_return;
        };
        runtime->block_on(ends(runtime));
    }());
}

}  // namespace
