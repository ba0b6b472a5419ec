// Lines and records: what has come of one is kept, whoever loses and however it is cut.
#include <source_location>

#include "net/helpers.hpp"

namespace {

class Buffered : public EveryRuntime {};
EVERY_RUNTIME(Buffered);

using lines_of = rt::buffered_reader<rt::tcp_stream>;

TEST_P(Buffered, lines_come_without_their_ends_and_the_last_without_one_counts_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        (co_await near.write_all(bytes_of("one\r\ntwo\n\n\r\nfour \rx\nlast"))).value();
        near.shutdown(rt::shutdown_side::write).value();
        lines_of lines(std::move(far));
        for (auto* expected : {"one", "two", "", "", "four \rx", "last"}) {
            auto line = (co_await lines.read_line()).value();
            EXPECT_TRUE(line.has_value());
            EXPECT_EQ(line.value_or("?"), expected);
        }
        EXPECT_FALSE((co_await lines.read_line()).value());
        EXPECT_FALSE((co_await lines.read_line()).value());
    });
}

TEST_P(Buffered, read_until_keeps_the_carriage_return_and_knows_any_delimiter_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        (co_await near.write_all(bytes_of(std::string_view("a\r;\0;;b", 7)))).value();
        near.shutdown(rt::shutdown_side::write).value();
        lines_of records(std::move(far));
        EXPECT_EQ(*(co_await records.read_until(';')).value(), "a\r");
        EXPECT_EQ(*(co_await records.read_until(';')).value(), std::string(1, '\0'));
        EXPECT_EQ(*(co_await records.read_until(';')).value(), "");
        EXPECT_EQ(*(co_await records.read_until(';')).value(), "b");
        EXPECT_FALSE((co_await records.read_until(';')).value());
    });
}

// On io_uring the poll that had told of the first half was over, and nobody asked for another.
TEST_P(Buffered, a_line_in_pieces_arrives_in_a_select_that_waits_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        lines_of lines(std::move(far));
        std::atomic<int> got{0};
        auto writer = rt::spawn(
            [](rt::tcp_stream& out, std::atomic<int>& got) -> rt::task<> {
                for (int i = 0; i < 20; ++i) {
                    for (auto* piece : {"p", "ie", "ces\n"}) {
                        (co_await out.write_all(bytes_of(piece))).value();
                        co_await settle_down();
                    }
                    while (got.load() <= i) co_await rt::yield_now();
                }
            },
            std::ref(near), std::ref(got));
        for (int i = 0; i < 20; ++i) {
            auto first = co_await rt::select(lines.read_line(), rt::sleep(24h));
            EXPECT_EQ(*std::get<0>(first).value(), "pieces");
            ++got;
        }
        co_await writer;
    });
}

/// A reader that waits for what the test feeds it.
class fed_by_hand {
public:
    class op : public rt::detail::leaf_op<op> {
    public:
        using lossless = void;
        op(std::atomic<op*>& waiting, std::span<std::byte> to) : waiting_(&waiting), to_(to) {}
        op(op&&) noexcept = default;
        bool try_now() const { return false; }
        bool enlist() {
            waiting_->store(this);
            return false;
        }
        bool delist() { return waiting_->exchange(nullptr) == this; }
        std::error_code failure() const { return {}; }
        rt::result<std::size_t> await_resume() const { return 1u; }
        const char* what() const noexcept { return "a read by hand"; }
        std::source_location where() const noexcept { return {}; }
        void feed(char c) {
            to_[0] = static_cast<std::byte>(c);
            complete();
        }

    private:
        std::atomic<op*>* waiting_;
        std::span<std::byte> to_;
    };
    explicit fed_by_hand(std::atomic<op*>& waiting) : waiting_(&waiting) {}
    op read(std::span<std::byte> to) { return {*waiting_, to}; }

private:
    std::atomic<op*>* waiting_;
};

// The stop came when the first half had come and its reader had not resumed yet. It began to read
// the second half, and its frame went while the kernel was at it.
TEST_P(Buffered, a_stop_between_two_pieces_of_a_line_leaves_no_read_behind_b24_b64) {
    run([]() -> rt::task<> {
        std::atomic<fed_by_hand::op*> waiting = nullptr;
        rt::buffered_reader<fed_by_hand> lines{fed_by_hand(waiting)};
        auto h =
            rt::spawn([](auto& lines) -> rt::task<> { (void)co_await lines.read_line(); }(lines));
        co_await until([&] { return waiting != nullptr; });
        waiting.exchange(nullptr)->feed('a');
        h.stop();
        EXPECT_TRUE((co_await h.outcome()).stopped());
        EXPECT_EQ(waiting, nullptr);
    });
}

