// The buffered reader: the same lines however the input is cut, and none that is longer than
// allowed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>
import rt;

namespace {

constexpr std::size_t longest = 100;

/// Each line, or a mark for one that was too long.
std::vector<std::string> lines(std::string_view input, std::size_t step) {
    using kind = rt::detail::read_buffer::found;
    std::vector<std::string> all;
    rt::detail::read_buffer buffer(longest);
    for (;;) {
        std::string_view text;
        switch (buffer.next_record('\n', text)) {
            case kind::record:
                if (text.size() > longest) std::abort();
                all.emplace_back(text);
                break;
            case kind::too_long:
                all.emplace_back("\n");
                break;
            case kind::end:
                return all;
            case kind::nothing:
                if (input.empty()) {
                    buffer.ended();
                    break;
                }
                auto room = buffer.room();
                auto n = std::min({room.size(), input.size(), step});
                if (n == 0) std::abort();
                std::memcpy(room.data(), input.data(), n);
                buffer.filled(n);
                input.remove_prefix(n);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    auto whole = lines(input, size + 1);
    if (lines(input, 1) != whole || lines(input, 13) != whole) std::abort();
    return 0;
}
