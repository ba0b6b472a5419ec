// stop_source, stop_token, stop_callback: the shape of std::inplace_stop_source.
#include "task/helpers.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <thread>

namespace {

TEST(StopSource, callbacks_run_once_on_the_requesters_thread_b38) {
    rt::stop_source source;
    int calls = 0;
    std::thread::id where;
    rt::stop_callback a(source.get_token(), [&] {
        ++calls;
        where = std::this_thread::get_id();
    });
    rt::stop_callback b(source.get_token(), [&] { ++calls; });
    EXPECT_FALSE(source.stop_requested());
    EXPECT_TRUE(source.request_stop());
    EXPECT_FALSE(source.request_stop());
    EXPECT_TRUE(source.get_token().stop_requested());
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(StopSource, a_callback_made_after_the_request_runs_at_once_b38) {
    rt::stop_source source;
    source.request_stop();
    int calls = 0;
    {
        rt::stop_callback c(source.get_token(), [&] { ++calls; });
    }
    EXPECT_EQ(calls, 1);
}

TEST(StopSource, a_callback_that_is_gone_does_not_run_b38) {
    rt::stop_source source;
    int calls = 0;
    auto count = [&] { ++calls; };
    using callback = rt::stop_callback<decltype(count)>;
    // First, middle and last of the list.
    auto a = std::make_unique<callback>(source.get_token(), count);
    auto b = std::make_unique<callback>(source.get_token(), count);
    auto c = std::make_unique<callback>(source.get_token(), count);
    auto d = std::make_unique<callback>(source.get_token(), count);
    b.reset();
    d.reset();
    a.reset();
    source.request_stop();
    EXPECT_EQ(calls, 1);
}

TEST(StopSource, a_token_of_nothing_never_stops_b38) {
    rt::stop_token token;
    EXPECT_FALSE(token.stop_possible());
    EXPECT_FALSE(token.stop_requested());
    rt::stop_callback c(token, [] { FAIL(); });
}

TEST(StopSource, a_callback_may_destroy_itself_and_others_b38) {
    rt::stop_source source;
    using callback = rt::stop_callback<std::function<void()>>;
    std::optional<callback> self, other;
    int calls = 0;
    other.emplace(source.get_token(), [&] { FAIL(); });
    self.emplace(source.get_token(), [&] {
        ++calls;
        other.reset();
        self.reset();
    });
    source.request_stop();
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE(self);
}

TEST(StopSource, a_callback_may_request_and_register_again_b38) {
    rt::stop_source source;
    int calls = 0;
    rt::stop_callback c(source.get_token(), [&] {
        EXPECT_FALSE(source.request_stop());
        rt::stop_callback inner(source.get_token(), [&] { ++calls; });
        ++calls;
    });
    EXPECT_TRUE(source.request_stop());
    EXPECT_EQ(calls, 2);
}

TEST(StopSource, its_destructor_waits_for_a_call_on_another_thread_b38) {
    for (int i = 0; i < 200; ++i) {
        rt::stop_source source;
        std::atomic<bool> running = false, release = false;
        int plain = 0;  // the thread sanitizer watches
        auto work = [&] {
            running = true;
            while (!release) std::this_thread::yield();
            plain = 1;
        };
        auto c = std::make_unique<rt::stop_callback<decltype(work)>>(source.get_token(), work);
        std::thread requester([&] { source.request_stop(); });
        while (!running) std::this_thread::yield();
        std::thread opener([&] { release = true; });
        c.reset();
        EXPECT_EQ(plain, 1);
        requester.join();
        opener.join();
    }
}

TEST(StopSource, registering_and_going_race_with_a_request_b38) {
    const int rounds = sanitized ? 300 : 1000;
    for (int i = 0; i < rounds; ++i) {
        rt::stop_source source;
        std::atomic<int> calls = 0, missed = 0;
        constexpr int each = 20;
        auto come_and_go = [&](unsigned seed) {
            std::mt19937 random(seed);
            for (int k = 0; k < each; ++k) {
                std::atomic<int> mine = 0;
                {
                    rt::stop_callback c(source.get_token(), [&] {
                        ++mine;
                        ++calls;
                    });
                    if (random() % 2) std::this_thread::yield();
                }
                EXPECT_LE(mine, 1);
                if (mine == 0) ++missed;
            }
        };
        std::thread a(come_and_go, i * 2u), b(come_and_go, i * 2u + 1);
        for (int spin = i % 40; spin > 0; --spin) std::this_thread::yield();
        source.request_stop();
        a.join();
        b.join();
        EXPECT_EQ(calls + missed, 2 * each);
    }
}

TEST(StopSource, a_request_goes_down_the_tree_and_never_up_b39) {
    rt::stop_source root;
    rt::stop_source left(root.get_token()), right(root.get_token());
    rt::stop_source leaf(left.get_token());
    EXPECT_TRUE(left.request_stop());
    EXPECT_TRUE(leaf.stop_requested());
    EXPECT_FALSE(root.stop_requested());
    EXPECT_FALSE(right.stop_requested());
    int calls = 0;
    rt::stop_callback again(leaf.get_token(), [&] { ++calls; });
    rt::stop_callback fresh(right.get_token(), [&] { ++calls; });
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(root.request_stop());
    EXPECT_TRUE(right.stop_requested());
    EXPECT_EQ(calls, 2);
    EXPECT_FALSE(left.request_stop());
}

TEST(StopSource, a_child_of_a_stopped_token_is_born_stopped_b39) {
    rt::stop_source root;
    root.request_stop();
    rt::stop_source child(root.get_token());
    EXPECT_TRUE(child.stop_requested());
    rt::stop_source grandchild(child.get_token());
    EXPECT_TRUE(grandchild.stop_requested());
    rt::stop_source orphan{rt::stop_token()};
    EXPECT_FALSE(orphan.stop_requested());
}

TEST(StopSource, a_child_that_is_gone_is_no_longer_told_b39) {
    rt::stop_source root;
    auto first = std::make_unique<rt::stop_source>(root.get_token());
    auto second = std::make_unique<rt::stop_source>(root.get_token());
    first.reset();
    root.request_stop();
    EXPECT_TRUE(second->stop_requested());
}

TEST(StopSource, children_come_and_go_while_their_parent_is_stopped_b39) {
    const int rounds = sanitized ? 300 : 1000;
    for (int i = 0; i < rounds; ++i) {
        rt::stop_source root;
        std::atomic<int> wrong = 0;
        auto come_and_go = [&] {
            for (int k = 0; k < 20; ++k) {
                rt::stop_source child(root.get_token());
                std::atomic<bool> told = false;
                {
                    rt::stop_callback c(child.get_token(), [&] { told = true; });
                    if (k % 3 == 0) std::this_thread::yield();
                }
                if (told && !root.stop_requested()) ++wrong;
            }
        };
        std::thread a(come_and_go), b(come_and_go);
        for (int spin = i % 40; spin > 0; --spin) std::this_thread::yield();
        root.request_stop();
        a.join();
        b.join();
        EXPECT_EQ(wrong, 0);
    }
}

TEST(StopSource, a_guard_requests_the_stop_at_the_end_of_its_scope_b39) {
    rt::stop_source source;
    try {
        rt::stop_guard guard(source);
        EXPECT_FALSE(source.stop_requested());
        throw boom{};
    } catch (const boom&) {
    }
    EXPECT_TRUE(source.stop_requested());
}

}  // namespace
