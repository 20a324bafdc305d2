/* The shared words that structures in callers' memory are made of.
 *
 * A word is a plain integer in a struct, so that a header that shows one compiles as C11 and as C++ alike.
 * Only the runtime touches `raw`, and only through sched/atomic.h, but for what is below, which macros expand to;
 * a caller zeroes a word by zeroing the structure, or leaves it to the structure's start or init call.
 */
#ifndef SKUA_WORD_H
#define SKUA_WORD_H

#include <stdint.h>

typedef struct skua_word32 { uint32_t raw; /* the runtime's */ } skua_word32;  /* 32 bits */
typedef struct skua_word64 { uint64_t raw; /* the runtime's */ } skua_word64;  /* 64 bits */
typedef struct skua_wordptr { void *raw; /* the runtime's */ } skua_wordptr;   /* a pointer */

/* gcc, unlike clang, takes the address of an atomic word into a register of its own, and its value into another. With
 * the instruction spelled out a parallel function is so much smaller that it is inlined into itself: a fork of `fib`
 * then costs 0.5 ns and not 2. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define SKUAI_WORD_IN_PLACE 1
#endif

/* A store that keeps its place among the calling thread's accesses, as far as the compiler is concerned, and that
 * publishes those before it (release). For somebody who interrupts the thread with a barrier: sched/strand.h, Y11. */
static inline __attribute__((always_inline, unused)) void skuai_word_put_ptr(skua_wordptr *word, void *value)
{
#ifdef SKUAI_WORD_IN_PLACE
    __asm__ volatile("movq %1, %0" : "=m"(word->raw) : "r"(value) : "memory");
#else
    __atomic_store_n(&word->raw, value, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Acquire: what was published with the value is seen. */
static inline __attribute__((always_inline, unused)) uint32_t skuai_word_read_32(const skua_word32 *word)
{
    return __atomic_load_n(&word->raw, __ATOMIC_ACQUIRE);
}

/* Relaxed: a hint, with no data behind it. */
static inline __attribute__((always_inline, unused)) void *skuai_word_peek_ptr(const skua_wordptr *word)
{
    return __atomic_load_n(&word->raw, __ATOMIC_RELAXED);
}

#endif
