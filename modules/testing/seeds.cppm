// One test, run under many seeds.
module;
#include <cstdint>
#include <functional>
#include <utility>
export module rt.testing:seeds;

export namespace rt {

namespace detail {
/// RT_SEED, or those from 1; failed: told of, and the last one.
void run_seeds(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
               const std::function<bool()>& failed);
}  // namespace detail

/// Calls body(seed) for the seeds 1 to count, or for the one in the environment's RT_SEED alone.
/// The first that fails is told on stderr, and no more are tried. It fails when the body throws,
/// which is passed on, or when failed() says so, which is asked after each:
///
///     rt::for_each_seed(1000, [](std::uint64_t seed) { ... }, testing::Test::HasFailure);
///
/// Throws std::invalid_argument when RT_SEED is no number.
template <class F>
void for_each_seed(std::uint64_t count, F body, std::function<bool()> failed = {}) {
    detail::run_seeds(count, std::move(body), failed);
}

}  // namespace rt
