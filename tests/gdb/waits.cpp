// Tasks in known waits, for tests/gdb/run: once all of them wait it writes what dump() says of them
// into the file that it was given, calls all_wait(), where the debugger stands, and ends.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <ranges>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>
import rt;

using namespace std::chrono_literals;

// Not optimised away, and not inlined: the debugger stops here.
extern "C" [[gnu::noinline]] void all_wait() { asm volatile(""); }

namespace {

rt::task<> sleeps() { co_await rt::sleep(24h); }
rt::task<int> calls() {
    co_await sleeps();
    co_return 1;
}
rt::io_task<> calls_with_results() {
    co_await rt::shield(calls());
    co_return {};
}

struct connection {
    rt::tcp_stream near, far;
};
rt::io_task<connection> connect() {
    auto listener = co_await rt::tcp_listener::bind("127.0.0.1:0").or_return();
    auto near = co_await rt::tcp_stream::connect(listener.local().value()).or_return();
    auto far = co_await listener.accept().or_return();
    co_return connection{std::move(near), std::move(far.stream)};
}

template <class Body>
void start(std::string name, Body body,
           std::source_location where = std::source_location::current()) {
    rt::spawn({.name = std::move(name)}, std::move(body), where).detach();
}

rt::io_task<> start_all() {
    start("sleep", []() -> rt::task<> { co_await rt::sleep(24h); });
    start("chain", []() -> rt::task<> { (void)co_await calls(); });
    start("chain of results", []() -> rt::io_task<> {
        co_await calls_with_results().or_return();
        co_return {};
    });
    auto reads = [](connection both) -> rt::io_task<> {
        std::array<std::byte, 16> buffer;
        (void)co_await both.near.read(buffer).or_return();
        co_return {};
    };
    start("socket", reads(co_await connect().or_return()));
    auto reads_with_limit = [](connection both) -> rt::io_task<> {
        std::array<std::byte, 16> buffer;
        (void)co_await rt::timeout(24h, both.near.read(buffer)).or_return();
        co_return {};
    };
    start("socket, and a limit", reads_with_limit(co_await connect().or_return()));
    start("channel", []() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::string>(1);
        (void)co_await rx.recv();
    });
    start("full channel", []() -> rt::task<> {
        auto [tx, rx] = rt::channel<std::string>(1);
        (void)tx.try_send("one");
        (void)co_await tx.send("two");
    });
    start("lock", []() -> rt::task<> {
        rt::mutex mutex;
        auto first = co_await mutex.lock();
        auto second = co_await mutex.lock();
    });
    start("select", []() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        (void)co_await rt::select(rt::sleep(24h), rx.recv());
    });
    start("select of a task", []() -> rt::task<> {
        rt::notify bell;
        (void)co_await rt::select(bell.wait(), rt::allow_loss(calls()), rt::allow_loss(sleeps()));
    });
    start("select of a range", []() -> rt::task<> {
        std::array<rt::notify, 2> bells;
        (void)co_await rt::select_any(
            bells | std::views::transform([](auto& bell) { return bell.wait(); }));
    });
    start("join", []() -> rt::task<> { (void)co_await rt::join(calls(), rt::sleep(24h)); });
    start("join of a range", []() -> rt::task<> {
        std::vector<rt::task<int>> all;
        for (int i = 0; i < 2; ++i) all.push_back(calls());
        (void)co_await rt::join_all(std::move(all));
    });
    start("group", []() -> rt::task<> {
        (void)co_await rt::with_group([](rt::task_group& group) -> rt::task<> {
            group.spawn({.name = "first of the group"}, sleeps());
            group.spawn({.name = "second of the group"}, calls());
            co_await rt::sleep(24h);
        });
    });
    start("scopes", []() -> rt::task<> {
        rt::stop_source source;
        (void)co_await rt::as_optional(rt::stop_when(source.get_token(), calls()));
    });
    start("resource", []() -> rt::task<> {
        auto sleep = [](int&) { return sleeps(); };
        co_await rt::with(1, sleep, sleep);
    });
    start("handle", []() -> rt::task<> {
        auto joined = rt::spawn({.name = "joined"}, sleeps());
        co_await joined;
    });
    start("set", []() -> rt::task<> {
        rt::join_set<> set;
        set.spawn(sleeps());
        (void)co_await set.next();
    });
    start("stream", []() -> rt::task<> {
        auto [tx, rx] = rt::channel<int>(1);
        auto numbers = rt::map(std::move(rx), [](int n) { return n + 1; });
        (void)co_await numbers.next();
    });
    start("spins", []() -> rt::task<> {
        for (;;) std::this_thread::yield();
        co_return;
    });
    co_return {};
}

/// Nothing will move any more.
bool settled(const rt::runtime_dump& dump) {
    return std::all_of(dump.tasks.begin(), dump.tasks.end(),
                       [](auto& t) { return t.worker ? t.name == "spins" : !t.awaits.empty(); });
}

}  // namespace

int main(int, char** arguments) {
    auto runtime = rt::runtime::builder().name("busy").work_stealing().workers(2).build();
    runtime.block_on(start_all()).or_throw();
    std::optional over(rt::runtime::builder().name("over").current_thread().build());
    rt::paused_clock clock;
    auto idle = rt::runtime::builder().name("idle").current_thread().clock(clock).build();
    auto ready = idle.spawn(sleeps());  // nobody drives it
    over.reset();
    auto dump = runtime.dump();
    for (; !settled(dump); dump = runtime.dump()) std::this_thread::yield();
    std::ofstream(arguments[1]) << "runtime 'idle': " << to_string(idle.dump())
                                << "runtime 'busy': " << to_string(dump);
    all_wait();
    std::_Exit(0);  // some cannot be stopped
}
