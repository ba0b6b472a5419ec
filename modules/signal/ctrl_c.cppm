// Ctrl-C as something to wait for.
module;
#include <coroutine>
#include <cstdint>
#include <memory>
#include <source_location>
#include <system_error>
#include <utility>
export module rt.signal:ctrl_c;
import rt.task;
import rt.io;
import :signals;

export namespace rt {

namespace detail {

class [[nodiscard("it does nothing until it is co_awaited")]] ctrl_c_op : public io_op<ctrl_c_op> {
public:
    ctrl_c_op(rt::result<std::unique_ptr<signal_watch>> watch, std::source_location where) noexcept
        : io_op(watch ? (*watch)->reader().object() : nullptr, io_kind::read, nullptr, 1),
          error_(watch.error()),
          where_(where) {
        if (watch) watch_ = *std::move(watch);
    }
    ctrl_c_op(ctrl_c_op&&) noexcept = default;
    /// A signal that came and was not taken is kept for the next.
    ~ctrl_c_op();

    void prepare() noexcept { data = &byte_; }
    bool try_now() noexcept;
    [[nodiscard]] std::error_code failure() const noexcept {
        return error_ ? error_ : io_op::failure();
    }
    rt::result<int> await_resume() noexcept;
    const char* what() const noexcept { return "rt::ctrl_c"; }
    std::source_location where() const noexcept { return where_; }

private:
    std::error_code error_;
    std::unique_ptr<signal_watch> watch_;
    int number_ = 0;  // taken, and not given away
    std::uint8_t byte_ = 0;
    std::source_location where_;
};

}  // namespace detail

/// co_await rt::ctrl_c(): waits for SIGINT or SIGTERM (which asks the same of a server), and gives
/// the number of the one that came, in a result.
///
/// From the first use in the process they no longer end the program by themselves; one that came
/// since then, while nobody waited, counts, once; everybody who waits is told. A stop withdraws it.
/// Lossless: it may lose a select, and a signal that comes then is kept for the next ctrl_c(); a
/// loop over many selects is better served by rt::signals(SIGINT, SIGTERM), which is made once.
/// Errors: pipe2(2), sigaction(2).
detail::ctrl_c_op ctrl_c(std::source_location where = std::source_location::current());

}  // namespace rt
