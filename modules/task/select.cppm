// select: several things at once, until one of them has its result; the others have then taken
// nothing.
//
// All arms are tried before any is published. A published arm is won by a claim of the commit word
// (rt.task:leaf); arms that must ask the kernel wake the select, which tries for itself. The loser
// arms are delisted before select returns; a task arm is stopped, and has ended. So no arm is
// pending afterwards: nothing can hold a lock's turn in a future that nobody resumes. Phases, moved
// by the select's task only: arming -> waiting (armed, commit word open) -> arming ... until there
// is a winner or a stop, then draining while task arms still run.
module;
#include <array>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.task:select;
import :combine;
import :coroutine;
import :executor;
import :leaf;
import :operation;
import :result;

export namespace rt {

/// Accepts that an arm may lose what it had: a task that is stopped in the middle, a partial write.
template <class A>
struct allowed_loss {
    A arm;
    steady_time deadline = steady_time::max();  // see environment::deadline()
};

/// select(..., rt::allow_loss(task), ...): the task is stopped if another arm wins, and its result,
/// if it comes to have one on the way to its end, is destroyed.
template <class A>
auto allow_loss(A&& arm) {
    static_assert(!std::is_lvalue_reference_v<A>,
                  "an arm is awaited once: rt::allow_loss(f()), or rt::allow_loss(std::move(x))");
    auto body = detail::to_task(std::move(arm));
    return allowed_loss<decltype(body)>{std::move(body)};
}

/// First argument of select: arms are tried in the order in which they are written.
struct biased_t {};
inline constexpr biased_t biased;

namespace detail {

template <class A>
inline constexpr bool is_allowed_loss = false;
template <class T>
inline constexpr bool is_allowed_loss<allowed_loss<T>> = true;

/// One arm that is an operation.
template <class Op>
class op_arm {
public:
    static constexpr bool is_child = false;
    using value_type = await_result_t<Op>;
    explicit op_arm(Op&& op) : op_(std::move(op)) {}

    void bind(wait_op& select, environment& env, commit_word& commit,
              std::uint32_t index) noexcept {
        op_.bind(&env);
        op_.join_select(select, commit, index);
    }
    bool try_now() noexcept { return op_.try_now(); }
    bool enlist() noexcept {
        listed_ = true;
        return op_.enlist();
    }
    void delist() noexcept {
        if (std::exchange(listed_, false)) (void)op_.delist();
    }
    value_type take() { return op_.await_resume(); }
    void hold() noexcept {
        if constexpr (requires { op_.hold(); }) op_.hold();
    }
    void describe(std::vector<awaited>& to, unsigned depth) { op_.describe(to, depth); }

private:
    Op op_;
    bool listed_ = false;
};

/// One arm that is a task.
template <class T>
class task_arm {
public:
    static constexpr bool is_child = true;
    using value_type = T;
    explicit task_arm(allowed_loss<task<T>>&& arm) : child_(std::move(arm.arm)) {
        child_.env.be_done_by(arm.deadline);
    }
    bool enlist() noexcept { return child_.has_ended.load(std::memory_order_acquire); }
    void delist() noexcept {}
    void hold() noexcept {}
    value_type take() { return child_.take(); }
    void describe(std::vector<awaited>& to, unsigned depth) { child_.env.describe(to, depth); }
    child<T>& scope() noexcept { return child_; }

    commit_word* commit = nullptr;
    std::uint32_t index = 0;

private:
    child<T> child_;
};

template <class A>
auto make_arm(A&& arm) {
    using type = std::remove_cvref_t<A>;
    static_assert(!(std::is_lvalue_reference_v<A> && std::is_base_of_v<wait_op, type>),
                  "an operation is awaited once: make it in the select, or std::move(op)");
    static_assert(
        !requires { typename type::ends_coroutine; },
        "an arm's or_return() has no coroutine of its own to end: select(op, ...), and then "
        "look at the result of the arm that won");
    if constexpr (is_allowed_loss<type>) {
        return task_arm(std::move(arm));
    } else if constexpr (lossless_operation<type>) {
        return op_arm<type>(std::move(arm));
    } else if constexpr (requires { std::forward<A>(arm).as_operation(); }) {
        using op = decltype(std::forward<A>(arm).as_operation());
        return op_arm<op>(std::forward<A>(arm).as_operation());
    } else if constexpr (!can_be_awaited<type>) {
        static_assert(can_be_awaited<type>,
                      "this arm cannot be awaited: give an operation, or a task (f(), with the "
                      "parentheses) in rt::allow_loss(...)");
    } else {
        static_assert(
            lossless_operation<type>,
            "this arm may lose what it had taken when another arm wins; if that is acceptable, "
            "say so: rt::allow_loss(...)");
    }
}
template <class A>
using arm_t = decltype(make_arm(std::declval<A>()));

/// Limits: it is an rt::timeout, and says so.
template <bool Limits, class... Arms>
class [[nodiscard("it does nothing until it is co_awaited")]] select_op final : public combinator {
    static constexpr const char* name = Limits ? "rt::timeout" : "rt::select";
    static constexpr std::size_t count = sizeof...(Arms);
    static constexpr std::size_t children = (std::size_t{Arms::is_child} + ... + 0);

public:
    using value_type = std::variant<value_or_monostate<typename Arms::value_type>...>;

