// Stop source, token and callback without an allocation: the shape of std::inplace_stop_source.
//
// The source owns an intrusive list of callbacks behind a lock. A callback that is being run is off
// the list; its destructor waits until it has returned, unless it is the callback itself that
// destroys it.
module;
#include <atomic>
#include <concepts>
#include <thread>
#include <type_traits>
#include <utility>
export module rt.task:stop;
import :executor;

export namespace rt {

class stop_token;

namespace detail {

class stop_callback_base {
public:
    stop_callback_base(const stop_callback_base&) = delete;
    stop_callback_base& operator=(const stop_callback_base&) = delete;

protected:
    explicit stop_callback_base(void (*call)(stop_callback_base&) noexcept) noexcept
        : call_(call) {}
    ~stop_callback_base() = default;

private:
    friend class rt::stop_token;
    friend class stop_list;
    stop_callback_base* prev_ = nullptr;
    stop_callback_base* next_ = nullptr;
    void (*call_)(stop_callback_base&) noexcept;
    bool* gone_ = nullptr;  // set while it runs: told when it destroys itself
    bool listed_ = false;
};

class stop_list {
public:
    bool request() noexcept;
    [[nodiscard]] bool requested() const noexcept {
        return requested_.load(std::memory_order_acquire);
    }
    /// False: already requested, call it yourself.
    bool add(stop_callback_base& callback) noexcept;
    void remove(stop_callback_base& callback) noexcept;

private:
    spin_lock lock_;
    std::atomic<bool> requested_{false};
    stop_callback_base* first_ = nullptr;
    stop_callback_base* running_ = nullptr;  // guarded by lock_
    std::thread::id runner_;
};

}  // namespace detail

/// Where a stop is requested. It must outlive its tokens and callbacks.
class stop_source {
public:
    stop_source() = default;
    stop_source(const stop_source&) = delete;
    stop_source& operator=(const stop_source&) = delete;

    /// Runs the callbacks on this thread, each once. False if a stop was requested before.
    bool request_stop() noexcept { return list_.request(); }
    [[nodiscard]] bool stop_requested() const noexcept { return list_.requested(); }
    [[nodiscard]] stop_token get_token() noexcept;

private:
    detail::stop_list list_;
};

class stop_token {
public:
    stop_token() = default;
    [[nodiscard]] bool stop_requested() const noexcept { return list_ && list_->requested(); }
    [[nodiscard]] bool stop_possible() const noexcept { return list_ != nullptr; }
    friend bool operator==(const stop_token&, const stop_token&) noexcept = default;

private:
    friend class stop_source;
    template <class>
    friend class stop_callback;
    explicit stop_token(detail::stop_list* list) noexcept : list_(list) {}
    detail::stop_list* list_ = nullptr;
};

inline stop_token stop_source::get_token() noexcept { return stop_token(&list_); }

/// Calls f once when a stop is requested, on the requester's thread; at once if it was requested
/// before. The destructor waits for a call that runs on another thread; f may destroy its own
/// callback.
template <class F>
class stop_callback : detail::stop_callback_base {
public:
    template <class G>
        requires std::constructible_from<F, G>
    stop_callback(stop_token token, G&& f)
        : stop_callback_base([](stop_callback_base& self) noexcept {
              std::move(static_cast<stop_callback&>(self).call_)();
          }),
          call_(std::forward<G>(f)),
          list_(token.list_) {
        if (list_ && !list_->add(*this)) {
            list_ = nullptr;
            std::move(call_)();
        }
    }
    ~stop_callback() {
        if (list_) list_->remove(*this);
    }

private:
    F call_;
    detail::stop_list* list_;
};
template <class F>
stop_callback(stop_token, F) -> stop_callback<F>;

}  // namespace rt
