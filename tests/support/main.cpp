// Every test program audits itself: at its end nothing that rt counts is left, but what a shutdown
// limit reported as leaked.
#include <gtest/gtest.h>

#include <cstdio>
import rt;

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    int failed = RUN_ALL_TESTS();
    auto left = rt::audit();
    // Less than was leaked is fine: a stuck thread may have gone on, and ended after all.
    if (left.frames_alive <= left.frames_leaked && left.tasks_alive <= left.tasks_leaked &&
        left.operations_in_flight <= left.operations_leaked)
        return failed;
    std::fprintf(stderr, "audit: %lld frames, %lld tasks, %lld operations are left over\n",
                 static_cast<long long>(left.frames_alive - left.frames_leaked),
                 static_cast<long long>(left.tasks_alive - left.tasks_leaked),
                 static_cast<long long>(left.operations_in_flight - left.operations_leaked));
    return 1;
}
