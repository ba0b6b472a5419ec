// Races: what loses a select, or is stopped, has taken nothing; tried at random points, and
// counted.
//
// Each awaitable of rt has a row. In a round a task, the subject, awaits the row's operation:
// alone, and is stopped; or as an arm of a select, against a bell that is rung. At another random
// moment the row gives one unit of what the operation waits for: a value, a byte, a permit, a turn.
// Then the books must balance. The unit has gone to the subject, or it is still there and the next
// to ask gets it; never both, never neither. The same holds for the ring of the bell. Where several
// may wait at once, a bystander often does, and must get what the subject has not taken. A unit or
// a wake-up that is lost leaves somebody waiting for ever: the watchdog tells who.
//
// Giver and canceller act from this worker, from the other one, from a thread that is nobody's, and
// from inside of the select: its third arm is a rattle, which is never ready, wakes the select for
// nothing, and lets things happen while the select tries its arms. That is how socket arms behave;
// so every row meets `trying` and `recheck`, on one core too.
//
// The rows of what is in memory run in rt::test_runtime as well: other orders, and each can be
// repeated.
//
// RT_RACE_ROUNDS: rounds of a row, over all runtimes (20000), and a twentieth in rt::test_runtime.
// Of the costly ones (of the kernel a quarter, connections a tenth, timers a sixteenth), unless
// RT_RACE_WHOLE is 1.
// RT_RACE_SEED: the seed that was printed; it repeats the plan of each round, not what the threads
// make of it. RT_RACE_LIMIT: the seconds that a round may take.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

#include "promises/noise.hpp"
#include "promises/tally.hpp"
#include "support/run.hpp"
import rt.testing;

namespace race {

/// What a row says of itself; its own members hide these. Besides, it has
///   op() and take(value), or act(), a task, for what may not be an arm;
///   give(), which makes one unit ready, on any thread;
/// and may have, all called by the driver,
///   set_up(), reset(): tasks, before the first round and before each;
///   tease(): looks ready for a moment; false: too late, the unit was taken;
///   rest(): a task that takes what is left, where op() would not;
///   start(): spawns a subject of its own, which is stopped and nothing else.
struct row {
    static constexpr int cost = 1;         // of a round: it has so many times fewer
    static constexpr bool shared = false;  // several may wait at once
    static constexpr bool early = false;   // give() comes first: time, or the kernel, does the rest
    static constexpr bool late = false;    // give() is for those who wait already
    static constexpr bool aside = false;   // the bystander waits for behind(), and needs no unit
    unsigned workers = 0;                  // of the runtime
};

template <class Row>
concept acts = requires(Row& r) { r.act(); };
template <class Row>
concept starts = requires(Row& r) { r.start(); };

template <class Row>
class racer {
public:
    racer(Row& row, tally& counts, std::uint64_t seed, unsigned workers)
        : row_(row), counts_(counts), dice_(seed), workers_(workers) {
        row.workers = workers;
        if (workers != 1) stranger_.emplace();
    }

    rt::task<> run(int rounds) {
        if constexpr (requires { row_.set_up(); }) co_await row_.set_up();
        for (int i = 0; i < rounds && !testing::Test::HasFailure(); ++i) {
            ++counts_.progress;
            if constexpr (requires { row_.reset(); }) co_await row_.reset();
            co_await round();
        }
        counts_.rounds += static_cast<std::uint64_t>(rounds);
    }

private:
    /// In a quarter of the rounds one side does not come, and so the other must win.
    rt::task<> round() {
        bool races = !dice_.one_in(4);
        gives_ = races || dice_.one_in(2);
        calls_off_ = races || !gives_;
        stops_ = starts<Row> || dice_.one_in(2);
        began_ = starts<Row>;
        gave_ = called_ = false;
        auto before = counts_.taken.load();

        std::optional<rt::join_handle<>> bystander;
        bool crowded = (Row::aside || (Row::shared && races)) && dice_.one_in(2);
        bool in_front = dice_.one_in(2);
        if (crowded && in_front) bystander = rt::spawn_on(dice_.below(workers_), stand_by());
        if (Row::early || (!Row::late && gives_ && dice_.one_in(8))) give();
        auto from = choose_giver();
        auto handle = begin();
        if (crowded && !in_front) bystander = rt::spawn_on(dice_.below(workers_), stand_by());
        while (!began_) co_await pause();
        auto helper = send(from);
        co_await act_at_random(handle, from == giver::here);

        auto end = co_await handle.outcome();
        if (helper.valid()) co_await helper;
        while (stranger_ && stranger_->busy()) co_await pause();
        bool won = end.has_value() && end.value();
        if constexpr (starts<Row>) {
            EXPECT_EQ(row_.ran.exchange(false), won) << "it ran, and is said to be withdrawn";
            if (won) took();
        }
        bool took = counts_.taken != before;
        if (!calls_off_) EXPECT_TRUE(won) << "nobody called it off";
        if (!gave_) EXPECT_FALSE(took) << "nothing was given";
        if (races) learn(won);

        if (Row::aside && bystander) co_await *std::exchange(bystander, std::nullopt);
        give();
        if (bystander) {
            if (won) give_another();  // the subject has gone with the one that there was
            co_await *bystander;
        } else if (!took) {
            co_await take_what_is_left();
        }
        if (!stops_) co_await check_bell(end.has_value() && !won);
        EXPECT_EQ(counts_.given, counts_.taken);
    }

