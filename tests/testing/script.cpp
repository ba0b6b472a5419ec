// rt::scripted_stream: a peer that does what its script says, and nothing else.
#include "task/helpers.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <system_error>
#include <variant>
import rt.testing;

namespace {

static_assert(rt::reader<rt::scripted_stream> && rt::writer<rt::scripted_stream>);

template <class F>
auto on_seed(std::uint64_t seed, F body) {
    return rt::test_runtime(seed).block_on(body());
}
rt::task<std::string> some(rt::scripted_stream& from) {
    std::array<std::byte, 64> buffer;
    auto n = (co_await from.read(buffer)).or_throw();
    co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}
rt::task<std::string> up_to_end(rt::scripted_stream& from) {
    std::string all;
    for (;;) {
        auto more = co_await some(from);
        if (more.empty()) co_return all;
        all += more;
    }
}

TEST(ScriptedStream, a_dialogue_goes_step_by_step) {
    on_seed(1, []() -> rt::task<> {
        rt::scripted_stream peer(rt::script().read("who?").write("me").read("hello"));
        EXPECT_EQ(co_await some(peer), "who?");
        // The peer says no more before it has its answer.
        auto early = co_await rt::select(peer.read({}), rt::sleep(1s));
        EXPECT_EQ(early.index(), 0u);  // an empty buffer is full at once
        std::array<std::byte, 8> buffer;
        auto waits = co_await rt::select(peer.read(buffer), rt::sleep(1s));
        EXPECT_EQ(waits.index(), 1u);
        EXPECT_EQ((co_await peer.write(rt::as_bytes("me"))).value(), 2u);
        EXPECT_EQ(co_await up_to_end(peer), "hello");
        EXPECT_TRUE(peer.finished());
    });
}

TEST(ScriptedStream, a_read_waits_for_the_write_of_another_task) {
    rt::for_each_seed(
        50,
        [](std::uint64_t seed) {
            on_seed(seed, []() -> rt::task<> {
                rt::scripted_stream peer(
                    rt::script().write("ping").read("pong").write("ping").read("pong").in_pieces());
                auto reads = rt::spawn(up_to_end(peer));
                for (int i = 0; i < 2; ++i)
                    (co_await rt::write_all(peer, rt::as_bytes("ping"))).or_throw();
                EXPECT_EQ(co_await reads, "pongpong");
                EXPECT_TRUE(peer.finished());
            });
        },
        testing::Test::HasFailure);
}

TEST(ScriptedStream, waits_take_virtual_time) {
    on_seed(1, []() -> rt::task<> {
        rt::scripted_stream peer(rt::script().read("a").wait(10s).read("b").wait(5s));
        auto start = co_await rt::this_task::now();
        EXPECT_EQ(co_await some(peer), "a");
        EXPECT_EQ(co_await rt::this_task::now(), start);
        std::array<std::byte, 8> buffer;
        auto late = co_await rt::timeout(4s, peer.read(buffer));
        EXPECT_EQ(late.error(), rt::errc::timed_out);
        EXPECT_EQ(co_await some(peer), "b");
        EXPECT_GE(co_await rt::this_task::now() - start, 10s);
        EXPECT_LT(co_await rt::this_task::now() - start, 11s);
        EXPECT_EQ(co_await some(peer), "");
        EXPECT_GE(co_await rt::this_task::now() - start, 15s);
    });
}

TEST(ScriptedStream, a_read_that_is_quicker_than_its_timer_leaves_none_behind) {
    rt::test_runtime runtime(1);
    rt::scripted_stream peer(rt::script().wait(10ms).write("a").read("b"));
    auto reads = runtime.spawn(some(peer));
    runtime.block_on(settle_down());
    runtime.clock().advance(10ms);  // less than the wheel rounds it up to
    runtime.block_on([](auto& peer, auto& reads) -> rt::task<> {
        (co_await peer.write(rt::as_bytes("a"))).or_throw();
        EXPECT_EQ(co_await reads, "b");
        std::vector<rt::join_handle<>> others;  // in the memory of the read
        for (int i = 0; i < 20; ++i) others.push_back(rt::spawn(settle_down()));
        co_await rt::sleep(1s);
        for (auto& o : others) co_await o;
    }(peer, reads));
}

TEST(ScriptedStream, pieces_are_of_every_size_and_lose_nothing) {
    const std::string all(200, 'x');
    std::size_t reads = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        on_seed(seed, [&]() -> rt::task<> {
            rt::scripted_stream peer(rt::script().read(all).in_pieces());
            std::string got;
            for (;;) {
                auto more = co_await some(peer);
                if (more.empty()) break;
                got += more;
                ++reads;
            }
            EXPECT_EQ(got, all);
        });
    EXPECT_GT(reads, 20u * 4);  // whole buffers would be four for each seed
}

TEST(ScriptedStream, losing_a_select_takes_nothing_b31) {
    rt::for_each_seed(
        200,
        [](std::uint64_t seed) {
            on_seed(seed, []() -> rt::task<> {
                rt::scripted_stream peer(rt::script()
                                             .read("abc")
                                             .wait(1ms)
                                             .read("defghi")
                                             .wait(1ms)
                                             .read("j")
                                             .in_pieces());
                std::string got;
                for (;;) {
                    std::array<std::byte, 4> buffer;
                    auto won =
                        co_await rt::select(peer.read(buffer), rt::sleep(100us), rt::sleep(70us));
                    if (won.index() != 0) continue;
                    auto n = std::get<0>(won).value();
                    if (n == 0) break;
                    got.append(reinterpret_cast<const char*>(buffer.data()), n);
                }
                EXPECT_EQ(got, "abcdefghij");
            });
        },
        testing::Test::HasFailure);
}

TEST(ScriptedStream, errors_come_where_the_script_has_them) {
    on_seed(1, []() -> rt::task<> {
        auto reset = std::make_error_code(std::errc::connection_reset);
        auto full = std::make_error_code(std::errc::no_buffer_space);
        rt::scripted_stream peer(rt::script().read("a").read_error(reset).write_error(full));
        std::array<std::byte, 8> buffer;
        EXPECT_EQ((co_await peer.read(buffer)).value(), 1u);
        EXPECT_EQ((co_await peer.read(buffer)).error(), reset);
        EXPECT_EQ((co_await peer.write(rt::as_bytes("x"))).error(), full);
        EXPECT_TRUE(peer.finished());
    });
}

TEST(ScriptedStream, what_the_script_does_not_expect_is_told) {
    on_seed(1, []() -> rt::task<> {
        rt::scripted_stream peer(rt::script().write("HELO a\r\n"));
        auto n = co_await peer.write(rt::as_bytes("EHLO a\r\n"));
        EXPECT_EQ(n.error(), std::errc::protocol_error);
        EXPECT_EQ(peer.complaint(), "written: \"EHLO a\\r\\n\", expected: \"HELO a\\r\\n\"");
        EXPECT_FALSE(peer.finished());
        rt::scripted_stream silent{rt::script()};
        EXPECT_EQ((co_await silent.write(rt::as_bytes("x"))).error(), std::errc::protocol_error);
        EXPECT_EQ(silent.complaint(), "written: \"x\", expected: nothing, at the script's end");
    });
}

TEST(ScriptedStream, a_write_of_all_goes_on_to_the_end) {
    on_seed(1, []() -> rt::task<> {
        rt::scripted_stream peer(rt::script().write("hel").wait(1s).write("").write("lo"));
        EXPECT_TRUE(co_await peer.write_all(rt::as_bytes("hello")));
        EXPECT_TRUE(peer.finished());
    });
}

TEST(ScriptedStream, who_waits_out_of_turn_is_told_so) {
    rt::test_runtime runtime(1);
    try {
        runtime.block_on([]() -> rt::task<> {
            rt::scripted_stream peer(rt::script().read("first"));
            (void)co_await peer.write(rt::as_bytes("early"));
        }());
        ADD_FAILURE() << "nobody reads";
    } catch (const rt::deadlock_error& e) {
        EXPECT_NE(std::string(e.what()).find("write (the script is at a read)"), std::string::npos)
            << e.what();
    }
}

TEST(ScriptedStream, two_at_once_are_misuse) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto two = [](bool write) {
        on_seed(1, [write]() -> rt::task<> {
            rt::scripted_stream peer(rt::script().wait(1h));
            std::array<std::byte, 8> buffer;
            if (write) {
                (void)co_await rt::join(peer.write(buffer), peer.write(buffer));
            } else {
                (void)co_await rt::join(peer.read(buffer), peer.read(buffer));
            }
        });
    };
    EXPECT_DEATH(two(false), "two reads at once on one scripted_stream.*script.cpp:[0-9]+");
    EXPECT_DEATH(two(true), "two writes at once on one scripted_stream.*script.cpp:[0-9]+");
}

TEST(ScriptedStream, lines_are_read_through_a_buffered_reader) {
    on_seed(3, []() -> rt::task<> {
        rt::buffered_reader lines(rt::scripted_stream(
            rt::script().read("one\r\ntw").wait(1s).read("o\nthree").in_pieces()));
        std::vector<std::string> got;
        while (auto line = (co_await lines.read_line()).or_throw()) got.push_back(*line);
        EXPECT_EQ(got, (std::vector<std::string>{"one", "two", "three"}));
    });
}

}  // namespace
