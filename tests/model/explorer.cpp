// The explorer itself: what the memory model allows is found, and what it forbids is not.
#include "model.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace {

using model::seeded;
constexpr auto relaxed = std::memory_order_relaxed, acquire = std::memory_order_acquire,
               release = std::memory_order_release, seq_cst = std::memory_order_seq_cst;

/// True: some execution ends with what holds() forbids.
template <class State, class A, class B, class Bad>
bool found(A a, B b, Bad bad, model::options how = {.preemptions = 3}) {
    auto r = model::explore(
        [&] {
            auto* s = new State;
            model::run([=] { a(*s); });
            model::run([=] { b(*s); });
            return [=] {
                model::check(!bad(*s), "the outcome that is looked for");
                delete s;
            };
        },
        how);
    EXPECT_TRUE(r.failed || r.complete);
    return r.failed;
}

struct two {
    model::atomic<int> x{0}, y{0};
    int seen_x = -1, seen_y = -1;
};

TEST(Explorer, message_passing) {
    auto reads = [](std::memory_order o) {
        return [o](two& s) {
            s.seen_y = s.y.load(o);
            s.seen_x = s.x.load(relaxed);
        };
    };
    auto writes = [](std::memory_order o) {
        return [o](two& s) {
            s.x.store(1, relaxed);
            s.y.store(1, o);
        };
    };
    auto stale = [](two& s) { return s.seen_y == 1 && s.seen_x == 0; };
    EXPECT_TRUE(found<two>(writes(relaxed), reads(relaxed), stale));
    EXPECT_TRUE(found<two>(writes(release), reads(relaxed), stale));
    EXPECT_TRUE(found<two>(writes(relaxed), reads(acquire), stale));
    EXPECT_FALSE(found<two>(writes(release), reads(acquire), stale));
    EXPECT_TRUE(found<two>(writes(release), reads(acquire), stale, {.bug = seeded::no_release}));
    EXPECT_TRUE(found<two>(writes(release), reads(acquire), stale, {.bug = seeded::no_acquire}));
}

TEST(Explorer, store_buffering_needs_seq_cst) {
    auto one = [](std::memory_order s_o, std::memory_order l_o) {
        return [=](two& s) {
            s.x.store(1, s_o);
            s.seen_y = s.y.load(l_o);
        };
    };
    auto other = [](std::memory_order s_o, std::memory_order l_o) {
        return [=](two& s) {
            s.y.store(1, s_o);
            s.seen_x = s.x.load(l_o);
        };
    };
    auto neither = [](two& s) { return s.seen_x == 0 && s.seen_y == 0; };
    EXPECT_TRUE(found<two>(one(release, acquire), other(release, acquire), neither));
    EXPECT_FALSE(found<two>(one(seq_cst, seq_cst), other(seq_cst, seq_cst), neither));
    EXPECT_TRUE(found<two>(one(seq_cst, seq_cst), other(seq_cst, seq_cst), neither,
                           {.bug = seeded::no_seq_cst}));
}

TEST(Explorer, one_location_never_goes_back) {
    EXPECT_FALSE(found<two>(
        [](two& s) {
            s.x.store(1, relaxed);
            s.x.store(2, relaxed);
        },
        [](two& s) {
            s.seen_x = s.x.load(relaxed);
            s.seen_y = s.x.load(relaxed);
        },
        [](two& s) { return s.seen_y < s.seen_x; }));
}

TEST(Explorer, an_update_is_one_step_and_hands_a_release_on) {
    auto add = [](two& s) { s.x.fetch_add(1, relaxed); };
    auto lost = [](two& s) { return s.x.load() != 2; };
    EXPECT_FALSE(found<two>(add, add, lost));
    EXPECT_TRUE(found<two>(add, add, lost, {.bug = seeded::torn_update}));

    struct three {
        model::atomic<int> flag{0};
        model::cell<int> data;
    };
    auto r = model::explore([] {
        auto* s = new three;
        model::run([=] {
            s->data.set(7);
            s->flag.store(1, release);
        });
        model::run([=] { s->flag.fetch_add(2, relaxed); });
        model::run([=] {
            if (s->flag.load(acquire) == 3) model::check(s->data.get() == 7, "the data");
        });
        return [=] { delete s; };
    });
    EXPECT_TRUE(r.complete && !r.failed) << r.failure;
}

TEST(Explorer, a_race_on_plain_memory_is_told) {
    struct plain {
        model::cell<int> data;
        model::mutex lock;
    };
    auto bare = [](plain& s) { s.data.set(s.data.get() + 1); };
    auto locked = [](plain& s) {
        s.lock.lock();
        s.data.set(s.data.get() + 1);
        s.lock.unlock();
    };
    auto nothing = [](plain&) { return false; };
    EXPECT_TRUE(found<plain>(bare, bare, nothing));
    EXPECT_TRUE(found<plain>(bare, locked, nothing));
    EXPECT_FALSE(found<plain>(locked, locked, nothing));
    EXPECT_TRUE(found<plain>(locked, locked, nothing, {.bug = seeded::no_lock}));
    EXPECT_TRUE(found<plain>(locked, locked, nothing, {.bug = seeded::no_order}));
}

TEST(Explorer, a_failed_exchange_may_have_seen_an_old_value) {
    EXPECT_TRUE(found<two>(
        [](two& s) {
            s.x.store(1, relaxed);
            s.y.store(1, relaxed);
        },
        [](two& s) {
            s.seen_y = s.y.load(relaxed);
            int expected = 5;
            s.x.compare_exchange_strong(expected, 6, relaxed, relaxed);
            s.seen_x = expected;
        },
        [](two& s) { return s.seen_y == 1 && s.seen_x == 0; }));
}

TEST(Explorer, deadlocks_and_spinners_are_told) {
    struct locks {
        model::mutex a, b;
        model::atomic<bool> never{false};
    };
    auto nothing = [](locks&) { return false; };
    auto ab = [](locks& s) {
        s.a.lock();
        s.b.lock();
        s.b.unlock();
        s.a.unlock();
    };
    auto ba = [](locks& s) {
        s.b.lock();
        s.a.lock();
        s.a.unlock();
        s.b.unlock();
    };
    EXPECT_FALSE(found<locks>(ab, ab, nothing));
    EXPECT_TRUE(found<locks>(ab, ba, nothing));
    EXPECT_TRUE(found<locks>(
        ab,
        [](locks& s) {
            while (!s.never.load(relaxed)) model::yield();
        },
        nothing));
}

TEST(Explorer, every_choice_is_tried_and_executions_are_counted) {
    auto r = model::explore([] {
        auto* sum = new unsigned(0);
        model::run([=] { *sum = 3 * model::choose(4) + model::choose(3); });
        return [=] { delete sum; };
    });
    EXPECT_TRUE(r.complete);
    EXPECT_EQ(r.executions, 12u);
}

}  // namespace
