module;
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
module rt.testing;

namespace rt::detail {

void run_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
               const std::function<bool()>& failed) {
    std::uint64_t first = 1;
    if (const char* text = std::getenv("RT_SEED"); text && *text) {
        std::string_view all(text);
        auto [end, error] = std::from_chars(all.begin(), all.end(), first);
        if (error != std::errc() || end != all.end())
            throw std::invalid_argument("RT_SEED=" + std::string(all) +
                                        " is no number: use the one that a failing test printed");
        count = 1;
    }
    auto tell = [](std::uint64_t seed) {
        std::fprintf(stderr, "rt: seed %llu failed; RT_SEED=%llu runs it alone\n",
                     static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    };
    for (auto seed = first; seed - first < count; ++seed) {
        try {
            body(seed);
        } catch (...) {
            tell(seed);
            throw;
        }
        if (failed && failed()) {
            tell(seed);
            return;
        }
    }
}

}  // namespace rt::detail
