// The timer of the waiting operation stands for one entry, the first at that time. Whoever changes
// the heap takes the timer out of the wheel before: if that comes too late, the timer has fired,
// its entry is as good as delivered, and stays where it is until the operation resumes.
module;
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>
module rt.time;

namespace rt::detail {

delay_heap::~delay_heap() {
    if (waiting_)
        misuse("a delay_queue is destroyed while a task waits for it", waiting_->waits_at());
}

namespace {
void make_room(std::vector<std::uint32_t>& v, std::size_t n) {
    if (v.capacity() < n) v.reserve(std::max(n, 2 * v.capacity()));
}
}  // namespace

steady_time delay_heap::now(std::source_location where) {
    auto* exec = current_executor();
    auto* timers = exec ? exec->timers() : nullptr;
    if (!timers) misuse("a delay_queue is used where there is no runtime with timers", where);
    return timers->now();
}

const delay_heap::entry* delay_heap::find(delay_key key) const noexcept {
    if (key.place >= entries_.size()) return nullptr;
    auto& e = entries_[key.place];
    return e.generation == key.generation && e.at != nowhere ? &e : nullptr;
}

std::optional<steady_time> delay_heap::deadline(delay_key key) const noexcept {
    if (auto* e = find(key)) return e->deadline;
    return std::nullopt;
}

// --- The heap

bool delay_heap::before(std::uint32_t a, std::uint32_t b) const noexcept {
    auto& x = entries_[a];
    auto& y = entries_[b];
    return x.deadline != y.deadline ? x.deadline < y.deadline : x.number < y.number;
}

void delay_heap::put(std::size_t at, std::uint32_t place) noexcept {
    heap_[at] = place;
    entries_[place].at = static_cast<std::uint32_t>(at);
}

void delay_heap::sift_up(std::size_t at) noexcept {
    auto place = heap_[at];
    while (at > 0 && before(place, heap_[(at - 1) / 2])) {
        put(at, heap_[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(at, place);
}

void delay_heap::sift_down(std::size_t at) noexcept {
    auto place = heap_[at];
    for (;;) {
        auto child = 2 * at + 1;
        if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
        if (child >= heap_.size() || !before(heap_[child], place)) break;
        put(at, heap_[child]);
        at = child;
    }
    put(at, place);
}

void delay_heap::take_out(std::size_t at) noexcept {
    entries_[heap_[at]].at = nowhere;
    auto last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    put(at, last);
    sift_up(at);
    sift_down(entries_[last].at);
}

// --- What changes it

delay_key delay_heap::insert(steady_time deadline) {
    make_room(heap_, heap_.size() + 1);
    make_room(free_, entries_.size() + 1);  // pop() must not fail
    delay_key key;
    if (free_.empty()) {
        key.place = static_cast<std::uint32_t>(entries_.size());
        entries_.emplace_back();
    } else {
        key.place = free_.back();
        free_.pop_back();
    }
    key.generation = ++generations_;
    entries_[key.place] = {deadline, inserted_++, key.generation, nowhere};
    heap_.push_back(key.place);
    sift_up(heap_.size() - 1);
    if (heap_.front() == key.place) rearm();
    return key;
}

bool delay_heap::reset(delay_key key, steady_time deadline) {
    if (!find(key) || !disarm(key.place)) return false;
    auto& e = entries_[key.place];
    e.deadline = deadline;
    e.number = inserted_++;
    sift_up(e.at);
    sift_down(e.at);
    rearm();
    return true;
}

bool delay_heap::remove(delay_key key) {
    if (!find(key) || !disarm(key.place)) return false;
    take_out(entries_[key.place].at);
    free_.push_back(key.place);
    rearm();
    return true;
}

std::uint32_t delay_heap::pop() noexcept {
    waiting_ = nullptr;
    auto place = heap_.front();
    take_out(0);
    free_.push_back(place);  // there is room: insert() has seen to it
    return place;
}

void delay_heap::compact() {
    while (!entries_.empty() && entries_.back().at == nowhere) entries_.pop_back();
    std::erase_if(free_, [this](auto place) { return place >= entries_.size(); });
    entries_.shrink_to_fit();
    heap_.shrink_to_fit();
    free_.shrink_to_fit();
    make_room(free_, entries_.size());
}

// --- Who waits

/// False: the timer stands for this entry, and has fired.
bool delay_heap::disarm(std::uint32_t place) noexcept {
    if (!waiting_ || waiting_->armed_for_ != place) return true;
    if (!waiting_->home->remove(*waiting_)) return false;
    waiting_->armed_for_ = nowhere;
    return true;
}

/// The timer stands for the first entry, unless it has fired.
void delay_heap::rearm() noexcept {
    if (!waiting_) return;
    auto& op = *waiting_;
    auto first = heap_.empty() ? nowhere : heap_.front();
    if (op.armed_for_ == first) return;
    if (op.armed_for_ != nowhere && !op.home->remove(op)) return;
    op.armed_for_ = first;
    if (first == nowhere) return;
    op.fired = [](timer_node& node) noexcept {
        auto& op = static_cast<next_op&>(node);
        if (op.claim()) op.complete();
    };
    timers_of(op, op.what(), op.where_).insert(op, entries_[first].deadline);
}

bool delay_heap::next_op::try_now() noexcept {
    auto& timers = timers_of(*this, what(), where_);
    auto& h = *owner_;
    return !h.heap_.empty() && h.entries_[h.heap_.front()].deadline <= timers.now();
}

bool delay_heap::next_op::enlist() noexcept {
    if (owner_->waiting_) misuse("two tasks wait for one delay_queue at once", waits_at(where_));
    owner_->waiting_ = this;
    owner_->rearm();
    return false;
}

bool delay_heap::next_op::delist() noexcept {
    if (owner_->waiting_ != this) return false;
    owner_->waiting_ = nullptr;
    return std::exchange(armed_for_, nowhere) == nowhere || home->remove(*this);
}

}  // namespace rt::detail
