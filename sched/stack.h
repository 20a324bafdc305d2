/* The fibers' stacks of one runtime.
 *
 *     slab    one mapping:   [ records | guard | stack 0 | guard | stack 1 | ... ]     all of one size class
 *     record  struct skuai_stack_slot, apart from the stack so that the stack's pages can be given back whole
 *
 * Where a stack is, from warm to cold; last in, first out everywhere:
 *   K1 cache   a worker's own, a few per class; no lock
 *   K2 warm    the pool's, guarded by its lock; moved to and from caches in batches
 *   K3 cold    the pool's, too: those that have lain warm for a whole period (decay.h), beyond a number of bytes per
 *              class. Their pages went back to the kernel with MADV_DONTNEED: MADV_FREE would be cheaper but leaves
 *              them in the resident size, by which containers are judged, until memory is short.
 *   K4 fresh   the part of a slab that was never handed out
 * So pages of unused stacks are bounded after two periods, however deep each once was; of a stack too large for a cache
 * only the top remains. Slabs stay mapped until the pool ends.
 *
 * A guard under each stack turns an overflow into a fault (overflow.h). By what is at hand, from best to worst:
 *   PAGE       MADV_GUARD_INSTALL (Linux 6.13): costs no mapping
 *   MPROTECT   two mappings per stack, of which a process has 65,530 by default: so up to a budget
 *   CANARY     no fault; the line under the stack must still be zero, and the stack pointer above it, whenever
 *              skuai_stack_check() looks. Zero because a line that nobody wrote is zero and takes no memory. The
 *              guard's bytes are there, too, so that a small overflow damages nothing before it is seen.
 *
 * Stack tops are staggered by up to fifteen cache lines: without that the hot end of every stack falls into the same
 * few sets of the cache (measured: a switch among 1000 fibers takes 9.6 ns without and 7.4 ns with).
 */
#ifndef SKUAI_STACK_H
#define SKUAI_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "sched/decay.h"
#include "sched/lock.h"

enum {
    SKUAI_STACK_SIZE_MIN = 1 << 14,
    SKUAI_STACK_SIZE_MAX = 1 << 23,
    SKUAI_STACK_CLASSES = 10,    /* 16 KiB << class */
    SKUAI_STACK_CACHE_MAX = 16   /* per class */
};

enum skuai_guard {
    SKUAI_GUARD_NONE_YET,
    SKUAI_GUARD_CANARY,
    SKUAI_GUARD_MPROTECT,
    SKUAI_GUARD_PAGE,
    SKUAI_GUARD_KINDS
};

typedef void skuai_stack_log_fn(void *context, const char *text);

struct skuai_stack_slab;

struct skuai_stack_slot { /* written by whoever has the stack */
    struct skuai_stack_slot *next; /* in a list of the pool */
    char *low;
    size_t size;                   /* at least that of the class */
    uint32_t class_index;
    enum skuai_guard guard;
} __attribute__((aligned(SKUAI_CACHE_LINE)));

/* A stack that was acquired: [low, low + size), size at least what was asked for. */
struct skuai_stack {
    void *low;
    size_t size;
    const uint64_t *canary; /* the line under `low`, or NULL if a fault tells of overflows */
    struct skuai_stack_slot *slot;
};

struct skuai_stack_cache {
    /* the owner only; stats read `count` */
    struct skuai_stack_slot *slots[SKUAI_STACK_CLASSES][SKUAI_STACK_CACHE_MAX];
    skua_word32 count[SKUAI_STACK_CLASSES];
    /* guarded by the pool's lock */
    struct skuai_stack_pool *pool; /* the one that knows this cache, or NULL */
    struct skuai_stack_cache *next, **link;
};

struct skuai_stack_shelf { /* a class in the pool; guarded by its lock */
    struct skuai_stack_slot *warm, *cold;
    struct skuai_kept warm_kept;
    uint32_t cold_count;
    struct skuai_stack_slab *slab; /* the last one made; fresh slots are in this one only */
};

