// A value or a std::error_code: what operating errors travel in.
//
// std::expected is C++23 and rt is built from C++20 on, so this has its member names and converts
// to it where it exists. An error is cheap (0.1 µs a frame where an exception costs 6): resets,
// timeouts and ends of stream are ordinary in a server.
module;
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
export module rt.task:result;

export namespace rt {

/// The errors that rt itself makes; everything else keeps the category of the system.
enum class errc {
    stopped = 1,      ///< the task, or what it waited for, was stopped
    unexpected_end,   ///< the stream ended in the middle of what was asked for
    timed_out,        ///< a timeout expired before its operation ended
    closed,           ///< the channel, socket or runtime behind the operation is closed
    too_long,         ///< a line, frame or head exceeds the limit that the caller set
    invalid_address,  ///< an endpoint's text does not parse; parse_endpoint() tells the position
    lagged,           ///< values were overwritten before they were received
    bad_option,       ///< a builder or environment value that cannot be used
};

const std::error_category& category() noexcept;
std::error_code make_error_code(errc e) noexcept;

}  // namespace rt

export template <>
struct std::is_error_code_enum<rt::errc> : std::true_type {};

export namespace rt {

template <class T = void>
class result;

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;

/// Throws std::system_error; out of line so that callers stay small.
[[noreturn]] void throw_error(std::error_code error);

template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;
    using error_type = std::error_code;

    inline result()
        requires std::default_initializable<T>
        : state_(std::in_place_index<0>) {}
    template <class U = T>
        requires(std::constructible_from<T, U> && !is_result<std::remove_cvref_t<U>> &&
                 !std::same_as<std::remove_cvref_t<U>, std::error_code> &&
                 !std::is_error_code_enum_v<std::remove_cvref_t<U>>)
    inline explicit(!std::convertible_to<U, T>) result(U&& value)
        : state_(std::in_place_index<0>, std::forward<U>(value)) {}
    inline result(std::error_code error) : state_(std::in_place_index<1>, error) {}
    template <class E>
        requires std::is_error_code_enum_v<E>
    inline result(E error) : result(make_error_code(error)) {}

    [[nodiscard]] inline bool has_value() const noexcept { return state_.index() == 0; }
    inline explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] inline std::error_code error() const noexcept {
        auto* e = std::get_if<1>(&state_);
        return e ? *e : std::error_code{};
    }

    T& operator*() & noexcept { return *std::get_if<0>(&state_); }
    const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
    T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T* operator->() noexcept { return std::get_if<0>(&state_); }
    const T* operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The value; throws std::system_error when there is none.
    inline T& value() & {
        check();
        return **this;
    }
    inline const T& value() const& {
        check();
        return **this;
    }
    inline T&& value() && {
        check();
        return *std::move(*this);
    }
    inline T&& or_throw() && { return std::move(*this).value(); }

    template <class U>
    T value_or(U&& other) && {
        return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    T value_or(U&& other) const& {
        return has_value() ? **this : static_cast<T>(std::forward<U>(other));
    }
    template <class F>
    auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
        if (!has_value()) return error();
        return std::invoke(std::forward<F>(f), *std::move(*this));
    }
    template <class F>
    auto transform(F&& f) && -> result<std::invoke_result_t<F, T&&>> {
        if (!has_value()) return error();
        if constexpr (std::is_void_v<std::invoke_result_t<F, T&&>>) {
            std::invoke(std::forward<F>(f), *std::move(*this));
            return {};
        } else {
            return std::invoke(std::forward<F>(f), *std::move(*this));
        }
    }
    template <class F>
    result or_else(F&& f) && {
        if (has_value()) return std::move(*this);
        return std::invoke(std::forward<F>(f), error());
    }

    /// To std::expected<T, std::error_code>, where the library has it.
    template <class E>
        requires(std::same_as<typename E::value_type, T> &&
                 std::same_as<typename E::error_type, std::error_code> && !is_result<E>)
    inline operator E() && {
        if (has_value()) return E(*std::move(*this));
        return E(typename E::unexpected_type(error()));
    }

    inline friend bool operator==(const result& a, const result& b)
        requires std::equality_comparable<T>
    {
        return a.state_ == b.state_;
    }

private:
    inline void check() const {
        if (!has_value()) throw_error(error());
    }
    std::variant<T, std::error_code> state_;
};

template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;
    using error_type = std::error_code;

    result() noexcept = default;
    inline result(std::error_code error) noexcept : error_(error) {}
    template <class E>
        requires std::is_error_code_enum_v<E>
    inline result(E error) : result(make_error_code(error)) {}

    [[nodiscard]] inline bool has_value() const noexcept { return !error_; }
    inline explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] inline std::error_code error() const noexcept { return error_; }
    void operator*() const noexcept {}
    inline void value() const {
        if (error_) throw_error(error_);
    }
    inline void or_throw() const { value(); }
    template <class F>
    auto and_then(F&& f) const -> std::invoke_result_t<F> {
        if (error_) return error_;
        return std::invoke(std::forward<F>(f));
    }
    template <class E>
        requires(std::is_void_v<typename E::value_type> &&
                 std::same_as<typename E::error_type, std::error_code> && !is_result<E>)
    inline operator E() const {
        if (!error_) return E();
        return E(typename E::unexpected_type(error_));
    }
    friend bool operator==(const result& a, const result& b) noexcept = default;

private:
    std::error_code error_;
};

template <class T>
struct result_value {
    using type = T;
};
template <class T>
struct result_value<result<T>> {
    using type = T;
};
/// T of result<T>, and T itself otherwise.
template <class T>
using result_value_t = typename result_value<T>::type;

}  // namespace rt
