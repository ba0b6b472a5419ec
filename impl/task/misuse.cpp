module;
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>
#include <string_view>
module rt.task;

namespace rt {

void misuse(std::string_view what, std::source_location where) noexcept {
    std::fprintf(stderr, "rt: misuse: %.*s, at %s:%u\n", static_cast<int>(what.size()), what.data(),
                 where.file_name(), static_cast<unsigned>(where.line()));
    std::fflush(stderr);
    std::abort();
}

namespace detail {

void awaited_outside(const char* what, std::source_location where) noexcept {
    misuse(std::string(what) +
               " is awaited without a runtime: await it in an rt::task that is spawned or "
               "passed to block_on",
           where);
}

void threw_while_unwinding(environment* env) noexcept {
    std::string what = "a destructor threw while a stop or an error took the frames down";
    if (auto* task = env ? &env->identity() : current_identity()) {
        what += ", in task " + std::to_string(task->id);
        if (task->given_name) what += " '" + *task->given_name + "'";
        misuse(what, task->spawned_at);
    }
    misuse(what);
}

}  // namespace detail
}  // namespace rt
