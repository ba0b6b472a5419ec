// A system that refuses: io_uring behind a seccomp filter, as containers have it, and threads.
//
// Each case is a death test, a process of its own: a filter cannot be taken off again.
#if defined(__linux__)
#include "support/run.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>

using namespace std::chrono_literals;

namespace {

/// From now on these system calls of this process fail with the error.
void refuse(std::initializer_list<long> calls, int error) {
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (auto call : calls) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
        program.push_back(
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        std::perror("seccomp");
        std::_Exit(77);
    }
}

[[noreturn]] void end(bool good) {
    std::fflush(stderr);
    std::_Exit(good ? 0 : 1);
}

/// Everything that is written to stderr meanwhile.
template <class F>
std::string stderr_of(F f) {
    auto* file = std::tmpfile();
    auto kept = ::dup(2);
    ::dup2(::fileno(file), 2);
    f();
    std::fflush(stderr);
    ::dup2(kept, 2);
    std::string text;
    std::rewind(file);
    for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
    std::fclose(file);
    return text;
}

rt::task<int> forty_two() {
    co_await rt::sleep(1ms);
    co_return 42;
}

class RefusedDeathTest : public testing::TestWithParam<rt::runtime_flavor> {
protected:
    RefusedDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
INSTANTIATE_TEST_SUITE_P(Each, RefusedDeathTest,
                         testing::Values(rt::runtime_flavor::work_stealing,
                                         rt::runtime_flavor::thread_per_core,
                                         rt::runtime_flavor::current_thread),
                         [](const auto& info) {
                             return name_of({info.param, rt::reactor_kind::io_uring, 0});
                         });

TEST_P(RefusedDeathTest, automatic_falls_back_to_epoll_and_says_why_once_b20) {
    auto body = [flavor = GetParam()] {
        refuse({__NR_io_uring_setup}, EPERM);
        ::unsetenv("RT_REACTOR");
        bool good = true;
        auto said = stderr_of([&] {
            for (int i = 0; i < 3; ++i) {
                auto runtime = rt::runtime::builder().flavor(flavor).build();
                good = good && runtime.reactor() == rt::reactor_kind::epoll;
                good = good && runtime.block_on(forty_two()) == 42;
            }
        });
        std::fputs(said.c_str(), stderr);
        auto first = said.find("io_uring");
        end(good && first != std::string::npos && said.find("using epoll") != std::string::npos &&
            said.find("rt:", said.find("rt:") + 1) == std::string::npos);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0), "rt: io_uring is forbidden.*; using epoll");
}

TEST_P(RefusedDeathTest, io_uring_by_name_fails_with_the_reason_and_what_to_change_b20) {
    auto body = [flavor = GetParam()] {
        refuse({__NR_io_uring_setup}, EPERM);
        std::string why;
        auto made = rt::runtime::builder()
                        .flavor(flavor)
                        .reactor(rt::reactor_kind::io_uring)
                        .try_build(&why);
        std::fputs(why.c_str(), stderr);
        end(!made && made.error() == std::error_code(EPERM, std::system_category()));
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0),
                "io_uring is forbidden, probably by the container's seccomp filter; "
                "or use .*epoll.* or RT_REACTOR=epoll");
}

TEST_P(RefusedDeathTest, io_uring_by_the_environment_s_name_fails_too_b20) {
    auto body = [flavor = GetParam()] {
        refuse({__NR_io_uring_setup}, ENOSYS);
        ::setenv("RT_REACTOR", "io_uring", 1);
        std::string why;
        auto made = rt::runtime::builder().flavor(flavor).try_build(&why);
        std::fputs(why.c_str(), stderr);
        end(!made && made.error() == std::error_code(ENOSYS, std::system_category()));
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0),
                "io_uring is not in this kernel.*RT_REACTOR=epoll");
}

TEST_P(RefusedDeathTest, threads_that_cannot_be_started_are_an_error_of_build_b20) {
    auto body = [flavor = GetParam()] {
        refuse({__NR_clone, __NR_clone3}, EAGAIN);
        std::string why;
        auto made = rt::runtime::builder().flavor(flavor).workers(1).try_build(&why);
        std::fputs(why.c_str(), stderr);
        if (flavor == rt::runtime_flavor::current_thread) end(made.has_value());
        end(!made && made.error() == std::errc::resource_unavailable_try_again &&
            why.find("threads could not be started") != std::string::npos);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST_P(RefusedDeathTest, a_blocking_job_without_a_thread_is_an_exception_b19) {
    auto body = [flavor = GetParam()] {
        auto runtime = rt::runtime::builder().flavor(flavor).workers(1).build();
        // A worker's thread takes the filter on itself: it is not the whole process's.
        bool good = runtime.block_on([]() -> rt::task<bool> {
            refuse({__NR_clone, __NR_clone3}, EAGAIN);
            try {
                co_await rt::spawn_blocking([] {});
            } catch (const std::system_error& e) {
                std::fputs(e.what(), stderr);
                co_return e.code() == std::errc::resource_unavailable_try_again;
            }
            co_return false;
        }());
        end(good);
    };
    EXPECT_EXIT(body(), testing::ExitedWithCode(0), "spawn_blocking: no thread could be started");
}

}  // namespace
#endif
