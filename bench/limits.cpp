// What a row could cost at best, on one thread and with nothing around it: what bench/compare
// measures distances by.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <utility>

namespace {

struct fifo {
    struct node {
        node* next = nullptr;
        std::coroutine_handle<> frame;
    };
    node* first = nullptr;
    node** last = &first;
    void push(node& n) {
        n.next = nullptr;
        *last = &n;
        last = &n.next;
    }
    std::coroutine_handle<> pop() {
        auto* n = first;
        first = n->next;
        if (!first) last = &first;
        return n->frame;
    }
};
fifo ready;

/// A coroutine and nothing else; its frame comes from a list of free ones.
struct bare {
    struct promise_type : fifo::node {
        bare get_return_object() {
            frame = std::coroutine_handle<promise_type>::from_promise(*this);
            return {*this};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
        static void* operator new(std::size_t size) {
            if (!free_frames) return ::operator new(size);
            return std::exchange(free_frames, *static_cast<void**>(free_frames));
        }
        static void operator delete(void* frame) {
            *static_cast<void**>(frame) = std::exchange(free_frames, frame);
        }
    };
    promise_type& promise;
    static inline void* free_frames = nullptr;  // all of one size: there is one body
};

struct to_the_end {
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<bare::promise_type> h) noexcept {
        ready.push(h.promise());
    }
    void await_resume() noexcept {}
};

bare gives_way(std::int64_t times) {
    for (; times > 0; --times) co_await to_the_end();
}

void yield(benchmark::State& state) {
    for (auto _ : state) {
        for (int i = 0; i < 100; ++i) ready.push(gives_way(100).promise);
        while (ready.first) ready.pop().resume();
    }
    state.SetItemsProcessed(state.iterations() * 100 * 100);
}

void spawn(benchmark::State& state) {
    for (auto _ : state) {
        for (int i = 0; i < 1000; ++i) ready.push(gives_way(0).promise);
        while (ready.first) ready.pop().resume();
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}

void lock(benchmark::State& state) {
    std::atomic<bool> held{false};
    for (auto _ : state) {
        bool expected = false;
        benchmark::DoNotOptimize(
            held.compare_exchange_strong(expected, true, std::memory_order_acquire));
        held.store(false, std::memory_order_release);
    }
    state.SetItemsProcessed(state.iterations());
}

void ring(benchmark::State& state) {
    std::array<int, 128> slots{};
    std::atomic<unsigned> head{0}, tail{0};
    for (auto _ : state) {
        auto t = tail.load(std::memory_order_relaxed);
        slots[t % 128] = static_cast<int>(t);
        tail.store(t + 1, std::memory_order_release);
        auto h = head.load(std::memory_order_relaxed);
        benchmark::DoNotOptimize(slots[h % 128]);
        head.store(h + 1, std::memory_order_release);
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(yield)->Name("limit_yield");
BENCHMARK(spawn)->Name("limit_spawn");
BENCHMARK(lock)->Name("limit_lock");
BENCHMARK(ring)->Name("limit_ring");

}  // namespace
