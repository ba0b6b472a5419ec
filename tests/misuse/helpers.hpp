// What the tests of misuse have in common: the message that is expected, with the caller's line.
#pragma once
#include "support/foreign.hpp"
#include "task/helpers.hpp"

#include <source_location>
#include <string>
#include <string_view>
#include <utility>

class Misuse : public testing::Test {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    template <class F>
    static void run(F body, std::source_location where = std::source_location::current()) {
        rt::runtime::builder().current_thread().build().block_on(body(), where);
    }
};

inline std::string misuse_message(std::string_view what, std::string_view place,
                                  std::string_view file, int line) {
    std::string regex = "rt: misuse: ";
    for (char c : what) {
        if (std::string_view("().*+?[]{}|^$\\").find(c) != std::string_view::npos) regex += '\\';
        regex += c;
    }
    auto name = file.substr(file.rfind('/') + 1);
    return regex + std::string(place) + ".*misuse/" + std::string(name) + ":" +
           std::to_string(line) + "\n";
}

// A macro is on one line, whatever it is given: so the line of the misuse is known here, and told
// from that of any line of rt.
#define EXPECT_MISUSE(what, ...) \
    EXPECT_DEATH(__VA_ARGS__, misuse_message(what, ", at ", __FILE__, __LINE__))
/// Where no line can be known: the task, and where it was spawned.
#define EXPECT_MISUSE_IN_TASK(what, ...) \
    EXPECT_DEATH(__VA_ARGS__,            \
                 misuse_message(what, ", in task [0-9]+.*, spawned at ", __FILE__, __LINE__))
