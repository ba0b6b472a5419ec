module;
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <source_location>
#include <string>
#include <utility>
#include <vector>
module rt.sched;
import rt.task;
import rt.time;
import :core;
import :worker;

namespace rt {

task_info detail::info_of(task_state& task, std::uint32_t milliseconds) {
    task_info info{.id = task.identity.id,
                   .name = std::string(task.identity.name()),
                   .spawned_at = task.identity.spawned_at,
                   .worker = {},
                   .waited = {},
                   .awaits = {}};
    task.env.describe(info.awaits, 0);
    // 0: it began to wait on a thread that is nobody's worker.
    if (auto since = task.env.waiting_since(); !info.awaits.empty() && since != 0)
        info.waited = std::chrono::milliseconds(milliseconds - since);
    return info;
}

runtime_dump detail::runtime_core::dump() {
    std::lock_guard one_at_a_time(dump_mutex_);
    std::vector<const task_identity*> running;
    for (auto& w : workers_) running.push_back(w->running());
    runtime_dump all;
    each_task([&](task_state& t) {
        auto& info = all.tasks.emplace_back(info_of(t, coarse_time_of(clock_->now())));
        auto at = std::find(running.begin(), running.end(), &t.identity);
        if (at == running.end()) return;
        info.worker = static_cast<unsigned>(at - running.begin());
        info.awaits.clear();
        info.waited = {};
    });
    return all;
}

void detail::runtime_core::dump_as_asked() noexcept {
    auto all = dump();
    if (options_.on_dump) {
        options_.on_dump(all);
    } else {
        std::fprintf(stderr, "rt: runtime '%s': %s", options_.name.c_str(), to_string(all).c_str());
    }
}

runtime_dump runtime_handle::dump() const { return core_->dump(); }

std::string to_string(const runtime_dump& dump) {
    std::string text = std::to_string(dump.tasks.size()) + " tasks\n";
    for (auto& t : dump.tasks) {
        text += "task " + std::to_string(t.id);
        if (!t.name.empty()) text += " '" + t.name + "'";
        text += ", spawned at " + detail::place_of(t.spawned_at);
        if (t.worker) {
            text += ", runs on worker " + std::to_string(*t.worker) + "\n";
        } else if (t.awaits.empty()) {
            text += ", is ready to run\n";
        } else {
            text += ", has waited " + std::to_string(t.waited.count()) + " ms for:\n";
        }
        for (auto& a : t.awaits) {
            text.append(4 * (a.depth + 1), ' ');
            text += a.what;
            if (a.where.line() != 0) text += ", at " + detail::place_of(a.where);
            text += "\n";
        }
    }
    return text;
}

}  // namespace rt