    select_op(bool in_order, Arms&&... arms) : arms_(std::move(arms)...), in_order_(in_order) {}
    select_op(select_op&& other) noexcept
        : combinator(std::move(other)), arms_(std::move(other.arms_)), in_order_(other.in_order_) {}
    ~select_op() { delist_all(); }

    bool await_ready() noexcept {
        if (env_ == nullptr) awaited_outside(name, *this);
        first_ = in_order_ ? 0 : static_cast<std::uint32_t>(env_->exec().random() % count);
        std::apply(
            [this](auto&... a) {
                std::uint32_t i = 0;
                (this->bind_arm(a, i++), ...);
            },
            arms_);
        if (!env_->charge()) {
            starved_ = true;
            return false;
        }
        commit_.start_trying();
        if constexpr (children != 0) {
            return false;  // a task arm starts once this frame is suspended
        } else {
            return try_all();
        }
    }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        if constexpr (std::is_base_of_v<promise_base, Promise>) suspend_in(h.promise());
        if (starved_) {
            if (env_->stop_requested()) return unwind(*frame_);
            hold_all();
            env_->exec().count_forced_yield();
            env_->exec().post_later(*this);
            return std::noop_coroutine();
        }
        return begin();
    }
    value_type await_resume() { return take(std::make_index_sequence<count>()); }

    bool withdraw() noexcept override { return phase_ == waiting && commit_.claim_to_stop(); }

    void describe(std::vector<awaited>& to, unsigned depth) override {
        to.push_back({name, where_, depth});
        std::apply([&](auto&... a) { (a.describe(to, depth + 1), ...); }, arms_);
    }
    std::coroutine_handle<> wake() noexcept override {
        if (starved_) {
            starved_ = false;
            if (env_->stop_requested()) return unwind(*frame_);
            (void)env_->charge();
            commit_.start_trying();
            if constexpr (children == 0) {
                if (try_all()) return deliver();
            }
            return begin();
        }
        if (phase_ == draining) return end();
        if (withdrawn_) return drain();
        if (auto won = commit_.winner(); won >= 0) {
            winner_ = won;
            return drain();
        }
        return wait();  // woken to try
    }

private:
    enum phase : std::uint8_t { arming, waiting, draining };
    static constexpr int none = -1;

    template <class Arm>
    void bind_arm(Arm& arm, std::uint32_t index) noexcept {
        if constexpr (Arm::is_child) {
            arm.commit = &commit_;
            arm.index = index;
        } else {
            arm.bind(*this, *env_, commit_, index);
        }
    }

    // Tables of one function per arm, so that a run-time index costs one indirect call.
    using arm_call = bool (*)(select_op&) noexcept;
    template <std::size_t... I>
    static constexpr std::array<arm_call, count> try_table(std::index_sequence<I...>) {
        return {[](select_op& self) noexcept { return self.try_arm(std::get<I>(self.arms_)); }...};
    }
    template <std::size_t... I>
    static constexpr std::array<arm_call, count> enlist_table(std::index_sequence<I...>) {
        return {[](select_op& self) noexcept { return std::get<I>(self.arms_).enlist(); }...};
    }

    template <class Arm>
    bool try_arm(Arm& arm) noexcept {
        if constexpr (Arm::is_child) {
            auto& scope = arm.scope();
            if (!scope.started)
                scope.start(child_executor(), env_->identity(), *this,
                            &on_end<typename Arm::value_type>);
            return scope.has_ended.load(std::memory_order_acquire) && !scope.was_stopped;
        } else {
            return arm.try_now();
        }
    }
    executor& child_executor() noexcept {
        if constexpr (children > 1) {
            return strand_;
        } else {
            return env_->exec();
        }
    }
    /// While trying: true, and winner_ is set, when an arm has its result.
    bool in_turn(const std::array<arm_call, count>& table) noexcept {
        for (std::uint32_t i = 0; i < count; ++i) {
            auto index = (first_ + i) % static_cast<std::uint32_t>(count);
            if (table[index](*this)) {
                winner_ = static_cast<int>(index);
                commit_.win(index);
                return true;
            }
        }
        return false;
    }
    bool try_all() noexcept {
        static constexpr auto table = try_table(std::make_index_sequence<count>());
        return in_turn(table);
    }
    bool enlist_all() noexcept {
        static constexpr auto table = enlist_table(std::make_index_sequence<count>());
        return in_turn(table);
    }

