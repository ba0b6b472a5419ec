#include "promises/tally.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>

#include "support/run.hpp"

namespace race {

namespace {

unsigned long long number_from(const char* name, unsigned long long otherwise) {
    auto* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

unsigned long long number(std::uint64_t n) { return n; }

}  // namespace

std::uint64_t seed_of_this_run() {
    static const auto seed = number_from("RT_RACE_SEED", std::random_device()());
    return seed;
}

int rounds_of_this_run(int cost) {
    auto rounds = static_cast<int>(number_from("RT_RACE_ROUNDS", 20'000));
    return number_from("RT_RACE_WHOLE", 0) != 0 ? rounds : rounds / cost;
}

tally::tally(const char* row) : row(row), seed(seed_of_this_run()) {}

void tally::print() const {
    auto share = [&](std::uint64_t n) {
        return raced ? 100.0 * static_cast<double>(n) / static_cast<double>(raced) : 0.0;
    };
    std::printf(
        "race: %-32s %7llu rounds, %7llu raced: %4.1f%% won, %4.1f%% withdrawn; tried again:"
        " %llu found, %llu in vain; seed %llu\n",
        row.c_str(), number(rounds), number(raced), share(won), share(withdrawn),
        number(again.found), number(again.in_vain), number(seed));
}

watchdog::watchdog(const tally& watched) : watched_(&watched) {}

watchdog::~watchdog() {
    over_.release();
    thread_.join();
}

void watchdog::watch() {
    auto limit = std::chrono::seconds(number_from("RT_RACE_LIMIT", sanitized ? 60 : 20));
    for (auto seen = watched_->progress.load(); !over_.try_acquire_for(limit);) {
        auto now = watched_->progress.load();
        if (std::exchange(seen, now) != now) continue;
        std::fprintf(stderr,
                     "race: %s on %s, seed %llu: round %llu does not end: %llu given, %llu taken\n",
                     watched_->row.c_str(), watched_->runtime.c_str(), number(watched_->seed),
                     number(now), number(watched_->given.load()), number(watched_->taken.load()));
        std::abort();
    }
}

}  // namespace race
