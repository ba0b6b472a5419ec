// The request parser: however the input is cut, it finds the same requests, and it keeps no more
// than has come.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "mini_redis/resp.hpp"

namespace {

using outcome = mini::request_parser::outcome;

struct found {
    std::vector<std::string> requests;
    std::size_t used = 0;
    outcome last = outcome::incomplete;
    std::string error;
    bool operator==(const found&) const = default;
};

/// The input comes in pieces; each is at another address, as when a buffer moves.
found parse(std::string_view input, std::size_t step) {
    found all;
    mini::request_parser parser;
    std::size_t come = 0;
    for (;;) {
        std::string here(input.substr(all.used, come - all.used));
        all.last = parser.parse(here);
        if (all.last == outcome::complete) {
            if (parser.size() == 0 || parser.size() > here.size()) std::abort();
            std::string request;
            for (auto arg : parser.args()) request.append(arg).push_back('\0');
            all.requests.push_back(std::move(request));
            all.used += parser.size();
        } else if (all.last == outcome::broken) {
            all.error = parser.error();
            return all;
        } else if (come == input.size()) {
            return all;
        } else {
            come = std::min(input.size(), come + step);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    auto whole = parse(input, size == 0 ? 1 : size);
    if (parse(input, 1) != whole || parse(input, 7) != whole) std::abort();
    return 0;
}