    std::coroutine_handle<> begin() noexcept {
        if constexpr (children != 0) {
            hold_all();  // a task arm may drop what another arm waits for
            hold();      // until draining: children that end earlier do not complete the select by
                         // their count
            if constexpr (children > 1) {
                strand_.bind(env_->exec());
                strand_.enter();
            }
            bool won = try_all();
            if constexpr (children > 1) strand_.leave();
            if (won) return drain();
        }
        if (enlist_all()) return drain();
        if (commit_.reopen()) return arm_now();
        return wait();
    }
    std::coroutine_handle<> wait() noexcept {
        for (;;) {
            phase_ = arming;
            if (try_all()) return drain();
            if (commit_.reopen()) return arm_now();
        }
    }
    std::coroutine_handle<> arm_now() noexcept {
        phase_ = waiting;
        return env_->arm(*this);
    }
    /// What the arms wait for lives on, whoever drops it before they have been tried.
    void hold_all() noexcept {
        std::apply([](auto&... a) { (a.hold(), ...); }, arms_);
    }
    void delist_all() noexcept {
        std::apply([](auto&... a) { (a.delist(), ...); }, arms_);
    }
    /// There is a winner, or a stop: the others end.
    std::coroutine_handle<> drain() noexcept {
        delist_all();
        if constexpr (children != 0) {
            phase_ = draining;
            std::apply([](auto&... a) { (stop_child(a), ...); }, arms_);
            if (!drop()) return env_->arm(*this);
        }
        return end();
    }
    std::coroutine_handle<> end() noexcept { return winner_ == none ? unwind(*frame_) : deliver(); }
    template <class Arm>
    static void stop_child(Arm& arm) noexcept {
        if constexpr (Arm::is_child) arm.scope().env.request_stop();
    }

    template <class T>
    static child_link::next_step on_end(child_link& link, child_link::ending how) noexcept {
        auto& scope = static_cast<child<T>&>(link);
        auto& self = static_cast<select_op&>(scope.owner());
        scope.was_stopped = how == child_link::ending::stopped;
        scope.has_ended.store(true, std::memory_order_release);
        if (!scope.was_stopped) self.claim_for(&link);
        self.drop_and_post();
        return {nullptr, std::noop_coroutine()};
    }
    void claim_for(child_link* link) noexcept {
        std::apply([&](auto&... a) { (claim_if(a, link), ...); }, arms_);
    }
    template <class Arm>
    void claim_if(Arm& arm, child_link* link) noexcept {
        if constexpr (Arm::is_child) {
            if (link == &arm.scope() && commit_.claim(arm.index)) env_->complete(*this);
        }
    }

    template <std::size_t... I>
    value_type take(std::index_sequence<I...>) {
        using taker = value_type (*)(select_op&);
        static constexpr taker table[] = {[](select_op& self) -> value_type {
            auto& arm = std::get<I>(self.arms_);
            if constexpr (std::is_void_v<
                              typename std::tuple_element_t<I, std::tuple<Arms...>>::value_type>) {
                arm.take();
                return value_type(std::in_place_index<I>);
            } else {
                return value_type(std::in_place_index<I>, arm.take());
            }
        }...};
        return table[winner_](*this);
    }

    struct no_strand {
        explicit no_strand(combinator&) noexcept {}
    };
    std::tuple<Arms...> arms_;
    [[no_unique_address]] std::conditional_t<(children > 1), strand, no_strand> strand_{*this};
    commit_word commit_;
    std::uint32_t first_ = 0;
    int winner_ = none;
    phase phase_ = arming;
    bool in_order_;
    bool starved_ = false;
};

template <bool Limits, class... Arms>
auto make_select(bool in_order, Arms&&... arms) {
    constexpr bool fits = sizeof...(Arms) >= 1 && sizeof...(Arms) <= 64;
    static_assert(fits, "rt::select takes 1 to 64 arms; for a range of them: rt::select_any");
    if constexpr (fits) return select_op<Limits, Arms...>(in_order, std::move(arms)...);
}

}  // namespace detail

/// Waits for the first of several operations: a std::variant whose index tells the arm
/// (std::monostate for void).
///
/// Exactly one arm wins. Operations that lose have read, received, accepted, locked and consumed
/// nothing; what cannot promise that does not compile without rt::allow_loss(...). Arms are tried
/// in random order; select(rt::biased, ...) tries them as written. A stop withdraws all arms. An
/// arm that is ready costs no allocation.
template <class... As>
    requires(!(std::is_same_v<std::remove_cvref_t<As>, biased_t> || ...))
auto select(As&&... arms) {
    return detail::make_select<false>(false, detail::make_arm(std::forward<As>(arms))...);
}
template <class... As>
auto select(biased_t, As&&... arms) {
    return detail::make_select<false>(true, detail::make_arm(std::forward<As>(arms))...);
}

}  // namespace rt
