// All keys, in shards, and the two ways to be alone with one, which is what the flavors differ in:
//  - thread per core: a shard for each worker, used by that worker only, without a lock; others
//    send it a task. A command with keys of several shards is therefore not atomic.
//  - work stealing: the shards are shared, each behind a lock that is held for one batch of
//    commands at most and never across an await (so it is a std::mutex). A command with several
//    keys locks all of theirs, in the order of the shards.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard.hpp"
import rt;

namespace mini {

/// In place of a worker's number: the caller is on none in particular.
inline constexpr unsigned anywhere = ~0u;

class keyspace {
public:
    static constexpr unsigned most_shards = 64;

    /// For that many workers, in one of the two ways.
    keyspace(unsigned workers, bool shared)
        : shared_(shared), slots_(shared ? (workers == 1 ? 1 : 16) : workers) {}

    [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(slots_.size()); }
    [[nodiscard]] bool shared() const noexcept { return shared_; }
    [[nodiscard]] unsigned shard_of(std::string_view key) const noexcept {
        // The shard's own table uses the low bits: these are others.
        return slots_.size() == 1 ? 0
                                  : static_cast<unsigned>((text_hash()(key) >> 40) % slots_.size());
    }
    /// May a task on that worker use it here and now?
    [[nodiscard]] bool at_hand(unsigned i, unsigned worker) const noexcept {
        return shared_ || i == worker;
    }
    /// Only where at_hand, and for as long as the lock is held. (Per core it locks nothing.)
    [[nodiscard]] std::unique_lock<std::mutex> lock(unsigned i) {
        return shared_ ? std::unique_lock(slots_[i].mutex) : std::unique_lock<std::mutex>();
    }
    /// Several, in order; the bits of the set say which.
    [[nodiscard]] std::vector<std::unique_lock<std::mutex>> lock_all(std::uint64_t set) {
        std::vector<std::unique_lock<std::mutex>> locks;
        if (!shared_) return locks;
        for (unsigned i = 0; i < size(); ++i)
            if ((set >> i & 1) != 0) locks.emplace_back(slots_[i].mutex);
        return locks;
    }
    [[nodiscard]] shard& operator[](unsigned i) noexcept { return slots_[i].shard; }

    /// f(shard), alone with it, from a task on that worker. f owns what it uses: if the caller is
    /// stopped meanwhile, f may run all the same.
    template <class F>
    rt::task<std::invoke_result_t<F&, shard&>> at(unsigned i, unsigned worker, F f) {
        if (!at_hand(i, worker)) co_return co_await send(i, std::move(f));
        auto held = lock(i);
        slots_[i].shard.now = wall_clock();
        co_return f(slots_[i].shard);
    }

    /// The same by message, to another worker's shard: a handle of the answer.
    template <class F>
    rt::join_handle<std::invoke_result_t<F&, shard&>> send(unsigned i, F f) {
        return rt::spawn_on(i, visit(i, std::move(f)));
    }

private:
    template <class F>
    rt::task<std::invoke_result_t<F&, shard&>> visit(unsigned i, F f) {
        slots_[i].shard.now = wall_clock();
        co_return f(slots_[i].shard);
    }
    struct alignas(64) slot {
        std::mutex mutex;
        mini::shard shard;
    };
    bool shared_;
    std::vector<slot> slots_;
};

}  // namespace mini
