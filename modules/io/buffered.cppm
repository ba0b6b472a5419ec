// A buffered reader: lines and delimited records out of any stream of bytes.
//
// What it has read stays in it: an operation that loses a select, or is stopped, leaves the part of
// a line that came in the buffer, and the next one goes on from there.
module;
#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>
export module rt.io:buffered;
import rt.task;
import :bytes;

export namespace rt {

namespace detail {

/// The bytes that were read and not taken yet, and what is known about delimiters in them.
class read_buffer {
public:
    explicit read_buffer(std::size_t longest) : longest_(longest) {}

    [[nodiscard]] std::span<std::byte> room();
    void filled(std::size_t count) noexcept;
    void ended() noexcept { at_end_ = true; }
    [[nodiscard]] bool at_end() const noexcept { return at_end_; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    std::size_t take(std::span<std::byte> to) noexcept;

    enum class found : unsigned char { record, nothing, too_long, end };
    /// Looks for a record; a record's text, without its delimiter, is in text until the next call.
    found next_record(char delimiter, std::string_view& text) noexcept;

private:
    std::vector<std::byte> bytes_;
    std::size_t begin_ = 0, end_ = 0;
    std::size_t searched_ = 0;  // from begin_: no delimiter before
    std::size_t longest_;
    bool at_end_ = false;
    bool skipping_ = false;  // a record was too long: up to its delimiter everything is dropped
};

}  // namespace detail

template <reader R>
class buffered_reader {
public:
    using value_type = result<std::string>;
    using read_type = decltype(std::declval<R&>().read(std::span<std::byte>()));

    /// longest: a record that exceeds it is errc::too_long, once; the next one is read as if
    /// nothing had been.
    explicit buffered_reader(R inner, std::size_t longest = 64 * 1024)
        : inner_(std::move(inner)), buffer_(longest) {}

    class [[nodiscard("it does nothing until it is co_awaited")]] record_op
        : public detail::leaf_op<record_op> {
    public:
        using lossless = void;
        record_op(buffered_reader& owner, char delimiter, bool strip, std::source_location where)
            : owner_(&owner), where_(where), delimiter_(delimiter), strip_(strip) {}
        record_op(record_op&& other) noexcept
            : detail::leaf_op<record_op>(std::move(other)),
              owner_(other.owner_),
              where_(other.where_),
              delimiter_(other.delimiter_),
              strip_(other.strip_) {}

        bool try_now() {
            for (;;) {
                if (settled()) return true;
                begin_read();
                // As an arm that waits already, a further read must wait too. (Alone, it is begun
                // by enlist(), which is not called again once a stop has come.)
                if (!inner_->try_now() && !(listed_ && this->selected() && list_read()))
                    return false;
                absorb();
            }
        }
        bool enlist() {
            listed_ = true;
            for (;;) {
                if (settled()) return true;
                begin_read();
                if (!list_read()) return false;
                absorb();
            }
        }
        bool delist() noexcept { return read_listed_ && inner_->delist(); }
        std::coroutine_handle<> wake() noexcept override {
            using base = detail::leaf_op<record_op>;
            if (this->withdrawn_ || !inner_) return base::wake();
            if (inner_->failure() == errc::closed && this->env_->stop_requested())
                return detail::unwind(*this->frame_);
            if (inner_->wants_retry()) {
                read_listed_ = false;
            } else {
                absorb();
            }
            return this->wait_again();
        }
        [[nodiscard]] std::error_code failure() const noexcept { return error_; }
        result<std::optional<std::string>> await_resume() {
            if (error_) return error_;
            return std::move(record_);
        }
        const char* what() const noexcept { return "rt::buffered_reader"; }
        std::source_location where() const noexcept { return where_; }

    private:
        bool settled() {
            if (done_) return true;
            std::string_view text;
            switch (owner_->buffer_.next_record(delimiter_, text)) {
                case detail::read_buffer::found::nothing:
                    return false;
                case detail::read_buffer::found::too_long:
                    error_ = errc::too_long;
                    break;
                case detail::read_buffer::found::end:
                    break;
                case detail::read_buffer::found::record:
                    if (strip_ && text.ends_with('\r')) text.remove_suffix(1);
                    record_.emplace(text);
            }
            return done_ = true;
        }
        void begin_read() {
            if (inner_) return;
            inner_.emplace(owner_->inner_.read(owner_->buffer_.room()));
            inner_->bind(this->env_);
            inner_->stand_in_for(*this, *this);
        }
        /// True: it has its result at once.
        bool list_read() {
            if (read_listed_) return false;
            read_listed_ = !inner_->enlist();
            return !read_listed_;
        }
        /// The read has its result: its bytes go into the buffer.
        void absorb() {
            // An arm that was tried while it waited still stands in the stream's list.
            if (std::exchange(read_listed_, false) && this->selected()) (void)inner_->delist();
            if (auto error = inner_->failure()) {
                error_ = error;
                done_ = true;
            } else if (auto n = *inner_->await_resume(); n == 0) {
                owner_->buffer_.ended();
            } else {
                owner_->buffer_.filled(n);
            }
            inner_.reset();
        }
        struct inner_read final : read_type {
            explicit inner_read(read_type&& op) : read_type(std::move(op)) {}
        };
        buffered_reader* owner_;
        std::optional<inner_read> inner_;
        std::optional<std::string> record_;
        std::error_code error_;
        std::source_location where_;
        char delimiter_;
        bool strip_;
        bool done_ = false;
        bool listed_ = false;       // this waits, or did
        bool read_listed_ = false;  // and so does the read in inner_
    };

    /// Lines for the stream concept.
    class [[nodiscard("it does nothing until it is co_awaited")]] next_op : public record_op {
    public:
        next_op(buffered_reader& owner, std::source_location where)
            : record_op(owner, '\n', true, where) {}
        next_op(next_op&& other) noexcept = default;
        std::optional<result<std::string>> await_resume() {
            auto line = record_op::await_resume();
            if (!line) return result<std::string>(line.error());
            if (!*line) return std::nullopt;
            return result<std::string>(*std::move(*line));
        }
    };

    /// Waits for the next record, without its delimiter; empty at the end. What stands before the
    /// end without a delimiter is the last record. Errors: those of the reader, errc::too_long.
    /// Lossless; a stop withdraws it.
    auto read_until(char delimiter, std::source_location where = std::source_location::current()) {
        return record_op(*this, delimiter, false, where);
    }
    /// As read_until('\n'), and a '\r' before it is dropped too.
    auto read_line(std::source_location where = std::source_location::current()) {
        return record_op(*this, '\n', true, where);
    }
    /// The stream concept, a stream of lines: as read_line(), and empty at the end.
    auto next(std::source_location where = std::source_location::current()) {
        return next_op(*this, where);
    }
    /// What is buffered, else one read of the inner reader.
    io_task<std::size_t> read(std::span<std::byte> to) {
        if (auto n = buffer_.take(to)) co_return n;
        co_return co_await inner_.read(to);
    }
    [[nodiscard]] R& inner() noexcept { return inner_; }

private:
    R inner_;
    detail::read_buffer buffer_;
};

}  // namespace rt
