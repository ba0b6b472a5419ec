// Tools on any stream of bytes: exact reads, whole writes, copies, and readers that lie.
#include "net/helpers.hpp"

#include <algorithm>

namespace {

/// Gives its text in pieces of so many bytes, and then the end.
struct slow_reader {
    std::string text;
    std::size_t piece = 1;
    rt::io_task<std::size_t> read(std::span<std::byte> to) {
        co_await rt::yield_now();
        auto n = std::min({text.size(), piece, to.size()});
        std::ranges::copy(bytes_of(text).first(n), to.begin());
        text.erase(0, n);
        co_return n;
    }
};
struct slow_writer {
    std::string text;
    std::size_t piece = 3;
    rt::io_task<std::size_t> write(std::span<const std::byte> from) {
        auto n = std::min(piece, from.size());
        text += text_of(from.first(n));
        co_return n;
    }
};
struct liar {
    rt::io_task<std::size_t> read(std::span<std::byte> to) { co_return to.size() + 1; }
    rt::io_task<std::size_t> write(std::span<const std::byte> b) { co_return b.size() + 1; }
};
struct broken {
    rt::io_task<std::size_t> read(std::span<std::byte>) {
        co_return std::make_error_code(std::errc::io_error);
    }
};

class Bytes : public EveryRuntime {};
EVERY_RUNTIME(Bytes);

TEST_P(Bytes, short_reads_are_no_error_and_an_early_end_tells_how_much_came_b62) {
    run([]() -> rt::task<> {
        slow_reader from{"0123456789", 3};
        std::vector<std::byte> buffer(8);
        std::size_t received = 99;
        EXPECT_TRUE(co_await rt::read_exact(from, buffer, &received));
        EXPECT_EQ(received, 8u);
        EXPECT_EQ(text_of(buffer), "01234567");
        EXPECT_EQ((co_await rt::read_exact(from, buffer, &received)).error(),
                  rt::errc::unexpected_end);
        EXPECT_EQ(received, 2u);
        EXPECT_EQ(text_of(std::span(buffer).first(2)), "89");
        EXPECT_TRUE(co_await rt::read_exact(from, {}, &received));
        EXPECT_EQ(received, 0u);
    });
}

TEST_P(Bytes, a_copy_goes_on_to_the_end_and_says_how_much_b65) {
    run([]() -> rt::task<> {
        std::string text(100'000, 'c');
        slow_reader from{text, 7'001};
        slow_writer to{{}, 999};
        EXPECT_EQ((co_await rt::copy(from, to)).value(), text.size());
        EXPECT_TRUE(to.text == text);
        broken bad;
        EXPECT_EQ((co_await rt::copy(bad, to)).error(), std::errc::io_error);
    });
}

TEST(BytesMisuse, a_reader_or_writer_that_reports_too_much_stops_the_program_b67) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    auto run = [](auto body) { rt::runtime::builder().current_thread().build().block_on(body()); };
    auto reads = []() -> rt::task<> {
        liar l;
        std::byte buffer[4];
        (void)co_await rt::read_exact(l, buffer);
    };
    auto writes = []() -> rt::task<> {
        liar l;
        (void)co_await rt::write_all(l, bytes_of("abc"));
    };
    EXPECT_DEATH(run(reads), "rt: misuse: a reader or writer reports more bytes");
    EXPECT_DEATH(run(writes), "rt: misuse: a reader or writer reports more bytes");
}

}  // namespace
