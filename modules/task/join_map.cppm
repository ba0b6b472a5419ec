// join_map: a join_set whose tasks have keys.
//
// A key stands in the map from the spawn until the task's outcome is taken or the task is
// forgotten. Both happen in the owner's hands, so that the keys need no lock; a task knows its
// place among them.
module;
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <source_location>
#include <utility>
export module rt.task:join_map;
import :coroutine;
import :header;
import :join_set;
import :leaf;
import :operation;
import :spawn;

export namespace rt {

namespace detail {

template <class K>
using task_keys = std::map<K, task_state*>;

template <class K>
struct keyed_member : listed_member {
    typename task_keys<K>::iterator at;
};

}  // namespace detail

/// Spawned tasks under keys; their outcomes come in the order of their ends, with their keys. A
/// stream of values.
///
/// Destroying it requests the stop of all and does not wait. It belongs to one task, and must
/// outlive the operations that were made with it.
template <class K, class T = void>
class join_map {
    using root_type = detail::task_root<T, detail::keyed_member<K>>;

public:
    /// The outcome is a value or an exception. A task that was stopped does not come: who stopped
    /// it knows.
    using value_type = std::pair<K, outcome<T>>;

    class [[nodiscard("it does nothing until it is co_awaited")]] next_op
        : public detail::join_list::next_op {
    public:
        next_op(join_map& owner, std::source_location where) noexcept
            : detail::join_list::next_op(owner.list_.at(where), where), owner_(&owner) {}
        next_op(next_op&&) noexcept = default;
        std::optional<value_type> await_resume() { return owner_->result_of(this->take()); }

    private:
        join_map* owner_;
    };

    join_map() : list_(false) {}

    /// Runs a task concurrently with the caller, as rt::spawn. False: the key had a task, which is
    /// stopped and forgotten, as by stop(key).
    bool spawn(K key, task<T> body, std::source_location where = std::source_location::current()) {
        bool is_new = !stop(key, where);
        auto at = keys_.try_emplace(std::move(key)).first;
        auto* root = root_type::make(detail::executor_to_spawn_on(where), std::move(body), {},
                                     where, {{}, at});
        at->second = root;
        root->consume();  // its failure is next()'s
        list_.at(where).add(*root);
        root->start();
        return is_new;
    }
    template <class F>
        requires detail::spawnable<F>
    bool spawn(K key, F f, std::source_location where = std::source_location::current()) {
        return spawn(std::move(key), call(std::move(f)), where);
    }

    /// Requests the stop of the key's task, and drops its outcome as dropping its handle would: a
    /// failure goes to on_unhandled. False: the key has none.
    bool stop(const K& key, std::source_location where = std::source_location::current()) {
        auto at = keys_.find(key);
        if (at == keys_.end()) return false;
        list_.at(where).forget(*at->second);
        keys_.erase(at);
        return true;
    }
    void stop_all(std::source_location where = std::source_location::current()) {
        list_.at(where).forget_all();
        keys_.clear();
    }
    /// True until the outcome of the key's task is taken.
    [[nodiscard]] bool contains(const K& key) const { return keys_.contains(key); }
    /// Tasks that have not ended, those that were stopped included, and outcomes that were not
    /// taken.
    [[nodiscard]] std::size_t size(
        std::source_location where = std::source_location::current()) const noexcept {
        return list_.at(where).size();
    }
    [[nodiscard]] bool empty(
        std::source_location where = std::source_location::current()) const noexcept {
        return size(where) == 0;
    }

    /// co_await map.next(): as join_set::next(), the key and the outcome of the next task to end.
    next_op next(std::source_location where = std::source_location::current()) noexcept {
        return {*this, where};
    }
    std::optional<value_type> try_next(
        std::source_location where = std::source_location::current()) {
        return result_of(list_.at(where).take());
    }

private:
    std::optional<value_type> result_of(task_state* task) {
        if (!task) return std::nullopt;
        detail::task_reference reference{task};
        auto& root = static_cast<root_type&>(*task);
        auto key = keys_.extract(root.at);
        return value_type(std::move(key.key()), detail::outcome_of<T>(root, false));
    }
    detail::task_keys<K> keys_;
    detail::owned_list list_;
};

}  // namespace rt
