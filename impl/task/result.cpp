module;
#include <string>
#include <system_error>
module rt.task;

namespace rt {
namespace {

class rt_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "rt"; }
    std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
            case errc::stopped:
                return "stopped before it had a result";
            case errc::unexpected_end:
                return "the stream ended in the middle of what was asked for";
            case errc::timed_out:
                return "timed out";
            case errc::closed:
                return "closed by this side";
            case errc::too_long:
                return "longer than the limit that was set";
            case errc::invalid_address:
                return "not an address: write 127.0.0.1:8080 or [::1]:8080";
            case errc::lagged:
                return "values were overwritten before they were received";
            case errc::bad_option:
                return "an option that cannot be used";
        }
        return "unknown error";
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
            case errc::stopped:
                return std::errc::operation_canceled;
            case errc::timed_out:
                return std::errc::timed_out;
            case errc::too_long:
                return std::errc::message_size;
            case errc::invalid_address:
            case errc::bad_option:
                return std::errc::invalid_argument;
            default:
                return {value, *this};
        }
    }
};

}  // namespace

const std::error_category& category() noexcept {
    static const rt_category instance;
    return instance;
}

std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), category()}; }

void throw_error(std::error_code error) { throw std::system_error(error); }

}  // namespace rt
