// Counts what is alive.
#pragma once
#include <atomic>
#include <utility>

/// Adds one to a number for as long as it lives.
class living {
public:
    explicit living(std::atomic<int>& n) : n_(&n) { ++n; }
    living(living&& other) noexcept : n_(std::exchange(other.n_, nullptr)) {}
    living& operator=(living&&) = delete;
    ~living() {
        if (n_) --*n_;
    }

private:
    std::atomic<int>* n_;
};
