// What the tests of streams have in common: streams to adapt, and what they throw.
#pragma once
#include "task/helpers.hpp"

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

/// How many values a storm has.
inline constexpr int rounds = sanitized ? 10'000 : 50'000;

inline rt::stream<int> count_to(int last, std::string* told = nullptr) {
    for (int i = 1; i <= last; ++i) {
        if (told) *told += std::to_string(i);
        co_yield i;
        co_await rt::yield_now();
    }
}

/// A receiver of these values, and then of the end.
template <class T>
rt::receiver<T> queued(std::initializer_list<T> values) {
    auto [tx, rx] = rt::unbounded_channel<T>();
    for (auto& value : values) tx.send(value).value();
    return std::move(rx);
}

/// What next() throws.
template <class S>
rt::task<std::string> failure_of(S& from) {
    try {
        (void)co_await from.next();
    } catch (const std::runtime_error& e) {
        co_return e.what();
    }
    co_return "nothing";
}

/// The first `count` numbers, sent with a pause now and then.
inline rt::task<> send_numbers(rt::sender<int> to, int count) {
    for (int i = 1; i <= count; ++i) {
        (co_await to.send(i)).value();
        if (i % 7 == 0) co_await rt::yield_now();
    }
}
inline long sum_to(long n) { return n * (n + 1) / 2; }
