// Misuse stops the program, with its name and the place: streams.
#include "misuse/helpers.hpp"

#include <optional>

namespace {

class StreamMisuse : public Misuse {};

/// Waits for ever before its first value.
rt::stream<int> never() {
    co_await forever();
    co_yield 1;
}
rt::stream<rt::task<>> no_tasks() { co_return; }

TEST_F(StreamMisuse, a_size_of_0) {
    EXPECT_MISUSE("chunks of 0 values: 1 is the smallest", (void)rt::chunks(never(), 0));
    EXPECT_MISUSE("chunks of 0 values: 1 is the smallest",
                  (void)rt::chunks_timeout(never(), 0, 1ms));
    EXPECT_MISUSE("a buffer for 0 tasks: 1 is the smallest", (void)rt::buffered(no_tasks(), 0));
    EXPECT_MISUSE("a buffer for 0 tasks: 1 is the smallest",
                  (void)rt::buffer_unordered(no_tasks(), 0));
}

TEST_F(StreamMisuse, a_stream_map_is_changed_while_a_next_waits) {
    EXPECT_MISUSE("a stream_map is changed while a next() waits", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      rt::stream_map<int, rt::receiver<int>> map;
                      map.insert(1, std::move(rx));
                      auto waits = [&]() -> rt::task<> { (void)co_await map.next(); };
                      auto changes = [&]() -> rt::task<> {
                          map.remove(1);
                          co_return;
                      };
                      co_await rt::join(waits(), changes());
                  }));
}

/// It seemed to be at its end to the second of them.
TEST_F(StreamMisuse, two_wait_for_the_next_value_of_one_generator) {
    EXPECT_MISUSE("two next() of one rt::stream at once", run([]() -> rt::task<> {
                      auto values = never();
                      co_await rt::join(rt::next(values), rt::next(values));
                  }));
}

TEST_F(StreamMisuse, two_wait_for_the_next_value_of_one_adaptor) {
    EXPECT_MISUSE("two receives at once on one receiver", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      auto values = rt::take(std::move(rx), 3);
                      co_await rt::join(values.next(), values.next());
                  }));
    EXPECT_MISUSE("two receives at once on one receiver", run([]() -> rt::task<> {
                      auto [tx, rx] = rt::channel<int>(1);
                      auto values = rt::take(std::move(rx), 3);
                      co_await rt::join(rt::timeout(1h, values.next()),
                                        rt::timeout(1h, values.next()));
                  }));
}

constexpr auto in_use = "an rt::stream is moved or destroyed while a task waits for its next value";

TEST_F(StreamMisuse, a_generator_goes_while_a_task_waits_for_its_next_value) {
    EXPECT_MISUSE(in_use, run([]() -> rt::task<> {
                      std::optional values(never());
                      auto waits = [&]() -> rt::task<> { (void)co_await values->next(); };
                      auto ends = [&]() -> rt::task<> {
                          values.reset();
                          co_return;
                      };
                      co_await rt::join(waits(), ends());
                  }));
    EXPECT_MISUSE(in_use, run([]() -> rt::task<> {
                      auto values = never();
                      auto waits = [&]() -> rt::task<> { (void)co_await values.next(); };
                      auto moves = [&]() -> rt::task<> {
                          auto other = std::move(values);
                          co_return;
                      };
                      co_await rt::join(waits(), moves());
                  }));
}

}  // namespace