TEST_P(Buffered, a_line_in_pieces_survives_selects_that_it_loses_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        lines_of lines(std::move(far));
        constexpr std::string_view text = "gr\u00fc\u00dfe \u20ac \U0001f600\nnext\n";
        auto writer = rt::spawn(
            [](rt::tcp_stream& out, std::string_view text) -> rt::task<> {
                for (int i = 0; i < 20; ++i) {
                    for (auto& c : text) {  // every sequence is split
                        (co_await out.write_all(bytes_of({&c, 1}))).value();
                        co_await rt::yield_now();
                    }
                }
                out.shutdown(rt::shutdown_side::write).value();
            },
            std::ref(near), text);
        std::string all;
        for (;;) {
            auto tick = soon();
            auto first = co_await rt::select(lines.read_line(), tick);
            if (first.index() == 1) continue;
            auto line = std::get<0>(first).value();
            if (!line) break;
            all += *line + "\n";
        }
        std::string expected;
        for (int i = 0; i < 20; ++i) expected += text;
        EXPECT_EQ(all, expected);
        co_await writer;
    });
}

// The arm of a piece's read stayed with the socket when its line lost: two tasks "read at once".
TEST_P(Buffered, after_a_lost_select_with_half_a_line_anybody_may_read_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        lines_of lines(std::move(far));
        for (int i = 0; i < 50; ++i) {
            rt::notify enough;
            auto writer = rt::spawn(
                [](rt::tcp_stream& out, rt::notify& enough) -> rt::task<> {
                    co_await settle_down();
                    (co_await out.write_all(bytes_of("half a "))).value();
                    co_await settle_down();
                    enough.notify_one();
                },
                std::ref(near), std::ref(enough));
            auto first = co_await rt::select(lines.read_line(), enough.wait());
            EXPECT_EQ(first.index(), 1u);
            co_await writer;
            (co_await near.write_all(bytes_of("line\n"))).value();
            EXPECT_EQ(*(co_await lines.read_line()).value(), "half a line");
        }
    });
}

TEST_P(Buffered, a_stop_of_the_reader_keeps_half_a_line_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        lines_of lines(std::move(far));
        (co_await near.write_all(bytes_of("half "))).value();
        auto reads =
            rt::spawn([](lines_of& lines) -> rt::task<> { (void)co_await lines.read_line(); },
                      std::ref(lines));
        co_await until_in_flight(1);
        co_await settle_down();
        reads.stop();
        EXPECT_TRUE((co_await reads.outcome()).stopped());
        (co_await near.write_all(bytes_of("a line\n"))).value();
        EXPECT_EQ(*(co_await lines.read_line()).value(), "half a line");
    });
}

TEST_P(Buffered, a_record_that_is_too_long_is_refused_once_and_the_next_one_comes_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        auto writer = rt::spawn(
            [](rt::tcp_stream out) -> rt::task<> {
                auto text = std::string(10, 'x') + "\n" + std::string(11, 'y') + "\nshort\n" +
                            std::string(20'000, 'z');
                (co_await out.write_all(bytes_of(text))).value();
                co_await settle_down();
                (co_await out.write_all(bytes_of(std::string(20'000, 'z') + "\nagain\n"))).value();
                (co_await out.write_all(bytes_of(std::string(30, 'w')))).value();
            },
            std::move(near));
        lines_of lines(std::move(far), 10);
        EXPECT_EQ(*(co_await lines.read_line()).value(), std::string(10, 'x'));
        EXPECT_EQ((co_await lines.read_line()).error(), rt::errc::too_long);
        EXPECT_EQ(*(co_await lines.read_line()).value(), "short");
        EXPECT_EQ((co_await lines.read_line()).error(), rt::errc::too_long);
        EXPECT_EQ(*(co_await lines.read_line()).value(), "again");
        EXPECT_EQ((co_await lines.read_line()).error(), rt::errc::too_long);
        EXPECT_FALSE((co_await lines.read_line()).value());
        co_await writer;
    });
}

TEST_P(Buffered, what_a_line_left_is_there_for_a_plain_read_b64) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        (co_await near.write_all(bytes_of("head\nbody"))).value();
        near.shutdown(rt::shutdown_side::write).value();
        lines_of lines(std::move(far));
        EXPECT_EQ(*(co_await lines.read_line()).value(), "head");
        std::vector<std::byte> body(4);
        (co_await rt::read_exact(lines, body)).value();
        EXPECT_EQ(text_of(body), "body");
        EXPECT_EQ((co_await lines.read(body)).value(), 0u);
    });
}

TEST_P(Buffered, a_reset_in_the_middle_of_a_line_is_an_error) {
    run([]() -> rt::task<> {
        auto [near, far] = co_await make_tcp_pair();
        lines_of lines(std::move(far));
        (co_await near.write_all(bytes_of("half"))).value();
        auto reads = rt::spawn(
            [](lines_of& lines) -> rt::task<std::error_code> {
                co_return (co_await lines.read_line()).error();
            },
            std::ref(lines));
        co_await until_in_flight(1);
        reset(std::move(near));
        EXPECT_EQ(co_await reads, std::errc::connection_reset);
    });
}

}  // namespace