    // --- Who takes

    rt::task<> take_one() {
        if constexpr (acts<Row>) {
            began_ = true;
            co_await row_.act();
        } else {
            auto op = row_.op();
            began_ = true;
            if constexpr (std::is_void_v<rt::await_result_t<decltype(op)>>) {
                co_await std::move(op);
                row_.take();
            } else {
                row_.take(co_await std::move(op));
            }
        }
        took();
    }
    rt::task<bool> alone() {
        co_await take_one();
        co_return true;
    }
    rt::task<bool> against_the_bell() {
        if constexpr (acts<Row>) {
            auto first =
                co_await rt::select(rt::allow_loss(take_one()), bell_.wait(), rattle_.wait());
            co_return first.index() == 0;
        } else {
            auto op = row_.op();
            began_ = true;
            auto first = co_await rt::select(counted(std::move(op), counts_.again), bell_.wait(),
                                             rattle_.wait());
            if (first.index() != 0) co_return false;
            if constexpr (std::is_void_v<rt::await_result_t<decltype(op)>>) {
                row_.take();
            } else {
                row_.take(std::get<0>(std::move(first)));
            }
            took();
            co_return true;
        }
    }
    rt::join_handle<bool> begin() {
        if constexpr (starts<Row>) {
            return row_.start();
        } else {
            return rt::spawn_on(dice_.below(workers_), stops_ ? alone() : against_the_bell());
        }
    }
    rt::task<> stand_by() {
        if constexpr (Row::aside) {
            (void)co_await row_.behind();
        } else {
            co_await take_one();
        }
    }
    rt::task<> take_what_is_left() {
        if constexpr (requires { row_.rest(); }) {
            co_await row_.rest();
            took();
        } else {
            co_await take_one();
        }
    }
    void took() { EXPECT_LE(++counts_.taken, counts_.given) << "taken and not given"; }

    // --- Who gives, and who calls off

    enum class giver { here, task, stranger, nobody };
    void give() {
        if (!gave_.exchange(true)) give_another();
    }
    void give_another() {
        ++counts_.given;
        row_.give();
    }
    void ring() {
        if (!called_.exchange(true)) bell_.notify_one();
    }
    giver choose_giver() {
        gives_inside_ = false;
        rattle_.at(0, nullptr);
        if (!stops_ && dice_.one_in(3)) {
            bool rings = calls_off_ && dice_.one_in(2), rings_first = dice_.one_in(2);
            gives_inside_ = gives_;
            rattle_.at(dice_.below(4), [this, rings, rings_first] {
                if (rings && rings_first) ring();
                if (gives_) give();
                if (rings) ring();
            });
            if (!dice_.one_in(4)) return giver::here;  // whoever is first
        }
        if (!gives_) return giver::nobody;
        if (stranger_ && dice_.one_in(16)) return giver::stranger;
        return dice_.one_in(3) ? giver::task : giver::here;
    }
    rt::join_handle<> send(giver from) {
        auto delay = dice_.below(300), yields = dice_.below(3);
        if (from == giver::stranger) {
            stranger_->run([this, delay] {
                spin(delay);
                give();
            });
        }
        if (from != giver::task) return {};
        return rt::spawn_on(dice_.below(workers_),
                            [](racer& r, unsigned yields, unsigned delay) -> rt::task<> {
                                for (; yields != 0; --yields) co_await rt::yield_now();
                                spin(delay);
                                r.give();
                            }(*this, yields, delay));
    }
    rt::task<> act_at_random(rt::join_handle<bool>& subject, bool gives_here) {
        gives_here = gives_here && gives_;
        if constexpr (requires { row_.tease(); }) {
            if (gives_here && !gives_inside_ && !gave_ && dice_.one_in(4)) tease();
        }
        auto lead = static_cast<unsigned>(std::abs(lead_)) + 1;
        auto gives_at = dice_.below(3) + (lead_ < 0 ? dice_.below(lead) : 0);
        auto calls_at = dice_.below(3) + (lead_ > 0 ? dice_.below(lead) : 0);
        auto shakes_at = dice_.below(8);
        bool gives_first = dice_.one_in(2);
        auto last = std::max(gives_here ? gives_at : 0, calls_off_ ? calls_at : 0);
        for (unsigned now = 0;; ++now) {
            spin(dice_.below(50));
            if (now == gives_at && gives_here && gives_first) give();
            if (now == calls_at && calls_off_) stops_ ? subject.stop() : ring();
            if (now == gives_at && gives_here) give();
            if (now == shakes_at && !stops_) rattle_.shake();
            if (now >= last || subject.done()) co_return;
            co_await pause();
        }
    }
    /// The other worker may wait for this core.
    static rt::task<> pause() {
        co_await rt::yield_now();
        std::this_thread::yield();
    }
    void tease() {
        ++counts_.given;
        gave_ = !row_.tease();
        if (!gave_) --counts_.given;
    }

