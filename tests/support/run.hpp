// Tests by parameter: every flavor on every reactor, with the audit after each.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>
import rt;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#endif

struct runtime_case {
    rt::runtime_flavor flavor;
    rt::reactor_kind reactor;
    unsigned workers;
};

inline std::string name_of(const runtime_case& c) {
    std::string name = c.flavor == rt::runtime_flavor::work_stealing     ? "stealing"
                       : c.flavor == rt::runtime_flavor::thread_per_core ? "per_core"
                                                                         : "current";
    return name + (c.reactor == rt::reactor_kind::epoll ? "_epoll" : "_uring") +
           (c.workers ? std::to_string(c.workers) : "");
}
inline void PrintTo(const runtime_case& c, std::ostream* out) { *out << name_of(c); }

inline rt::runtime::builder_type builder_for(const runtime_case& c) {
    auto builder = rt::runtime::builder();
    builder.flavor(c.flavor).reactor(c.reactor);
    if (c.workers) builder.workers(c.workers);
    return builder;
}

inline auto every_runtime() {
    using rt::reactor_kind;
    using rt::runtime_flavor;
    std::vector<runtime_case> cases;
    for (auto reactor : {reactor_kind::io_uring, reactor_kind::epoll}) {
        cases.push_back({runtime_flavor::work_stealing, reactor, 2});
        cases.push_back({runtime_flavor::thread_per_core, reactor, 2});
        cases.push_back({runtime_flavor::current_thread, reactor, 0});
    }
    return testing::ValuesIn(cases);
}

class EveryRuntime : public testing::TestWithParam<runtime_case> {
protected:
    /// Runs body() on a fresh runtime of the case; the callable outlives its task.
    template <class F>
    auto run(F body) {
        runtime_ = std::make_unique<rt::runtime>(builder_for(GetParam()).build());
        return runtime_->block_on(body());
    }
    rt::runtime& runtime() { return *runtime_; }
    void TearDown() override {
        runtime_.reset();
        auto left = rt::audit();
        EXPECT_LE(left.frames_alive, left.frames_leaked);
        EXPECT_LE(left.tasks_alive, left.tasks_leaked);
        EXPECT_LE(left.operations_in_flight, left.operations_leaked);
    }

private:
    std::unique_ptr<rt::runtime> runtime_;
};

#define EVERY_RUNTIME(suite)                               \
    INSTANTIATE_TEST_SUITE_P(Each, suite, every_runtime(), \
                             [](const auto& info) { return name_of(info.param); })
