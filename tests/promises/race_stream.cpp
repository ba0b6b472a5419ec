// Streams: a value that next() has not given is still in the stream, or in the adaptor.
#include <chrono>
#include <vector>

#include "promises/race.hpp"

using namespace std::chrono_literals;

namespace {

using source = rt::receiver<int>;

/// Make turns the receiver, which is lent, into the stream; Units is how many values it needs.
template <auto Make, int Units = 1>
struct stream_row : race::row {
    std::pair<rt::unbounded_sender<int>, source> ends = rt::unbounded_channel<int>();
    decltype(Make(ends.second)) values = Make(ends.second);
    int sent = 0;

    auto op() { return values.next(); }
    template <class T>
    void take(std::optional<T> value) {
        EXPECT_TRUE(value);
        if (value) check(*value);
    }
    void give() {
        for (int i = 0; i < Units; ++i) EXPECT_TRUE(ends.first.send(++sent));
    }

private:
    void check(int value) { EXPECT_EQ(value, sent); }
    void check(const std::pair<const int, int>& value) { check(value.second); }
    void check(const std::pair<int, int>& value) { check(value.second); }
    void check(const rt::result<int>& value) { check(value.value()); }
    void check(const std::vector<int>& value) {
        EXPECT_EQ(value.size(), static_cast<std::size_t>(Units));
        check(value.back());
    }
};

inline auto same = [](int value) { return value; };
inline rt::task<int> soon(int value) {
    co_await rt::yield_now();
    co_return value;
}
inline rt::stream<int> generated(source& from) {
    while (auto value = co_await from.recv()) co_yield *value;
}

RACE(a_mapped_value_b31_b82, "stream/adaptors:map_stage stream/stage:stage_op",
     stream_row<[](source& rx) { return rt::map(rt::borrow(rx), same); }>)
RACE(a_value_that_was_kept_b31_b82, "stream/adaptors:filter_stage",
     stream_row<[](source& rx) {
         return rt::filter(rt::borrow(rx), [](int value) { return value % 2 == 0; });
     },
                2>)
RACE(a_value_of_the_first_few_b31_b82, "stream/adaptors:take_stage",
     stream_row<[](source& rx) { return rt::take(rt::borrow(rx), 1'000'000'000); }>)
RACE(a_value_of_the_second_stream_b31_b82, "stream/merge:chain_stage", stream_row<[](source& rx) {
         return rt::chain(rt::from_range(std::vector<int>()), rt::borrow(rx));
     }>)
RACE(a_value_of_merged_streams_b31_b82_b83, "stream/merge:merge_stage", stream_row<[](source& rx) {
         return rt::merge(rt::from_range(std::vector<int>()), rt::borrow(rx));
     }>)
RACE(a_chunk_of_values_b31_b82, "stream/chunks:chunks_stage",
     stream_row<[](source& rx) { return rt::chunks(rt::borrow(rx), 3); }, 3>)
RACE(a_chunk_with_a_limit_b31_b82_b83, "stream/chunks:chunks_stage",
     stream_row<[](source& rx) { return rt::chunks_timeout(rt::borrow(rx), 3, 1h); }, 3>)
RACE(a_value_in_time_b31_b82_b83, "stream/pace:timeout_stage",
     stream_row<[](source& rx) { return rt::timeout_each(rt::borrow(rx), 1h); }>)
RACE(a_value_after_a_pause_b31_b82_b83, "stream/pace:throttle_stage",
     stream_row<[](source& rx) { return rt::throttle(rt::borrow(rx), 1ns); }>)
RACE(a_value_of_a_generator_that_runs_ahead_b31_b82,
     "stream/run_ahead:run_ahead_stage stream/run_ahead:send_all",
     stream_row<[](source& rx) { return rt::run_ahead(generated(rx)); }>)
RACE(a_result_in_order_b31_b82_b83, "stream/buffered:buffered_stage",
     stream_row<[](source& rx) { return rt::buffered(rt::map(rt::borrow(rx), soon), 2); }>)
RACE(a_result_as_it_comes_b31_b82_b83,
     "stream/buffered:buffer_unordered_stage stream/buffered:noted",
     stream_row<[](source& rx) { return rt::buffer_unordered(rt::map(rt::borrow(rx), soon), 2); }>)
RACE(a_value_under_its_key_b31_b82_b83, "stream/stream_map:stream_map_stage",
     stream_row<[](source& rx) {
         rt::stream_map<int, rt::borrow<source>> all;
         all.insert(1, rt::borrow(rx));
         return all;
     }>)

/// A generator that is stopped is gone, and with it what it had not yielded; what it had not
/// received is still there. Make is called again then.
template <auto Make>
struct generator_row : race::row {
    static constexpr int cost = 4;  // not of each, but there are many of one kind
    std::pair<rt::unbounded_sender<int>, source> ends = rt::unbounded_channel<int>();
    std::optional<decltype(Make(ends.second))> values;
    int sent = 0;

    rt::task<> act() {
        values.emplace(Make(ends.second));
        EXPECT_EQ(co_await values->next(), sent);
    }
    void give() { EXPECT_TRUE(ends.first.send(++sent)); }
};
RACE(a_value_that_a_generator_waits_for_b82, "stream/generator:next_awaiter",
     generator_row<[](source& rx) { return generated(rx); }>)
RACE(a_mapped_value_of_a_generator_b82, "stream/adaptors:map_generator",
     generator_row<[](source& rx) { return rt::map(generated(rx), same); }>)
RACE(a_kept_value_of_a_generator_b82, "stream/adaptors:filter_generator",
     generator_row<[](source& rx) { return rt::filter(generated(rx), [](int) { return true; }); }>)
RACE(a_value_of_a_generators_first_few_b82, "stream/adaptors:take_generator",
     generator_row<[](source& rx) { return rt::take(generated(rx), 3); }>)
RACE(a_value_of_chained_generators_b82, "stream/merge:chain_generator",
     generator_row<[](source& rx) {
         return rt::chain(rt::from_range(std::vector<int>()), generated(rx));
     }>)
RACE(a_value_of_a_throttled_generator_b82, "stream/pace:throttle_generator",
     generator_row<[](source& rx) { return rt::throttle(generated(rx), 1ns); }>)

}  // namespace
