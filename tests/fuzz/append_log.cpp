// The loader of the append-only file: any file is replayed to the end of its last whole request,
// and what it has said of a file it says of its whole part again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mini_redis/append_log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    mini::keyspace keys(2, true), others(3, false);
    auto done = mini::replay(input, keys);
    if (done.whole > size) std::abort();
    auto again = mini::replay(input.substr(0, done.whole), others);
    if (again.whole != done.whole || again.requests != done.requests || again.damaged) std::abort();
    std::size_t sizes[2] = {};
    for (unsigned i = 0; i < keys.size(); ++i) sizes[0] += keys[i].size();
    for (unsigned i = 0; i < others.size(); ++i) sizes[1] += others[i].size();
    if (sizes[0] != sizes[1]) std::abort();
    return 0;
}
