// Endpoints as text: what is read is written so that it is read as the same again, and what is
// refused is refused with a place and a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>
import rt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    rt::parse_failure why;
    if (auto at = rt::parse_endpoint(text, &why)) {
        auto again = rt::parse_endpoint(rt::to_string(*at));
        if (!again || *again != *at) std::abort();
    } else if (why.position > size || *why.reason == '\0') {
        std::abort();
    }
    why = {};
    if (auto address = rt::parse_address(text, &why)) {
        auto again = rt::parse_address(rt::to_string(*address));
        if (!again || *again != *address) std::abort();
    } else if (why.position > size || *why.reason == '\0') {
        std::abort();
    }
    return 0;
}
