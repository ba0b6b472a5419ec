#include "model.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace model {

namespace {

/// Passed to the thread that goes on. (std's semaphores spin first, and here nothing else runs.)
class baton {
public:
    void pass() {
        here_.store(1, std::memory_order_release);
        ::syscall(SYS_futex, &here_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
    void await() {
        while (here_.exchange(0, std::memory_order_acquire) == 0)
            ::syscall(SYS_futex, &here_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }

private:
    std::atomic<int> here_{0};
};
struct choice {
    unsigned count, taken;
};
struct fiber {
    std::function<void()> body;
    clock now{};
    std::function<bool()> blocked;  // until it holds
    std::uint64_t gave_way = 0;     // at that operation; 0: it has not
    bool fresh = false;
    bool ended = true;
    baton go;
    std::thread thread;
};
struct event {
    int thread;
    const char* what;
    std::uint64_t before, after;
    unsigned place;
};

/// Shared with the parent process.
struct shared_report {
    std::uint64_t executions, operations;
    bool complete, failed;
    char failure[16 * 1024];
};

options how;
shared_report* told = nullptr;
std::uint64_t execution = 0;  // 0: nothing is explored
std::array<fiber, most_threads> fibers;
int threads = 0;
thread_local int self = -1;
baton over;
std::vector<choice> path;
std::size_t depth = 0;
unsigned preempted = 0;
std::uint64_t operation = 0;  // of this execution
std::vector<event> events;
std::vector<std::unique_ptr<location>> locations;

bool exploring() { return execution != 0 && self >= 0; }

[[noreturn]] void fail(const std::string& what) {
    std::string text = what + "\n";
    auto first = events.size() > 150 ? events.size() - 150 : 0;
    for (auto i = first; i < events.size(); ++i) {
        auto& e = events[i];
        char line[160];
        std::snprintf(line, sizeof line, "  thread %d: %-16s #%u  %llx -> %llx\n", e.thread, e.what,
                      e.place, static_cast<unsigned long long>(e.before),
                      static_cast<unsigned long long>(e.after));
        text += line;
    }
    told->failed = true;
    std::snprintf(told->failure, sizeof told->failure, "%s", text.c_str());
    ::_exit(1);
}

unsigned decide(unsigned count) {
    if (count < 2) return 0;
    if (depth == path.size()) path.push_back({count, 0});
    auto& c = path[depth++];
    if (c.count != count)
        fail("the execution is not repeated: something depends on more than this");
    return c.taken;
}

bool may_run(fiber& f) {
    if (f.ended) return false;
    if (f.blocked) return f.blocked();
    return f.gave_way == 0 || operation > f.gave_way;
}

/// Who runs next; the thread that asks goes on when it is its turn again.
void schedule(bool ends = false) {
    std::array<int, most_threads> ready;
    unsigned count = 0;
    bool go_on = !ends && may_run(fibers[static_cast<std::size_t>(self)]);
    if (go_on) ready[count++] = self;
    bool free = !go_on || preempted < how.preemptions;
    for (int t = 0; free && t < threads; ++t)
        if (t != self && may_run(fibers[static_cast<std::size_t>(t)])) ready[count++] = t;
    if (count == 0) {
        // Only who gave way is left: nobody else will do anything, so it looks once more.
        bool all_ended = true;
        for (int t = 0; t < threads; ++t) {
            auto& f = fibers[static_cast<std::size_t>(t)];
            all_ended &= f.ended;
            if (!f.ended && !f.blocked) ready[count++] = t;
        }
        if (all_ended) {
            over.pass();
            return;
        }
        if (count == 0) fail("deadlock: every thread that has not ended waits");
        static std::uint64_t again = 0, at = 0;
        again = at == operation ? again + 1 : 0;
        at = operation;
        if (again > 100) fail("livelock: every thread that has not ended spins");
    }
    auto next = ready[decide(count)];
    auto& f = fibers[static_cast<std::size_t>(next)];
    f.blocked = nullptr;
    if (f.gave_way != 0) f.fresh = true;
    f.gave_way = 0;
    if (next == self) return;
    if (go_on) ++preempted;
    auto& mine = fibers[static_cast<std::size_t>(self)];
    f.go.pass();
    if (!ends) mine.go.await();
}

/// Before an operation.
fiber& begin() {
    schedule();
    auto& f = fibers[static_cast<std::size_t>(self)];
    ++operation;
    ++told->operations;
    ++f.now[static_cast<std::size_t>(self)];
    if (operation > 20'000) fail("an execution that does not end");
    return f;
}

void join(clock& to, const clock& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = std::max(to[i], from[i]);
}
bool acquires(std::memory_order o) {
    if (how.bug == seeded::no_acquire || how.bug == seeded::no_order) return false;
    return o != std::memory_order_relaxed && o != std::memory_order_release;
}
bool releases(std::memory_order o) {
    if (how.bug == seeded::no_release) return false;
    return o == std::memory_order_release || o == std::memory_order_acq_rel ||
           o == std::memory_order_seq_cst;
}
bool is_sc(std::memory_order o) {
    return o == std::memory_order_seq_cst && how.bug != seeded::no_seq_cst;
}

void note(const char* what, const location& l, std::uint64_t before, std::uint64_t after) {
    unsigned place = 0;
    while (place < locations.size() && locations[place].get() != &l) ++place;
    events.push_back({self, what, before, after, place});
}

/// The oldest value that the thread may still read.
std::uint32_t oldest(const location& l, const fiber& f, bool sc) {
    auto last = static_cast<std::uint32_t>(l.values.size() - 1);
    if (f.fresh) return last;
    auto from = std::max(l.seen[static_cast<std::size_t>(self)], sc ? l.last_sc : 0);
    for (auto i = last; i > from; --i) {
        auto& v = l.values[i];
        if (v.thread < 0 || f.now[static_cast<std::size_t>(v.thread)] >= v.stamp) return i;
    }
    return from;
}

void read(location& l, fiber& f, std::uint32_t at, std::memory_order o) {
    l.seen[static_cast<std::size_t>(self)] = at;
    if (acquires(o)) join(f.now, l.values[at].released);
}

void write(location& l, fiber& f, std::uint64_t bits, std::memory_order o, const clock* before) {
    auto& v = l.values.emplace_back();
    v.bits = bits;
    v.thread = self;
    v.stamp = f.now[static_cast<std::size_t>(self)];
    if (before) v.released = *before;  // a read-modify-write goes on with a release sequence
    if (releases(o)) join(v.released, f.now);
    auto at = static_cast<std::uint32_t>(l.values.size() - 1);
    l.seen[static_cast<std::size_t>(self)] = at;
    if (is_sc(o)) l.last_sc = at;
    f.fresh = false;
}

void one_thread(int index) {
    self = index;
    auto& f = fibers[static_cast<std::size_t>(index)];
    for (;;) {
        f.go.await();
        f.body();
        f.ended = true;
        ++operation;
        schedule(true);
    }
}

bool next_path() {
    while (!path.empty() && path.back().taken + 1 == path.back().count) path.pop_back();
    if (path.empty()) return false;
    ++path.back().taken;
    return true;
}

void explore_here(const std::function<after()>& setup) {
    for (;;) {
        ++execution;
        threads = 0;
        depth = 0;
        preempted = 0;
        operation = 0;
        events.clear();
        locations.clear();
        {
            auto end = setup();
            // The first thread is chosen as the others are: a thread that is none of them asks.
            auto first = decide(static_cast<unsigned>(threads));
            fibers[first].go.pass();
            over.await();
            if (end) end();
        }
        ++told->executions;
        if (depth != path.size()) fail("the execution is not repeated");
        if (!next_path()) {
            told->complete = true;
            return;
        }
        if (told->executions >= how.most_executions) return;
    }
}

}  // namespace

location& object::here() const {
    if (!alive_) fail("an atomic object is used after its end");
    if (execution_ != execution) {
        execution_ = execution;
        location_ = locations.emplace_back(std::make_unique<location>()).get();
        auto& v = location_->values.emplace_back();
        v.bits = bits_;
    }
    return *location_;
}

std::uint64_t object::load(order o) const {
    if (!exploring()) return bits_;
    auto& f = begin();
    auto& l = here();
    auto from = oldest(l, f, is_sc(o));
    auto last = static_cast<std::uint32_t>(l.values.size() - 1);
    auto at = last - decide(last - from + 1);
    read(l, f, at, o);
    note("load", l, l.values[at].bits, l.values[at].bits);
    return l.values[at].bits;
}

void object::store(std::uint64_t bits, order o) {
    if (!exploring()) {
        bits_ = bits;
        return;
    }
    auto& f = begin();
    auto& l = here();
    note("store", l, l.values.back().bits, bits);
    write(l, f, bits, o, nullptr);
    bits_ = bits;
}

std::uint64_t object::update(const std::function<std::uint64_t(std::uint64_t)>& change, order o) {
    if (!exploring()) {
        auto before = bits_;
        bits_ = change(before);
        return before;
    }
    auto* f = &begin();
    auto& l = here();
    auto last = static_cast<std::uint32_t>(l.values.size() - 1);
    read(l, *f, last, o);
    auto before = l.values[last].bits;
    auto released = l.values[last].released;
    if (how.bug == seeded::torn_update) f = &begin();
    note("update", l, before, change(before));
    write(l, *f, change(before), o, &released);
    bits_ = change(before);
    return before;
}

bool object::compare_exchange(std::uint64_t& expected, std::uint64_t bits, order success,
                              order failure) {
    if (!exploring()) {
        if (bits_ != expected) {
            expected = bits_;
            return false;
        }
        bits_ = bits;
        return true;
    }
    auto* f = &begin();
    auto& l = here();
    auto last = static_cast<std::uint32_t>(l.values.size() - 1);
    // It fails with any value that a load could see, and succeeds with the last one only.
    std::vector<std::uint32_t> may{last};
    for (auto i = last; i > oldest(l, *f, is_sc(failure));)
        if (l.values[--i].bits != expected) may.push_back(i);
    auto at = may[decide(static_cast<unsigned>(may.size()))];
    auto before = l.values[at].bits;
    if (before != expected) {
        read(l, *f, at, failure);
        note("exchange failed", l, before, before);
        expected = before;
        return false;
    }
    auto released = l.values[at].released;
    read(l, *f, at, success);
    if (how.bug == seeded::torn_update) f = &begin();
    note("exchange", l, before, bits);
    write(l, *f, bits, success, &released);
    bits_ = bits;
    return true;
}

void mutex::lock() noexcept {
    if (!exploring()) return;
    if (!sound_ && how.bug == seeded::no_lock) {
        (void)begin();
        return;
    }
    fibers[static_cast<std::size_t>(self)].blocked = [this] { return !held_; };
    auto& f = begin();
    events.push_back({self, "lock", 0, 0, 0});
    held_ = true;
    if (sound_ || how.bug != seeded::no_order) join(f.now, released_);
}

bool mutex::try_lock() noexcept {
    if (!exploring()) return true;
    auto& f = begin();
    if (held_) return false;
    held_ = true;
    if (sound_ || how.bug != seeded::no_order) join(f.now, released_);
    return true;
}

void mutex::unlock() noexcept {
    if (!exploring() || (!sound_ && how.bug == seeded::no_lock)) return;
    auto& f = fibers[static_cast<std::size_t>(self)];
    ++f.now[static_cast<std::size_t>(self)];
    released_ = f.now;
    events.push_back({self, "unlock", 0, 0, 0});
    held_ = false;
    ++operation;
}

void condition_variable::block(const std::function<bool()>& until) { wait_until(until); }

void wait_until(const std::function<bool()>& holds) {
    if (!exploring()) return;
    fibers[static_cast<std::size_t>(self)].blocked = holds;
    (void)begin();
}

void yield() noexcept {
    if (!exploring()) return;
    fibers[static_cast<std::size_t>(self)].gave_way = operation;
    schedule();
}

unsigned choose(unsigned n) { return execution != 0 ? decide(n) : 0; }

void check(bool holds, const char* what) {
    if (!holds) fail(std::string("does not hold: ") + what);
}

void check_access(clock& reads, clock& writes, bool writes_now) {
    if (!exploring()) return;
    auto& f = fibers[static_cast<std::size_t>(self)];
    for (std::size_t t = 0; t < writes.size(); ++t) {
        if (writes[t] > f.now[t] || (writes_now && reads[t] > f.now[t]))
            fail("a race: neither of two accesses to plain memory happens before the other");
    }
    auto me = static_cast<std::size_t>(self);
    (writes_now ? writes : reads)[me] = f.now[me];
}

void run(std::function<void()> body) {
    if (threads == most_threads) fail("too many threads");
    auto index = threads++;
    auto& f = fibers[static_cast<std::size_t>(index)];
    f.body = std::move(body);
    f.now = {};
    f.now[static_cast<std::size_t>(index)] = 1;
    f.blocked = nullptr;
    f.gave_way = 0;
    f.fresh = false;
    f.ended = false;
    if (!f.thread.joinable()) f.thread = std::thread(one_thread, index);
}

report explore(const std::function<after()>& setup, options o) {
    auto* memory = ::mmap(nullptr, sizeof(shared_report), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    told = static_cast<shared_report*>(memory);
    auto child = ::fork();
    if (child == 0) {
        how = o;
        // One thread runs at a time: it is handed on faster on one CPU.
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &cpus);
        ::sched_setaffinity(0, sizeof cpus, &cpus);
        explore_here(setup);
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    report r{told->failed, told->complete, told->executions, told->operations, told->failure};
    if (WIFSIGNALED(status)) {
        r.failed = true;
        r.failure = "it crashed: " + std::string(::strsignal(WTERMSIG(status)));
    }
    ::munmap(memory, sizeof(shared_report));
    return r;
}

}  // namespace model
