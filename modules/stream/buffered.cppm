// A stream of tasks as a stream of their results, n of them running at once.
//
// The stream spawns them and holds their handles, so they run on while nobody waits for a result,
// and dropping it stops them. What is begun in order may end in any: buffered() waits for the
// oldest, buffer_unordered() for whichever has ended.
module;
#include <coroutine>
#include <cstddef>
#include <deque>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>
export module rt.stream:buffered;
import rt.task;
import rt.sync;
import :part;
import :run_ahead;
import :stage;

export namespace rt {

/// A stream of tasks.
template <class S>
concept stream_of_tasks = stream_of_values<S> && is_task<typename S::value_type>;

namespace detail {

template <class S>
using awaited_t = await_result_t<typename S::value_type>;
template <class T>
using handle_op_t = decltype(std::declval<join_handle<T>&>().as_operation());

/// The result of a task that has ended, or what it threw.
template <class T, class To>
void take_result(part<handle_op_t<T>>& ended, To& to) {
    if constexpr (std::is_void_v<T>) {
        ended.take();
        to.emplace();
    } else {
        to.emplace(ended.take());
    }
}

template <class S>
struct buffered_stage {
    using task_value = awaited_t<S>;
    using value_type = value_or_monostate<task_value>;
    struct parts {
        source_part<S> source;
        part<handle_op_t<task_value>> oldest;
    };
    static constexpr auto name = "rt::buffered";
    static constexpr bool ends = true;
    S from;
    std::size_t most;
    std::source_location where;
    std::deque<join_handle<task_value>> running{};
    bool ended = false;

    bool poll(attempt& now, parts& all, std::optional<value_type>& to) {
        while (!ended && running.size() < most && all.source.ready(now, from)) {
            auto body = all.source.take();
            if (body) {
                running.push_back(spawn(*std::move(body), where));
            } else {
                ended = true;
            }
            if (!now.go_on()) break;
        }
        if (running.empty()) return ended;
        if (!all.oldest.ready(now, [&] { return running.front().as_operation(); })) return false;
        auto handle = std::move(running.front());
        running.pop_front();
        take_result<task_value>(all.oldest, to);
        return true;
    }
};

/// Tells, when the task is over, which one it was; however it ended.
class end_note {
public:
    inline end_note(sender<std::size_t> to, std::size_t place) noexcept
        : to_(std::move(to)), place_(place) {}
    inline end_note(end_note&& other) noexcept
        : to_(std::exchange(other.to_, std::nullopt)), place_(other.place_) {}
    inline ~end_note() {
        if (to_) (void)to_->try_send(place_);  // there is a place for each task that runs
    }

private:
    std::optional<sender<std::size_t>> to_;
    std::size_t place_;
};

template <class T>
task<T> noted(task<T> body, end_note) {
    co_return co_await std::move(body);
}

template <class S>
struct buffer_unordered_stage {
    using task_value = awaited_t<S>;
    using value_type = value_or_monostate<task_value>;
    struct parts {
        source_part<S> source;
        source_part<receiver<std::size_t>> notes;
        part<handle_op_t<task_value>> over;
    };
    static constexpr auto name = "rt::buffer_unordered";
    static constexpr bool ends = true;
    S from;
    std::source_location where;
    std::pair<sender<std::size_t>, receiver<std::size_t>> notes;
    std::vector<join_handle<task_value>> running;  // by place
    std::vector<std::size_t> free{};               // places
    std::optional<std::size_t> over{};
    bool ended = false;

    buffer_unordered_stage(S&& source, std::size_t most, std::source_location at)
        : from(std::move(source)), where(at), notes(channel<std::size_t>(most, at)), running(most) {
        for (std::size_t i = 0; i < most; ++i) free.push_back(most - 1 - i);
    }

    bool poll(attempt& now, parts& all, std::optional<value_type>& to) {
        while (!ended && !free.empty() && all.source.ready(now, from)) {
            auto body = all.source.take();
            if (body) {
                auto at = free.back();
                running[at] = spawn(noted(*std::move(body), end_note(notes.first, at)), where);
                free.pop_back();
            } else {
                ended = true;
            }
            if (!now.go_on()) break;
        }
        if (!over) {
            if (free.size() == running.size()) return ended;
            if (!all.notes.ready(now, notes.second)) return false;
            over = all.notes.take();
        }
        // Its frame has gone; the outcome is there in a moment.
        if (!all.over.ready(now, [&] { return running[*over].as_operation(); })) return false;
        auto handle = std::move(running[*over]);
        free.push_back(*std::exchange(over, std::nullopt));
        take_result<task_value>(all.over, to);
        return true;
    }
};

}  // namespace detail

/// Runs the tasks of a stream, n at once at most (1 or more), and gives their results in the order
/// of the tasks; std::monostate for void. buffered(map(keys, fetch), 8) is a map whose f waits.
///
/// Tasks are begun while somebody waits in next(), and then run by themselves, each spawned from
/// here. What one throws comes out of next() once, and ends the stream; error values are values.
/// Lossless: a stream that is none runs in a task of its own (see run_ahead). Dropped, or ended by
/// an exception, it requests the stop of the tasks that still run and does not wait: so they must
/// not borrow from a scope that ends with it. A stop of the consumer leaves them to the stream.
template <stream_of_tasks S>
auto buffered(S tasks, std::size_t n,
              std::source_location where = std::source_location::current()) {
    if (n == 0) misuse("a buffer for 0 tasks: 1 is the smallest", where);
    using source = detail::made_lossless_t<S>;
    return detail::staged(
        detail::buffered_stage<source>{detail::made_lossless(std::move(tasks), where), n, where});
}

/// As buffered, but the results come in the order in which the tasks end.
template <stream_of_tasks S>
auto buffer_unordered(S tasks, std::size_t n,
                      std::source_location where = std::source_location::current()) {
    if (n == 0) misuse("a buffer for 0 tasks: 1 is the smallest", where);
    using source = detail::made_lossless_t<S>;
    return detail::staged(detail::buffer_unordered_stage<source>(
        detail::made_lossless(std::move(tasks), where), n, where));
}

}  // namespace rt
