module;
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>
module rt.task;

namespace rt {

namespace {

std::string text_of(const detail::task_identity& task) {
    auto text = "in task " + std::to_string(task.id);
    if (task.given_name) text += " '" + *task.given_name + "'";
    return text + ", spawned at " + detail::place_of(task.spawned_at);
}

[[noreturn]] void stop_program(std::string_view what, const std::string& place) noexcept {
    std::fprintf(stderr, "rt: misuse: %.*s%s%s\n", static_cast<int>(what.size()), what.data(),
                 place.empty() ? "" : ", ", place.c_str());
    std::fflush(stderr);
    std::abort();
}

}  // namespace

void misuse(std::string_view what, std::source_location where) noexcept {
    if (where.line() != 0) stop_program(what, "at " + detail::place_of(where));
    auto* task = detail::current_identity();
    stop_program(what, task ? text_of(*task) : std::string());
}

namespace detail {

std::string place_of(std::source_location where) {
    return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

void awaited_outside(const char* what, std::source_location where) noexcept {
    misuse(std::string(what) +
               " is awaited without a runtime: await it in an rt::task that is spawned or "
               "passed to block_on",
           where);
}

void awaited_outside(const char* what, wait_op& op) noexcept {
    std::vector<awaited> all;
    op.describe(all, 0);
    auto known = std::find_if(all.begin(), all.end(), [](auto& a) { return a.where.line() != 0; });
    awaited_outside(what, known != all.end() ? known->where : std::source_location());
}

void threw_while_unwinding(environment* env) noexcept {
    auto* task = env ? &env->identity() : current_identity();
    stop_program("a destructor threw while a stop or an error took the frames down",
                 task ? text_of(*task) : std::string());
}

std::source_location arm::waits_at(std::source_location otherwise) const noexcept {
    std::vector<awaited> all;
    if (target_ != nullptr) target_->describe(all, 0);
    if (all.empty()) return otherwise;
    // A select describes itself, and then its arms.
    auto& mine = commit_ != nullptr && index_ + 1 < all.size() ? all[index_ + 1] : all.front();
    return mine.where.line() != 0 ? mine.where : otherwise;
}

}  // namespace detail
}  // namespace rt
