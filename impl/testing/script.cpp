module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
module rt.testing;
import rt.task;
import rt.time;

namespace rt::detail {

namespace {
/// For a complaint: readable, and not too long.
std::string quoted(std::string_view bytes) {
    std::string text = "\"";
    for (unsigned char c : bytes.substr(0, 80)) {
        if (c == '\r' || c == '\n') {
            text += c == '\r' ? "\\r" : "\\n";
        } else if (c < 0x20 || c >= 0x7f) {
            char code[5];
            std::snprintf(code, sizeof code, "\\x%02x", c);
            text += code;
        } else {
            text += static_cast<char>(c);
        }
    }
    return text + (bytes.size() > 80 ? "\"..." : "\"");
}
}  // namespace

/// Ends the steps that wait, if it is time.
void script_op::go_on() {
    auto& s = *script_;
    while (!s.steps.empty()) {
        auto* waits = std::get_if<script_state::waits>(&s.steps.front());
        if (!waits) return;
        auto now = timers_of(*this, what(), where_).now();
        if (!s.due) s.due = saturating_add(now, waits->duration);
        if (*s.due > now) return;
        s.due.reset();
        s.steps.pop_front();
    }
}

std::size_t script_op::piece(std::size_t most) {
    if (!script_->in_pieces || most < 2) return most;
    return 1 + static_cast<std::size_t>(env_->exec().random() % most);
}

void script_op::wake(script_op* op) noexcept {
    if (!op || !op->claim_to_try()) return;
    // In a select it waits on, and is tried; by itself it begins anew.
    if (!op->selected()) {
        op->script_->waiting[op->writes_] = nullptr;
        op->retry_on_wake();
    }
    op->complete();
}

/// It has its result, and the script may have come to another step.
bool script_op::done(result<std::size_t> with) {
    result_ = with;
    if (home) (void)home->remove(*this);  // it was quicker than its timer
    go_on();
    wake(script_->waiting[!writes_]);
    return true;
}

bool script_op::try_now() {
    go_on();
    auto& s = *script_;
    if (writes_ ? from_.empty() : to_.empty()) return done(std::size_t{0});
    if (s.steps.empty()) {
        if (!writes_) return done(std::size_t{0});
    } else if (auto* gives = std::get_if<script_state::gives>(&s.steps.front());
               gives && !writes_) {
        auto n = piece(std::min(to_.size(), gives->bytes.size()));
        std::memcpy(to_.data(), gives->bytes.data(), n);
        gives->bytes.erase(0, n);
        if (gives->bytes.empty()) s.steps.pop_front();
        return done(n);
    } else if (auto* fails = std::get_if<script_state::fails_read>(&s.steps.front());
               fails && !writes_) {
        auto error = fails->error;
        s.steps.pop_front();
        return done(error);
    } else if (auto* refuses = std::get_if<script_state::fails_write>(&s.steps.front());
               refuses && writes_) {
        auto error = refuses->error;
        s.steps.pop_front();
        return done(error);
    } else if (auto* expects = std::get_if<script_state::expects>(&s.steps.front());
               expects && writes_) {
        auto n = std::min(from_.size(), expects->bytes.size());
        if (std::memcmp(from_.data(), expects->bytes.data(), n) == 0) {
            n = piece(n);
            expects->bytes.erase(0, n);
            if (expects->bytes.empty()) s.steps.pop_front();
            return done(n);
        }
    } else {
        be_woken_at_due();
        return false;
    }
    if (s.complaint.empty()) {
        auto* expected =
            s.steps.empty() ? nullptr : std::get_if<script_state::expects>(&s.steps.front());
        s.complaint =
            "written: " + quoted({reinterpret_cast<const char*>(from_.data()), from_.size()}) +
            ", expected: " + (expected ? quoted(expected->bytes) : "nothing, at the script's end");
        std::fprintf(stderr, "rt: scripted_stream: %s\n", s.complaint.c_str());
    }
    return done(std::make_error_code(std::errc::protocol_error));
}

bool script_op::enlist() {
    auto& waiting = script_->waiting[writes_];
    if (waiting && waiting != this)
        misuse(writes_ ? "two writes at once on one scripted_stream"
                       : "two reads at once on one scripted_stream",
               where_);
    waiting = this;
    if (try_now()) {
        waiting = nullptr;
        return true;
    }
    out_of_turn_ = !std::holds_alternative<script_state::waits>(script_->steps.front());
    return false;
}

/// If it waits while the script does.
void script_op::be_woken_at_due() {
    auto& s = *script_;
    if (!s.due || s.waiting[writes_] != this) return;
    if (home) (void)home->remove(*this);
    fired = [](timer_node& node) noexcept { wake(static_cast<script_op*>(&node)); };
    timers_of(*this, what(), where_).insert(*this, *s.due);
}

bool script_op::delist() noexcept {
    if (home) (void)home->remove(*this);
    if (script_->waiting[writes_] != this) return false;
    script_->waiting[writes_] = nullptr;
    return true;
}

}  // namespace rt::detail

namespace rt {

io_task<> scripted_stream::write_all(std::shared_ptr<detail::script_state> state,
                                     std::span<const std::byte> buffer,
                                     std::source_location where) {
    for (scripted_stream peer(std::move(state)); !buffer.empty();) {
        auto n = co_await peer.write(buffer, where).or_return();
        buffer = buffer.subspan(n);
    }
    co_return {};
}

}  // namespace rt
