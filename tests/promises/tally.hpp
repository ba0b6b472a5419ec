// The books of a row, and a watchdog for rounds that do not end.
#pragma once
#include <atomic>
#include <cstdint>
#include <semaphore>
#include <string>
#include <thread>

#include "promises/noise.hpp"

namespace race {

/// What is counted of a row, and what the watchdog looks at.
struct tally {
    explicit tally(const char* row);
    std::string row, runtime;
    std::uint64_t seed, rounds = 0;
    std::uint64_t raced = 0;  // rounds in which the unit was given and the subject called off
    std::uint64_t won = 0, withdrawn = 0;  // of these
    tries again;
    std::atomic<std::uint64_t> progress{0}, given{0}, taken{0};

    void print() const;
};

/// Ends the program when a round does not end.
class watchdog {
public:
    explicit watchdog(const tally& watched);
    ~watchdog();

private:
    void watch();
    const tally* watched_;
    std::binary_semaphore over_{0};
    std::thread thread_{[this] { watch(); }};
};

std::uint64_t seed_of_this_run();
/// Of a row, over all runtimes.
/// Of a row whose round costs that many times more than others.
int rounds_of_this_run(int cost);

}  // namespace race
