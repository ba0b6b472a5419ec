// INFO: what Redis's tools look for.
#include <fstream>
#include <sstream>

#include "server.hpp"

namespace mini {

namespace {

std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t all = 0, resident = 0;
    statm >> all >> resident;
    return resident * 4096;
}

}  // namespace

rt::task<std::string> server::info(std::vector<std::string> sections) {
    struct counts {
        std::size_t keys, expiring;
        std::uint64_t expired;
    };
    counts all{};
    for (unsigned i = 0; i < keys.size(); ++i) {
        // From a task on no particular worker: in thread per core, a message to each.
        auto part = co_await keys.at(
            i, anywhere, [](shard& on) { return counts{on.size(), on.with_expiry(), on.expired}; });
        all.keys += part.keys;
        all.expiring += part.expiring;
        all.expired += part.expired;
    }
    std::ostringstream text;
    auto section = [&](std::string_view name) {
        bool wanted = sections.empty();
        for (auto& asked : sections)
            for (const auto& group : {std::string("all"), std::string("default"),
                                      std::string("everything"), lower_case(name)})
                wanted |= same_word(asked, group);
        if (wanted) text << (text.tellp() > 0 ? "\r\n# " : "# ") << name << "\r\n";
        return wanted;
    };
    if (section("Server"))
        text << "redis_version:7.0.15\r\nredis_mode:standalone\r\n"
             << "rt_flavor:" << (keys.shared() ? "work_stealing" : "thread_per_core") << "\r\n"
             << "rt_workers:" << workers << "\r\ntcp_port:" << port << "\r\n";
    if (section("Clients"))
        text << "connected_clients:" << clients << "\r\nblocked_clients:" << blocked << "\r\n";
    if (section("Memory")) text << "used_memory_rss:" << resident_bytes() << "\r\n";
    if (section("Persistence"))
        text << "aof_enabled:" << log.is_open()
             << "\r\naof_last_write_status:" << (log.failing() ? "err" : "ok") << "\r\n";
    if (section("Stats"))
        text << "total_connections_received:" << connections
             << "\r\ntotal_commands_processed:" << commands
             << "\r\nclient_output_buffer_limit_disconnections:" << refused
             << "\r\nexpired_keys:" << all.expired << "\r\n";
    if (section("Keyspace") && all.keys > 0)
        text << "db0:keys=" << all.keys << ",expires=" << all.expiring << ",avg_ttl=0\r\n";
    co_return text.str();
}

}  // namespace mini
