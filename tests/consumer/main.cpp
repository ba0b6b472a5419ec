#include <chrono>
#include <cstdio>
import rt;

// The dialect is the one that the user asked for, not the one that rt was built in.
static_assert(EXPECTED_STANDARD == 20   ? __cplusplus == 202002L
              : EXPECTED_STANDARD == 23 ? __cplusplus == 202302L
                                        : __cplusplus > 202302L);

static rt::task<int> half() {
    co_await rt::sleep(std::chrono::milliseconds(1));
    co_return 21;
}

static rt::task<int> whole() { co_return co_await half() * 2; }

int main() {
    const int answer = rt::block_on(whole());
    std::printf("C++%d: %d\n", EXPECTED_STANDARD, answer);
    return answer == 42 ? 0 : 1;
}
