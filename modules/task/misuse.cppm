// Misuse stops the program, with its name and the caller's line.
//
// A misuse is an error in the program, not in the world: two readers at once on one stream, a timer
// without a runtime. A value would be ignored and an exception swallowed, so neither is offered.
module;
#include <source_location>
#include <string>
#include <string_view>
export module rt.task:misuse;

export namespace rt {

/// Prints "rt: misuse: <what>, at <file>:<line>" and aborts. Without a place, for those who cannot
/// know their caller's, such as destructors: the running task, and where it was spawned.
[[noreturn]] void misuse(std::string_view what,
                         std::source_location where = std::source_location::current()) noexcept;

namespace detail {
/// "server.cpp:31"
std::string place_of(std::source_location where);
}  // namespace detail

}  // namespace rt
