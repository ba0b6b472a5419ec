// Stop source, token and callback without an allocation: the shape of std::inplace_stop_source.
//
// The source owns an intrusive list of callbacks behind a lock. A callback that is being run is off
// the list; its destructor waits until it has returned, unless it is the callback itself that
// destroys it. A source that is the child of a token is a callback of it: so a request goes down,
// and never up, and a child goes while a request is on its way to it. A source's tokens are good as
// long as the source; those of a scope share a list on the heap, and are good for ever.
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

namespace this_task {
/// A token of the running code's stop, for whoever cannot co_await: another library, a thread, a
/// callback. It may outlive the task. It tells of the scope that asks: the task, the job of
/// rt::spawn_blocking, the next() of a stream; or the arm, part or body that runs by itself in a
/// select, join, rt::shield or rt::as_optional (inside rt::shield no stop is ever requested). When
/// that ends without a stop, none will be requested. Callbacks run on the thread that requests the
/// stop, within that request; those of a scope inside of one that ran at that moment, on its own
/// thread when it next waits. They do not wait. Outside tasks: a token of nothing.
///
/// The first one of a scope allocates. Tokens of std: rt::with_stop_token.
rt::stop_token stop_token();
}  // namespace this_task

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
    stop_list() noexcept = default;
    stop_list(const stop_list&) = delete;
    bool request() noexcept;
    /// One owner more, and one less, where it has owners.
    inline void keep() noexcept {
        if (shared_) keep_shared();
    }
    inline void let_go() noexcept {
        if (shared_) let_go_shared();
    }
    [[nodiscard]] bool requested() const noexcept {
        return requested_.load(std::memory_order_acquire);
    }
    /// False: already requested, call it yourself.
    bool add(stop_callback_base& callback) noexcept;
    void remove(stop_callback_base& callback) noexcept;

protected:
    inline explicit stop_list(bool shared) noexcept : shared_(shared) {}

private:
    void keep_shared() noexcept;
    void let_go_shared() noexcept;

    spin_lock lock_;
    bool shared_ = false;
    std::atomic<bool> requested_{false};
    stop_callback_base* first_ = nullptr;
    stop_callback_base* running_ = nullptr;  // guarded by lock_
    std::thread::id runner_;
};

}  // namespace detail

class stop_token {
public:
    stop_token() noexcept = default;
    inline stop_token(const stop_token& other) noexcept : stop_token(other.list_) {}
    inline stop_token(stop_token&& other) noexcept : list_(std::exchange(other.list_, nullptr)) {}
    inline stop_token& operator=(stop_token other) noexcept {
        std::swap(list_, other.list_);
        return *this;
    }
    inline ~stop_token() {
        if (list_) list_->let_go();
    }
    [[nodiscard]] bool stop_requested() const noexcept { return list_ && list_->requested(); }
    [[nodiscard]] bool stop_possible() const noexcept { return list_ != nullptr; }
    friend bool operator==(const stop_token&, const stop_token&) noexcept = default;

private:
    friend class stop_source;
    friend stop_token this_task::stop_token();
    template <class>
    friend class stop_callback;
    inline explicit stop_token(detail::stop_list* list) noexcept : list_(list) {
        if (list_) list_->keep();
    }
    detail::stop_list* list_ = nullptr;
};

namespace detail {

/// Hands a request for one list on to another.
class stop_link : stop_callback_base {
public:
    stop_link(stop_list* parent, stop_list& child) noexcept;
    ~stop_link();

private:
    stop_list* parent_;
    stop_list* child_;
};

}  // namespace detail

/// Where a stop is requested. It outlives its tokens and callbacks.
class stop_source {
public:
    stop_source() noexcept : stop_source(stop_token()) {}
    /// A child: a stop that is requested at the parent is requested here, one that is requested
    /// here is no concern of the parent. Of a stopped parent it is born stopped.
    explicit stop_source(stop_token parent) noexcept;
    stop_source(const stop_source&) = delete;
    stop_source& operator=(const stop_source&) = delete;

    /// Runs the callbacks on this thread, each once. False if a stop was requested before.
    bool request_stop() noexcept { return list_.request(); }
    [[nodiscard]] bool stop_requested() const noexcept { return list_.requested(); }
    [[nodiscard]] stop_token get_token() noexcept { return stop_token(&list_); }

private:
    detail::stop_list list_;
    detail::stop_link link_;  // after list_: it lets go first
};

/// Requests the stop when its scope ends, however it ends.
class [[nodiscard]] stop_guard {
public:
    explicit stop_guard(stop_source& source) noexcept : source_(&source) {}
    stop_guard(const stop_guard&) = delete;
    stop_guard& operator=(const stop_guard&) = delete;
    ~stop_guard() { source_->request_stop(); }

private:
    stop_source* source_;
};

inline stop_source::stop_source(stop_token parent) noexcept : link_(parent.list_, list_) {}

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
          token_(std::move(token)) {
        if (token_.list_ && !token_.list_->add(*this)) {
            token_ = {};
            std::move(call_)();
        }
    }
    ~stop_callback() {
        if (token_.list_) token_.list_->remove(*this);
    }

private:
    F call_;
    stop_token token_;
};
template <class F>
stop_callback(stop_token, F) -> stop_callback<F>;

}  // namespace rt
