// Random numbers that follow from a seed, the same on every system.
#pragma once
#include <cstdint>

class dice {
public:
    explicit dice(std::uint64_t seed) : state_(seed) {}
    unsigned below(unsigned n) {  // splitmix64
        auto z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return static_cast<unsigned>((z ^ (z >> 31)) % n);
    }
    unsigned between(unsigned least, unsigned most) { return least + below(most - least + 1); }
    bool one_in(unsigned n) { return below(n) == 0; }

private:
    std::uint64_t state_;
};
