// When keys expire: what clients say about it, and the task that sees to it.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "commands.hpp"

namespace mini {

struct expiry_unit {
    std::int64_t milliseconds;
    bool relative;
    bool operator==(const expiry_unit&) const = default;
};
/// EX, PX, EXAT and PXAT.
std::optional<expiry_unit> expiry_unit_of(std::string_view word) noexcept;

/// The instant that a client means. False: it has been told what is wrong, in the name of that
/// command. `least`: the smallest number that is allowed.
bool expiry_instant(call& c, std::string_view text, expiry_unit unit, std::int64_t& at,
                    const char* command, std::int64_t least = 1);

}  // namespace mini