struct skuai_stack_pool {
    /* constant */
    size_t page_size, guard_size, default_size;
    uint64_t guard_budget;       /* mappings that MPROTECT may take */
    enum skuai_guard best_guard; /* what this system has; a test may lower it before the first acquire */
    skuai_stack_log_fn *log;     /* may be NULL: stderr */
    void *log_context;
    /* any thread */
    skua_word64 guard_mappings;  /* taken */
    skua_word64 guards[SKUAI_GUARD_KINDS];
    skua_word32 said_canary;
    struct skuai_lock lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* guarded by `lock` */
    struct skuai_stack_shelf shelves[SKUAI_STACK_CLASSES];
    struct skuai_stack_slab *slabs;
    struct skuai_stack_cache *caches;
    uint64_t nslabs, mapped_bytes;
    uint64_t outside, outside_peak; /* stacks in caches or live */
};

struct skuai_stack_stats {
    uint64_t live;          /* acquired and not released */
    uint64_t cached;        /* ready for reuse: in caches, warm or cold */
    uint64_t peak;          /* most that ever were live or in a worker's cache at a time */
    uint64_t mappings;      /* of the process's, at most: slabs, and what MPROTECT split */
    uint64_t mapped_bytes;
    uint64_t guards[SKUAI_GUARD_KINDS]; /* stacks by kind of guard */
    enum skuai_guard best_guard;
};

/* default_size 0: 64 KiB, 256 KiB under AddressSanitizer and ThreadSanitizer. guard_budget 0: half of the mappings that
 * the kernel allows a process. Returns 0, -EINVAL (default_size beyond the largest), -ENOMEM. */
__attribute__((warn_unused_result)) int skuai_stack_pool_init(struct skuai_stack_pool *pool, size_t default_size,
                                                              size_t guard_budget);

/* Where to say that guards ran out, or that a canary died. Before the first acquire. */
void skuai_stack_pool_set_log(struct skuai_stack_pool *pool, skuai_stack_log_fn *log, void *context);

/* Unmaps everything and returns 0; if stacks are still out, in use or in a cache that was not flushed, does nothing and
 * returns how many. */
uint64_t skuai_stack_pool_fini(struct skuai_stack_pool *pool);

void skuai_stack_pool_stats(struct skuai_stack_pool *pool, struct skuai_stack_stats *stats); /* any thread */

/* A cache belongs to one thread at a time. Zeroed is initialised, too. */
void skuai_stack_cache_init(struct skuai_stack_cache *cache);

/* Gives all of a cache's stacks to the pool, which forgets the cache until it is used again. */
void skuai_stack_cache_flush(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache);

/* A stack of at least `size` bytes, 0 for the default. Its contents are indeterminate. Returns 0; -EINVAL if size is
 * beyond SKUAI_STACK_SIZE_MAX; -ENOMEM, with nothing changed. */
__attribute__((warn_unused_result)) int skuai_stack_acquire(struct skuai_stack_pool *pool,
                                                            struct skuai_stack_cache *cache, size_t size,
                                                            struct skuai_stack *out);

/* By any thread with a cache, not from on top of the stack. Aborts with a message if the canary is dead. */
void skuai_stack_release(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, struct skuai_stack *stack);

/* Makes up to `max` stacks cold that nobody needed for a period (decay.h). Any thread, one at a time. */
enum skuai_decay skuai_stack_pool_decay(struct skuai_stack_pool *pool, uint32_t max);

/* Does the address lie in the pool's mappings? By who alone uses the pool. */
bool skuai_stack_pool_contains(const struct skuai_stack_pool *pool, const void *address);

/* What was asked for when the stack was made, rounded up to its class: for messages. */
size_t skuai_stack_nominal(const struct skuai_stack *stack);

/* Is this address in the guard under the stack? Async-signal-safe. */
bool skuai_stack_guards(const struct skuai_stack_pool *pool, const struct skuai_stack *stack, const void *address);

/* stack_guard.c */
enum skuai_guard skuai_guard_probe(size_t page_size);
uint64_t skuai_guard_mapping_limit(void);
/* Puts a guard of the best kind that can be had under a stack that has none yet. Cannot fail: a canary always can. */
enum skuai_guard skuai_guard_install(struct skuai_stack_pool *pool, char *guard);

SKUAI_INLINE bool skuai_stack_canary_lives(const uint64_t *canary)
{
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum |= canary[i];
    return sum == 0;
}

/* At a switch away from the stack, with the stack pointer: false if it has overflowed. Free where a guard faults. */
SKUAI_INLINE bool skuai_stack_check(const struct skuai_stack *stack, const void *sp)
{
    if (SKUAI_LIKELY(stack->canary == NULL))
        return true;
    return (const char *)sp >= (const char *)stack->low && skuai_stack_canary_lives(stack->canary);
}

#endif
