// The stream concept: what receivers, intervals, listeners, line readers and generators have in
// common.
module;
#include <concepts>
#include <optional>
#include <utility>
export module rt.task:concepts;
import :coroutine;

export namespace rt {

/// s.next() waits for the next value; empty at the end, and from then on.
template <class S>
concept stream_of_values = requires(S& s) {
    typename S::value_type;
    s.next();
};

}  // namespace rt
