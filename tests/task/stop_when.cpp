// stop_when and with_stop_token: a stop crosses between scopes and tokens, of std and of rt.
#include "task/helpers.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

namespace {

// Out of a module clang 22 does not link what libc++ has behind these: rt's own twice, there.
#ifdef _LIBCPP_VERSION
using source_of_std = rt::stop_source;
using token_of_std = rt::stop_token;
#else
using source_of_std = std::stop_source;
using token_of_std = std::stop_token;
#endif

class StopWhen : public EveryRuntime {};
EVERY_RUNTIME(StopWhen);

/// Both kinds of source.
template <class Check>
rt::task<> with_each_source(Check check) {
    source_of_std of_std;
    co_await check(of_std);
    rt::stop_source of_rt;
    co_await check(of_rt);
}

TEST_P(StopWhen, a_request_at_the_token_stops_the_body_alone) {
    run([&]() -> rt::task<> {
        co_await with_each_source([](auto& source) -> rt::task<> {
            journal log;
            std::atomic<bool> waits = false;
            auto body = [&]() -> rt::task<int> {
                mark m(log, "body");
                waits = true;
                co_await forever();
                co_return 1;
            };
            auto stopper = rt::spawn([](auto& waits, auto& source) -> rt::task<> {
                co_await until(waits);
                source.request_stop();
            }(waits, source));
            rt::result<int> r = co_await rt::stop_when(source.get_token(), body());
            EXPECT_EQ(r.error(), rt::errc::stopped);
            EXPECT_EQ(log.lines(), std::vector<std::string>{"body"});
            EXPECT_FALSE(rt::this_task::stop_requested());
            co_await stopper;
            co_await rt::sleep(1ms);  // the task itself goes on
        });
    });
}

TEST_P(StopWhen, what_was_requested_before_lets_the_body_not_begin) {
    run([&]() -> rt::task<> {
        co_await with_each_source([](auto& source) -> rt::task<> {
            source.request_stop();
            bool began = false;
            auto body = [&]() -> rt::task<> {
                began = true;
                co_return;
            };
            EXPECT_EQ((co_await rt::stop_when(source.get_token(), body())).error(),
                      rt::errc::stopped);
            EXPECT_FALSE(began);
            EXPECT_EQ((co_await rt::stop_when(source.get_token(), rt::sleep(24h))).error(),
                      rt::errc::stopped);
        });
    });
}

TEST_P(StopWhen, without_a_request_it_is_the_body_in_one_result) {
    run([&]() -> rt::task<> {
        co_await with_each_source([](auto& source) -> rt::task<> {
            auto value = []() -> rt::task<std::unique_ptr<int>> {
                co_return std::make_unique<int>(2);
            };
            auto fails = []() -> rt::io_task<int> { co_return rt::errc::closed; };
            auto throws = []() -> rt::task<> {
                co_await rt::yield_now();
                throw boom{};
            };
            EXPECT_EQ(**co_await rt::stop_when(source.get_token(), value()), 2);
            rt::result<int> r = co_await rt::stop_when(source.get_token(), fails());
            EXPECT_EQ(r.error(), rt::errc::closed);
            EXPECT_THROW((void)co_await rt::stop_when(source.get_token(), throws()), boom);
            EXPECT_TRUE(co_await rt::stop_when(source.get_token(), rt::sleep(1ms)));
            source.request_stop();  // nobody is listening any more
        });
        EXPECT_TRUE(co_await rt::stop_when(token_of_std(), rt::sleep(0s)));
    });
}

TEST_P(StopWhen, a_stop_of_the_task_unwinds_through_it_b34) {
    journal log;
    run([&]() -> rt::task<> {
        source_of_std source;
        std::atomic<bool> waits = false;
        auto h = rt::spawn([](auto& log, auto& source, auto& waits) -> rt::task<> {
            mark outer(log, "outer");
            auto body = [&]() -> rt::task<> {
                mark m(log, "inner");
                waits = true;
                co_await forever();
            };
            (void)co_await rt::stop_when(source.get_token(), body());
            log.add("not here");
        }(log, source, waits));
        co_await until(waits);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_FALSE(source.stop_requested());
    });
    EXPECT_EQ(log.lines(), (std::vector<std::string>{"inner", "outer"}));
}

TEST_P(StopWhen, requests_from_another_thread_race_the_end_b24) {
    const int rounds = sanitized ? 1000 : 3000;
    int values = 0, stops = 0, unwound = 0;
    run([&]() -> rt::task<> {
        for (int i = 0; i < rounds; ++i) {
            source_of_std of_std;
            rt::stop_source of_rt;
            std::atomic<bool> go = false;
            auto h = rt::spawn([](auto& of_std, auto& of_rt, auto& go, int n) -> rt::task<bool> {
                auto inner = rt::stop_when(of_rt.get_token(), yields(n));
                go = true;
                auto r = co_await rt::stop_when(of_std.get_token(), std::move(inner));
                co_return r.has_value();
            }(of_std, of_rt, go, i % 4));
            if (i % 16 == 0) {
                std::thread requester([&] {
                    while (!go) std::this_thread::yield();
                    of_rt.request_stop();
                    of_std.request_stop();
                });
                co_await until(go);
                requester.join();
            } else {
                co_await yields(i / 16 % 5);
                if (i % 3 == 0) of_std.request_stop();
                if (i % 3 != 1) of_rt.request_stop();
                if (i % 3 == 1) h.stop();
            }
            auto o = co_await h.outcome();
            o.stopped() ? ++unwound : o.value() ? ++values : ++stops;
        }
    });
    EXPECT_EQ(values + stops + unwound, rounds);
}

#ifndef _LIBCPP_VERSION  // a token of rt does not outlive its source
TEST_P(StopWhen, a_stop_of_the_task_is_requested_at_the_token_that_it_gave_away) {
    run([&]() -> rt::task<> {
        std::atomic<bool> started = false, seen = false;
        auto h = rt::spawn([](auto& started, auto& seen) -> rt::task<> {
            // A job that runs cannot be withdrawn: it looks at its token, which outlives us.
            co_await rt::with_stop_token([&](token_of_std token) -> rt::task<> {
                (void)co_await rt::spawn_blocking([&, token] {
                    started = true;
                    while (!token.stop_requested()) std::this_thread::yield();
                    seen = true;
                });
            });
        }(started, seen));
        co_await until(started);
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        co_await until(seen);
    });
}
#endif

TEST_P(StopWhen, a_body_with_a_token_of_rt_gets_one_and_its_value_is_given) {
    run([&]() -> rt::task<> {
        int value = co_await rt::with_stop_token([](rt::stop_token token) -> rt::task<int> {
            EXPECT_TRUE(token.stop_possible());
            co_await rt::yield_now();
            EXPECT_FALSE(token.stop_requested());
            co_return 5;
        });
        EXPECT_EQ(value, 5);
        std::atomic<bool> waits = false;
        std::atomic<int> calls = 0;
        auto h = rt::spawn([](auto& waits, auto& calls) -> rt::task<> {
            co_await rt::with_stop_token([&](rt::stop_token token) -> rt::task<> {
                rt::stop_callback told(token, [&] { ++calls; });
                rt::stop_source child(token);
                waits = true;
                auto idle = rt::spawn(forever());
                EXPECT_TRUE((co_await rt::as_optional(rt::stop_when(child.get_token(), idle)))
                                .has_value() ||
                            child.stop_requested());
            });
        }(waits, calls));
        co_await until(waits);
        h.stop();
        (void)co_await h.outcome();
        EXPECT_EQ(calls, 1);
    });
}

}  // namespace
