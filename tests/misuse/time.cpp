// Misuse stops the program, with its name and the place: timers and queues of deadlines.
#include "misuse/helpers.hpp"

#include <memory>

namespace {

class TimeMisuse : public Misuse {};

TEST_F(TimeMisuse, there_are_no_timers) {
    EXPECT_MISUSE("rt::sleep is awaited on an executor that has no timers",
                  rt::sync_wait(rt::sleep(1ms)));
    rt::interval ticks(1ms);
    EXPECT_MISUSE("rt::interval is awaited on an executor that has no timers",
                  (void)rt::sync_wait(ticks.tick()));
}

TEST_F(TimeMisuse, a_delay_queue_without_a_runtime) {
    rt::delay_queue<int> queue;
    EXPECT_MISUSE("a delay_queue is used where there is no runtime with timers",
                  queue.insert(1, 1ms));
}

TEST_F(TimeMisuse, two_wait_for_one_delay_queue) {
    EXPECT_MISUSE("two tasks wait for one delay_queue at once", run([]() -> rt::task<> {
                      rt::delay_queue<int> queue;
                      co_await rt::join(queue.next(), queue.next());
                  }));
}

TEST_F(TimeMisuse, a_delay_queue_is_destroyed_while_a_task_waits_for_it) {
    EXPECT_MISUSE("a delay_queue is destroyed while a task waits for it", run([]() -> rt::task<> {
                      auto queue = std::make_unique<rt::delay_queue<int>>();
                      auto waits = [&]() -> rt::task<> { (void)co_await queue->next(); };
                      auto destroys = [&]() -> rt::task<> {
                          queue.reset();
                          co_return;
                      };
                      co_await rt::join(waits(), destroys());
                  }));
}

}  // namespace
