// What the stress tests of locks and channels have in common: tasks on all workers, and stops.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "support/run.hpp"

/// On all workers in turn: in thread per core, spawn would stay on one.
template <class T>
rt::join_handle<T> spawn_across(std::size_t i, rt::task<T> body) {
    auto workers = rt::current_executor()->worker_count();
    return rt::spawn_on(static_cast<unsigned>(i % workers), std::move(body));
}

/// Stops them one after another while they run, and waits for their ends.
template <class T>
rt::task<> stop_all(std::vector<rt::join_handle<T>>& tasks) {
    for (auto& task : tasks) {
        co_await rt::yield_now();
        task.stop();
    }
    for (auto& task : tasks) (void)co_await task.outcome();
}
