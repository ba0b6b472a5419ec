// What all sessions share.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>

#include "append_log.hpp"
#include "keyspace.hpp"
#include "pubsub.hpp"
import rt;

namespace mini {

class session;

struct settings {
    std::string append_only;                      // the file; empty: none
    std::size_t output_limit = 64 * 1024 * 1024;  // bytes that wait for one client
};

class server {
public:
    server(const settings& s, rt::runtime_flavor flavor, unsigned workers);

    /// Serves there until a signal or SHUTDOWN; then ends in good order: every request that has
    /// come is answered, and the append-only file is whole.
    rt::io_task<> run(rt::endpoint at);

    // For sessions.
    void enter(session& s);
    void leave(session& s);
    /// Those sections, or all.
    rt::task<std::string> info(std::vector<std::string> sections);

    const settings given;
    unsigned workers;
    keyspace keys;
    append_log log;
    channels topics;
    rt::notify asked_to_end;
    std::uint16_t port = 0;
    std::atomic<bool> draining{false};
    std::atomic<std::uint64_t> clients{0}, blocked{0}, connections{0}, commands{0}, refused{0};

private:
    rt::io_task<> serve(std::vector<rt::tcp_listener>& listeners);
    rt::io_task<> accept(rt::tcp_listener& from, rt::task_group& sessions, unsigned worker);
    rt::task<> expire_keys(unsigned i, rt::receiver<expiry_note> notes);
    void read_no_more();

    std::mutex mutex_;
    std::unordered_set<session*> sessions_;  // guarded by mutex_
    rt::notify empty_;                       // nobody is in sessions_
};

}  // namespace mini
