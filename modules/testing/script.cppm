// A peer that follows a script: what a reader will get and a writer is to write, step by step.
//
// A step begins when the one before has ended. A read takes from a step that gives bytes, a write
// goes into a step that expects them, and each waits while the script is at another kind of step.
// An operation waits for readiness: when the step changes, it tries again. Everything belongs to
// one thread.
module;
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
export module rt.testing:script;
import rt.task;
import rt.time;

export namespace rt {

namespace detail {

class script_op;

struct script_state {
    struct gives {
        std::string bytes;
    };
    struct expects {
        std::string bytes;
    };
    struct waits {
        std::chrono::nanoseconds duration;
    };
    struct fails_read {
        std::error_code error;
    };
    struct fails_write {
        std::error_code error;
    };
    using step = std::variant<gives, expects, waits, fails_read, fails_write>;

    std::deque<step> steps;
    std::optional<steady_time> due;  // when the step that waits ends
    script_op* waiting[2] = {};      // who reads, who writes
    bool in_pieces = false;
    std::string complaint;
};

class [[nodiscard("it does nothing until it is co_awaited")]] script_op : public leaf_op<script_op>,
                                                                          public timer_node {
public:
    using lossless = void;
    script_op(std::shared_ptr<script_state> script, std::span<std::byte> to,
              std::span<const std::byte> from, bool writes, std::source_location where) noexcept
        : script_(std::move(script)), to_(to), from_(from), where_(where), writes_(writes) {}
    script_op(script_op&& other) noexcept
        : leaf_op(std::move(other)),
          script_(std::move(other.script_)),
          to_(other.to_),
          from_(other.from_),
          where_(other.where_),
          writes_(other.writes_) {}

    bool try_now();
    bool enlist();
    bool delist() noexcept;
    [[nodiscard]] std::error_code failure() const noexcept { return result_.error(); }
    result<std::size_t> await_resume() { return result_; }
    const char* what() const noexcept {
        if (out_of_turn_)
            return writes_ ? "rt::scripted_stream::write (the script is at a read)"
                           : "rt::scripted_stream::read (the script is at a write)";
        return writes_ ? "rt::scripted_stream::write" : "rt::scripted_stream::read";
    }
    std::source_location where() const noexcept { return where_; }

private:
    void go_on();
    void be_woken_at_due();
    bool done(result<std::size_t> with);
    std::size_t piece(std::size_t most);
    static void wake(script_op* op) noexcept;

    std::shared_ptr<script_state> script_;
    std::span<std::byte> to_;
    std::span<const std::byte> from_;
    result<std::size_t> result_ = std::size_t{0};
    std::source_location where_;
    bool writes_;
    bool out_of_turn_ = false;
};

}  // namespace detail

/// What the peer of a scripted_stream does.
///
///     auto peer = rt::scripted_stream(
///         rt::script().read("GET / HTTP/1.1\r\n").wait(10ms).read("\r\n").write("HTTP/1.1 200 "));
class script {
public:
    /// The peer sends these bytes: reads get them. None: one read gives 0, as at the end.
    script& read(std::string_view bytes) & { return add(state::gives{std::string(bytes)}); }
    script&& read(std::string_view bytes) && { return std::move(read(bytes)); }
    /// The peer expects these bytes: writes have to bring them, in one or in several calls.
    script& write(std::string_view bytes) & {
        return bytes.empty() ? *this : add(state::expects{std::string(bytes)});
    }
    script&& write(std::string_view bytes) && { return std::move(write(bytes)); }
    /// Nothing for so long.
    script& wait(std::chrono::nanoseconds duration) & { return add(state::waits{duration}); }
    script&& wait(std::chrono::nanoseconds duration) && { return std::move(wait(duration)); }
    /// One read fails with the error.
    script& read_error(std::error_code error) & { return add(state::fails_read{error}); }
    script&& read_error(std::error_code error) && { return std::move(read_error(error)); }
    /// One write fails with the error.
    script& write_error(std::error_code error) & { return add(state::fails_write{error}); }
    script&& write_error(std::error_code error) && { return std::move(write_error(error)); }
    /// Every read gets, and every write takes, any number of the bytes that it could: at random,
    /// from the runtime's seed.
    script& in_pieces() & {
        in_pieces_ = true;
        return *this;
    }
    script&& in_pieces() && { return std::move(in_pieces()); }

private:
    friend class scripted_stream;
    using state = detail::script_state;
    script& add(state::step s) {
        steps_.push_back(std::move(s));
        return *this;
    }
    std::deque<state::step> steps_;
    bool in_pieces_ = false;
};

/// A reader and writer in memory that follows a script. On a runtime of one thread:
/// rt::test_runtime or .current_thread().
///
/// At the end of the script reads give 0, the end. A write of something else than the script
/// expects, or after its end, fails with std::errc::protocol_error, and complaint() tells what was
/// written and what was expected. Operations wait while the script is at a step of another kind; a
/// stop withdraws them, and so does losing a select: then they have taken nothing.
class scripted_stream {
public:
    explicit scripted_stream(script s) : state_(std::make_shared<detail::script_state>()) {
        state_->steps = std::move(s.steps_);
        state_->in_pieces = s.in_pieces_;
    }
    /// Resumes on the task's executor, with how many bytes came, 0 at the end. Borrows the buffer.
    detail::script_op read(std::span<std::byte> buffer,
                           std::source_location where = std::source_location::current()) {
        return {state_, buffer, {}, false, where};
    }
    /// Resumes with how many bytes the peer took, at least 1. Borrows the buffer.
    detail::script_op write(std::span<const std::byte> buffer,
                            std::source_location where = std::source_location::current()) {
        return {state_, {}, buffer, true, where};
    }
    /// Until the peer has taken all; an error leaves open how much. Borrows the buffer.
    io_task<> write_all(std::span<const std::byte> buffer,
                        std::source_location where = std::source_location::current()) {
        return write_all(state_, buffer, where);
    }
    /// Every step has ended, and nothing was wrong.
    [[nodiscard]] bool finished() const noexcept {
        return state_->steps.empty() && state_->complaint.empty();
    }
    /// Of the first write that the script does not expect; empty: none.
    [[nodiscard]] const std::string& complaint() const noexcept { return state_->complaint; }

private:
    explicit scripted_stream(std::shared_ptr<detail::script_state> state) noexcept
        : state_(std::move(state)) {}
    static io_task<> write_all(std::shared_ptr<detail::script_state> state,
                               std::span<const std::byte> buffer, std::source_location where);

    std::shared_ptr<detail::script_state> state_;
};

}  // namespace rt
