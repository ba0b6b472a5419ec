// What the tests of timers have in common.
#pragma once
#include "support/run.hpp"

#include <chrono>

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// What the wheel rounds deadlines up to.
inline constexpr auto grain = nanoseconds(1 << 16);
