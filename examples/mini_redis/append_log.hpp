// The append-only file: every change as a request, in RESP, so that Redis's own tools can read it.
//
// Shards note changes in memory, in their order; a task collects them ten times a second and has
// them written, and every second synced, by the blocking pool: what is older than that survives
// the process, and what is older than a second the machine. While the disk refuses, nothing is
// dropped: it is tried again, and the server takes no changes meanwhile (MISCONF), as Redis.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

#include "keyspace.hpp"
import rt;

namespace mini {

class append_log {
public:
    append_log() = default;
    append_log(const append_log&) = delete;
    append_log& operator=(const append_log&) = delete;
    ~append_log();

    /// Opens the file, locks it and replays it; before the server serves. What stands at its end
    /// and is not whole is cut, with a message. Throws std::runtime_error with a message that says
    /// what to change: the file cannot be opened, another server has it, or it is damaged.
    void open(const std::string& path, keyspace& keys);
    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    /// The last write or sync failed: changes are to be refused.
    [[nodiscard]] bool failing() const noexcept { return failing_.load(std::memory_order_relaxed); }

    /// Collects and writes until finish(); then once more, and syncs. The error: what could not be
    /// written is lost. It must not be stopped: what it has collected is nowhere else.
    rt::io_task<> run(keyspace& keys);
    void finish() noexcept { finishing_.notify_one(); }

private:
    rt::task<> collect(keyspace& keys);
    rt::task<std::error_code> write(bool sync);

    rt::notify finishing_;
    int descriptor_ = -1;
    std::atomic<bool> failing_{false};
    std::string pending_;
    bool unsynced_ = false;  // something was written since the last sync that succeeded
};

/// What replay found in a text of requests: the part of it that is whole, and why it ends there.
struct replayed {
    std::size_t whole = 0;  // bytes
    std::uint64_t requests = 0;
    bool damaged = false;  // what follows is not the beginning of a request that can be run
    std::string why;
};
/// Runs the requests that the input begins with.
replayed replay(std::string_view input, keyspace& keys);

}  // namespace mini
