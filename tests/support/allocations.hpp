// Counts what each thread allocates: to be included by one file of a test program, whose operator
// new it is.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <new>

inline thread_local long taken = 0;        // allocations of this thread
inline thread_local long taken_bytes = 0;  // what they asked for

// The sanitizers bring operators of their own (two of them do not link with the thread sanitizer),
// and rt's frames come from malloc under one of them: nothing is counted there, and what expects 0
// sees 0.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RT_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef RT_COUNT_ALLOCATIONS
#define RT_COUNT_ALLOCATIONS 1
#endif
#if RT_COUNT_ALLOCATIONS

namespace {

[[gnu::noinline]] void* take(std::size_t size, std::size_t alignment = 0) {
    ++taken;
    taken_bytes += static_cast<long>(size);
    void* p = alignment
                  ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                  : std::malloc(size ? size : 1);
    if (!p) throw std::bad_alloc();
    return p;
}
}  // namespace

// For the whole test program.
void* operator new(std::size_t n) { return take(n); }
void* operator new[](std::size_t n) { return take(n); }
void* operator new(std::size_t n, std::align_val_t a) {
    return take(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
    return take(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

#endif