    // --- The books

    rt::task<> check_bell(bool was_heard) {
        if (was_heard == called_) co_return;
        EXPECT_TRUE(called_) << "the bell was heard, and nobody rang it";
        auto first = co_await rt::select(rt::biased, bell_.wait(), rt::consume_budget());
        EXPECT_EQ(first.index(), 0u) << "the bell was rung, and nobody has heard it";
    }
    /// Which side comes later moves until either wins now and then.
    void learn(bool won) {
        ++counts_.raced;
        ++(won ? counts_.won : counts_.withdrawn);
        won_of_late_ += won;
        if (++raced_ % 16 != 0) return;
        auto won_of_16 = std::exchange(won_of_late_, 0);
        auto step = 1 + std::abs(lead_) / 2;
        if (won_of_16 < 3) lead_ = std::min(lead_ + step, 5000);
        if (won_of_16 > 13) lead_ = std::max(lead_ - step, -5000);
    }

    Row& row_;
    tally& counts_;
    dice dice_;
    unsigned workers_;
    rt::notify bell_;
    rattle rattle_;
    std::optional<stranger> stranger_;  // none where one thread is all
    bool gives_ = false, gives_inside_ = false, calls_off_ = false, stops_ = false;
    std::atomic<bool> began_{false}, gave_{false}, called_{false};
    int lead_ = 0;  // how many pauses more the call may come after the unit
    int raced_ = 0, won_of_late_ = 0;
};

template <class Row>
void race(const char* name) {
    tally counts(name);
    auto seed = counts.seed;
    for (auto& c :
         {runtime_case{rt::runtime_flavor::work_stealing, rt::reactor_kind::io_uring, 2},
          runtime_case{rt::runtime_flavor::work_stealing, rt::reactor_kind::epoll, 2},
          runtime_case{rt::runtime_flavor::thread_per_core, rt::reactor_kind::io_uring, 2},
          runtime_case{rt::runtime_flavor::thread_per_core, rt::reactor_kind::epoll, 2}}) {
        counts.runtime = name_of(c);
        watchdog watches(counts);
        auto runtime = builder_for(c).build();
        runtime.block_on([&]() -> rt::task<> {
            Row row;
            racer<Row> r(row, counts, seed++, 2);
            co_await r.run(rounds_of_this_run(Row::cost) / 4);
        }());
    }
    counts.print();
    EXPECT_GE(counts.won * 100, counts.raced) << "it hardly ever wins: this is no race";
    EXPECT_GE(counts.withdrawn * 100, counts.raced) << "it always wins: this is no race";
    if (!acts<Row> && counts.raced > 1000)
        EXPECT_GT(counts.again.found + counts.again.in_vain, 0u) << "nothing was tried again";
}

/// The same rounds on one thread, in orders that follow from seeds: twice with the first of them.
template <class Row>
void race_in_order(const char* name) {
    constexpr int rounds = 50;
    tally counts(name);
    auto run = [&](std::uint64_t seed) {
        rt::test_runtime runtime(seed);
        runtime.block_on([&]() -> rt::task<> {
            Row row;
            racer<Row> r(row, counts, seed, 1);
            co_await r.run(rounds);
        }());
        return runtime.trace();
    };
    EXPECT_EQ(run(counts.seed), run(counts.seed)) << "with seed " << counts.seed;
    for (auto i = rounds_of_this_run(Row::cost) / 20 / rounds;
         i > 1 && !testing::Test::HasFailure(); --i)
        run(counts.seed + static_cast<std::uint64_t>(i));
    counts.print();
}

}  // namespace race

/// One row of the table; the script `rows` reads it: what of rt it races, as file:type. This is for
/// what asks the kernel, or its clock.
#define KERNEL_RACE(promise, of, ...) \
    TEST(Race, promise) { race::race<__VA_ARGS__>(of); }
/// One of what is in memory.
#define RACE(promise, of, ...)            \
    KERNEL_RACE(promise, of, __VA_ARGS__) \
    TEST(RaceInOrder, promise) { race::race_in_order<__VA_ARGS__>(of); }
