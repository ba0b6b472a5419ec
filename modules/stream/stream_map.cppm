// Streams that come and go, each under its key.
module;
#include <coroutine>
#include <cstddef>
#include <map>
#include <optional>
#include <source_location>
#include <utility>
export module rt.stream:stream_map;
import rt.task;
import :part;
import :run_ahead;
import :stage;

export namespace rt {

namespace detail {

template <class K, class S>
struct stream_map_stage {
    struct entry {
        S from;
        source_part<S> source{};  // the next()'s while it waits
        explicit entry(S&& s) : from(std::move(s)) {}
    };
    using entries = std::map<K, entry>;
    struct parts {
        entries* used = nullptr;
        bool* waits = nullptr;
        ~parts() {
            if (!used) return;
            for (auto& [key, each] : *used) each.source.drop();
            *waits = false;
        }
    };
    using value_type = std::pair<K, typename S::value_type>;
    static constexpr auto name = "rt::stream_map";
    static constexpr bool ends = false;
    entries all{};
    std::optional<K> last{};  // the one after it is the next one's turn
    bool waits = false;

    bool poll(attempt& now, parts& in_use, std::optional<value_type>& to) {
        in_use.used = &all;
        in_use.waits = &waits;
        waits = true;
        auto at = last ? all.upper_bound(*last) : all.begin();
        for (auto left = all.size(); left > 0; --left) {
            if (at == all.end()) at = all.begin();
            if (!at->second.source.ready(now, at->second.from)) {
                ++at;
                continue;
            }
            if (auto value = take(at)) {
                last = at->first;
                to.emplace(at->first, *std::move(value));
                return true;
            }
            at = all.erase(at);
        }
        return all.empty();
    }

private:
    auto take(typename entries::iterator at) {
        try {
            return at->second.source.take();
        } catch (...) {
            all.erase(at);
            throw;
        }
    }
};

}  // namespace detail

/// A stream of pairs of a key and a value of its stream. Streams that are ready take turns; one
/// that is over is dropped.
///
/// It belongs to one task, and is not changed while a next() waits (misuse): select(map.next(),
/// commands.recv()), and then insert(). A coroutine generator in it runs in a task of its own (see
/// run_ahead).
template <class K, stream_of_values S>
class stream_map {
    using stage = detail::stream_map_stage<K, detail::made_lossless_t<S>>;

public:
    using value_type = std::pair<K, typename S::value_type>;
    using here = std::source_location;

    /// False: the key had a stream, which this one replaces.
    bool insert(K key, S from, here where = here::current()) {
        auto& all = entries(where);
        bool is_new = all.erase(key) == 0;
        all.try_emplace(std::move(key), detail::made_lossless(std::move(from), where));
        return is_new;
    }
    /// Drops the stream; false: there is none.
    bool remove(const K& key, here where = here::current()) { return entries(where).erase(key); }
    [[nodiscard]] bool contains(const K& key) const { return stage_->all.contains(key); }
    [[nodiscard]] std::size_t size() const noexcept { return stage_->all.size(); }
    [[nodiscard]] bool empty() const noexcept { return stage_->all.empty(); }

    /// Waits for the next value of any of the streams; empty while there is none: after an insert()
    /// it goes on. What a stream throws comes out once, and drops that stream. Lossless; a stop
    /// withdraws it; resumes on the task's executor.
    auto next(here where = here::current()) noexcept {
        return detail::stage_op<stage>(stage_, where);
    }

private:
    auto& entries(here where) {
        if (stage_->waits) misuse("a stream_map is changed while a next() waits", where);
        return stage_->all;
    }
    std::optional<stage> stage_{std::in_place};
};

}  // namespace rt
