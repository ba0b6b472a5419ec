// rt::semaphore: sums that add up, the order of requests of different sizes, and what becomes of
// permits that nobody wants any more. (The children of a join start in their order: see mutex.cpp.)
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "sync/helpers.hpp"
import rt;

namespace {

class Semaphore : public EveryRuntime {};
EVERY_RUNTIME(Semaphore);

/// Waits for so many permits, tells when it has them, and gives them back.
rt::task<> visit(rt::semaphore& s, std::size_t n, std::string& order, char mark) {
    auto permit = (co_await s.acquire(n)).or_throw();
    order += mark;
    co_await rt::yield_now();
}

TEST(SemaphoreAlone, permits_split_merge_are_forgotten_and_go_back_b42) {
    rt::semaphore s(10);
    auto five = s.try_acquire(5).value();
    EXPECT_EQ(s.available(), 5u);
    EXPECT_FALSE(five.split(6));
    auto two = five.split(2);
    EXPECT_EQ(two->count(), 2u);
    EXPECT_EQ(five.count(), 3u);
    auto one = s.try_acquire(1).value();
    five.merge(std::move(one));
    EXPECT_EQ(five.count(), 4u);
    EXPECT_EQ(one.count(), 0u);
    two->forget();
    two.reset();
    EXPECT_EQ(s.available(), 4u);
    five.release();
    five.release();
    EXPECT_EQ(s.available(), 8u);
    EXPECT_EQ(s.forget(3), 3u);
    EXPECT_EQ(s.forget(9), 5u);
    EXPECT_EQ(s.try_acquire().error(), std::errc::operation_would_block);
    s.release(2);
    EXPECT_TRUE(s.try_acquire(2));
    EXPECT_EQ(s.available(), 2u);
    EXPECT_TRUE(s.try_acquire(0));
}

TEST(SemaphoreAlone, misuse_stops_the_program_b42) {
    rt::semaphore s(1), other(1);
    EXPECT_DEATH(s.release(rt::semaphore::max()), "misuse: a semaphore gets more than");
    auto mix = [&] { s.try_acquire().value().merge(other.try_acquire().value()); };
    EXPECT_DEATH(mix(), "misuse: permits of two semaphores are merged");
    EXPECT_DEATH(rt::semaphore(rt::semaphore::max() + 1), "misuse: a semaphore with more than");
}

TEST_P(Semaphore, a_large_request_at_the_head_is_not_overtaken_b42) {
    run([]() -> rt::task<> {
        rt::semaphore s(3);
        std::string order;
        auto held = (co_await s.acquire(2)).or_throw();
        auto gives_back = [&]() -> rt::task<> {
            EXPECT_EQ(order, "");
            EXPECT_EQ(s.available(), 1u);
            EXPECT_EQ(s.try_acquire(1).error(), std::errc::operation_would_block);
            held.release();
            co_return;
        };
        co_await rt::join(visit(s, 3, order, 'L'), visit(s, 1, order, 'a'), visit(s, 1, order, 'b'),
                          gives_back());
        EXPECT_EQ(order, "Lab");
        EXPECT_EQ(s.available(), 3u);
    });
}

TEST_P(Semaphore, a_large_request_that_is_withdrawn_lets_those_behind_it_in_b42) {
    run([]() -> rt::task<> {
        rt::semaphore s(2);
        rt::notify give_up;
        std::string order;
        auto held = (co_await s.acquire(1)).or_throw();
        auto large = [&]() -> rt::task<> {
            auto first = co_await rt::select(s.acquire(2), give_up.wait());
            EXPECT_EQ(first.index(), 1u);
        };
        auto gives_up = [&]() -> rt::task<> {
            EXPECT_EQ(order, "");
            give_up.notify_one();
            co_return;
        };
        co_await rt::join(large(), visit(s, 1, order, 'a'), gives_up());
        EXPECT_EQ(order, "a");
        EXPECT_EQ(s.available(), 1u);
    });
}

TEST_P(Semaphore, a_stop_withdraws_a_request_and_takes_nothing_b42) {
    run([]() -> rt::task<> {
        rt::semaphore s(0);
        auto waits = rt::spawn([&s]() -> rt::task<> { (void)co_await s.acquire(2); });
        for (int i = 0; i < 50; ++i) co_await rt::yield_now();
        waits.stop();
        EXPECT_TRUE((co_await waits.outcome()).stopped());
        s.release(2);
        EXPECT_EQ(s.available(), 2u);
    });
}

TEST_P(Semaphore, close_wakes_all_with_an_error_and_permits_that_are_out_stay_b42) {
    run([]() -> rt::task<> {
        rt::semaphore s(1);
        auto held = (co_await s.acquire()).or_throw();
        auto refused = [&](std::size_t n) -> rt::task<> {
            auto permit = co_await s.acquire(n);
            EXPECT_EQ(permit.error(), rt::errc::closed);
        };
        auto closes = [&]() -> rt::task<> {
            EXPECT_FALSE(s.is_closed());
            s.close();
            co_return;
        };
        co_await rt::join(refused(1), refused(7), closes());
        EXPECT_TRUE(s.is_closed());
        EXPECT_EQ((co_await s.acquire()).error(), rt::errc::closed);
        EXPECT_EQ(s.try_acquire().error(), rt::errc::closed);
        held.release();
        EXPECT_EQ(s.available(), 1u);
    });
}

class counts {
public:
    counts(std::atomic<std::size_t>& inside, std::size_t n, std::size_t most)
        : inside_(inside), n_(n) {
        EXPECT_LE(inside.fetch_add(n) + n, most);
    }
    ~counts() { inside_ -= n_; }

private:
    std::atomic<std::size_t>& inside_;
    std::size_t n_;
};

// Requests of random sizes, some of them stopped, some lost in a select: never more are inside than
// there are permits, and in the end all are back.
TEST_P(Semaphore, permits_add_up_under_random_withdrawals_b54_b31) {
    run([]() -> rt::task<> {
        constexpr std::size_t permits = 5;
        constexpr int tasks = 40, rounds = 200;
        rt::semaphore s(permits);
        std::atomic<std::size_t> inside{0};
        auto works = [&](unsigned seed) -> rt::task<> {
            std::minstd_rand random(seed + 1);
            for (int i = 0; i < rounds; ++i) {
                std::size_t n = random() % permits + 1;
                rt::semaphore_permit permit;
                if (random() % 2 == 0) {
                    permit = (co_await s.acquire(n)).or_throw();
                } else {
                    auto first = co_await rt::select(
                        s.acquire(n), rt::sleep(std::chrono::microseconds(random() % 50)));
                    if (first.index() == 1) continue;
                    permit = std::move(std::get<0>(first)).or_throw();
                }
                counts here(inside, n, permits);
                if (random() % 4 == 0) co_await rt::yield_now();
            }
        };
        std::minstd_rand random(7);
        std::vector<rt::join_handle<>> all;
        for (unsigned i = 0; i < tasks; ++i) all.push_back(spawn_across(i, works(i)));
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (i % 3 != 0) continue;
            for (auto n = random() % 500; n > 0; --n) co_await rt::yield_now();
            all[i].stop();
        }
        for (auto& h : all) (void)co_await h.outcome();
        EXPECT_EQ(s.available(), permits);
    });
}

}  // namespace
