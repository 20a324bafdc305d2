/* The pool of fiber stacks (stack.h). */
#define _GNU_SOURCE
#include "sched/stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/sanitize.h"

#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif
#if !defined(MAP_STACK)
#define MAP_STACK 0
#endif

enum {
    GUARD_BYTES = 1 << 14,        /* a frame of up to that size cannot step over it; untuned */
    SLAB_BYTES = 1 << 21,         /* untuned */
    SLAB_STACKS_MIN = 4,          /* of the largest classes */
    STAGGER = 16,                 /* by lines; measured with 1000 fibers: two or four lines each are no better */
    CACHE_BYTES = 1 << 20,        /* per worker and class, at most, of memory that unused stacks may hold; untuned */
    WARM_BYTES = 1 << 22,         /* what the pool keeps for ever, per class */
    WARM_MAX = 64,                /* likewise */
    COOL_BATCH = 64,
    TOP_BYTES = 1 << 16           /* what a stack larger than CACHE_BYTES may keep */
};

struct skuai_stack_slab {
    struct skuai_stack_slab *next;
    size_t mapped_bytes;
    uint32_t fresh, total; /* slots[fresh ..] were never handed out; guarded by the pool's lock */
    struct skuai_stack_slot slots[];
};

#if SKUAI_ASAN || SKUAI_TSAN
static const size_t default_stack_size = 1 << 18; /* their frames are larger */
#else
static const size_t default_stack_size = 1 << 16;
#endif

static size_t class_size(uint32_t class_index) { return (size_t)SKUAI_STACK_SIZE_MIN << class_index; }

static uint32_t class_of(size_t size)
{
    uint32_t class_index = 0;
    while (class_size(class_index) < size)
        class_index++;
    return class_index;
}

static uint32_t cache_capacity(uint32_t class_index)
{
    size_t fit = CACHE_BYTES / class_size(class_index);
    return fit > SKUAI_STACK_CACHE_MAX ? SKUAI_STACK_CACHE_MAX : fit < 1 ? 1 : (uint32_t)fit;
}

static uint32_t always_warm(uint32_t class_index)
{
    size_t fit = WARM_BYTES / class_size(class_index);
    return fit > WARM_MAX ? WARM_MAX : (uint32_t)fit;
}

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/* ---- the pool ------------------------------------------------------------------------------------------------- */

int skuai_stack_pool_init(struct skuai_stack_pool *pool, size_t default_size, size_t guard_budget)
{
    if (default_size > SKUAI_STACK_SIZE_MAX)
        return -EINVAL;
    memset(pool, 0, sizeof *pool);
    pool->page_size = (size_t)sysconf(_SC_PAGESIZE);
    pool->guard_size = round_up(GUARD_BYTES, pool->page_size);
    pool->default_size = class_size(class_of(default_size != 0 ? default_size : default_stack_size));
    pool->guard_budget = guard_budget != 0 ? guard_budget : skuai_guard_mapping_limit() / 2;
    pool->best_guard = skuai_guard_probe(pool->page_size);
    return 0;
}

void skuai_stack_pool_set_log(struct skuai_stack_pool *pool, skuai_stack_log_fn *log, void *context)
{
    pool->log = log;
    pool->log_context = context;
}

uint64_t skuai_stack_pool_fini(struct skuai_stack_pool *pool)
{
    if (pool->outside != 0)
        return pool->outside;
    while (pool->slabs != NULL) {
        struct skuai_stack_slab *slab = pool->slabs;
        size_t bytes = slab->mapped_bytes;
        pool->slabs = slab->next;
        skuai_tools_stack_taken(slab, bytes); /* what is mapped here next is nobody's free stack */
        munmap(slab, bytes);
    }
    return 0;
}

void skuai_stack_pool_stats(struct skuai_stack_pool *pool, struct skuai_stack_stats *stats)
{
    uint64_t in_caches = 0, in_pool = 0;
    skuai_lock_acquire(&pool->lock);
    for (uint32_t class_index = 0; class_index < SKUAI_STACK_CLASSES; class_index++) {
        in_pool += pool->shelves[class_index].warm_kept.count + pool->shelves[class_index].cold_count;
        for (struct skuai_stack_cache *cache = pool->caches; cache != NULL; cache = cache->next)
            in_caches += skuai_load_32(&cache->count[class_index], SKUAI_RELAXED); /* a count */
    }
    *stats = (struct skuai_stack_stats){ .cached = in_caches + in_pool,
                                         .peak = pool->outside_peak,
                                         .mappings = pool->nslabs,
                                         .mapped_bytes = pool->mapped_bytes,
                                         .best_guard = pool->best_guard };
    stats->live = pool->outside > in_caches ? pool->outside - in_caches : 0; /* owners may be at work meanwhile */
    skuai_lock_release(&pool->lock);
    stats->mappings += skuai_load_64(&pool->guard_mappings, SKUAI_RELAXED);
    for (int kind = 0; kind < SKUAI_GUARD_KINDS; kind++)
        stats->guards[kind] = skuai_load_64(&pool->guards[kind], SKUAI_RELAXED);
}

/* ---- slabs ---------------------------------------------------------------------------------------------------- */

/* One page more than the class's size, which the stagger uses a part of. */
static size_t stack_extent(const struct skuai_stack_pool *pool, uint32_t class_index)
{
    return round_up(class_size(class_index), pool->page_size) + pool->page_size;
}

static struct skuai_stack_slab *map_slab(const struct skuai_stack_pool *pool, uint32_t class_index, uint32_t total)
{
    size_t extent = stack_extent(pool, class_index);
    struct skuai_stack_slab *slab;
    size_t records = round_up(sizeof *slab + total * sizeof slab->slots[0], pool->page_size);
    size_t bytes = records + total * (pool->guard_size + extent);
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                      -1, 0);
    if (base == MAP_FAILED)
        return NULL;
#if defined(MADV_NOHUGEPAGE)
    (void)madvise(base, bytes, MADV_NOHUGEPAGE); /* else touching one stack may make two megabytes resident */
#endif
    slab = (struct skuai_stack_slab *)(void *)base;
    slab->mapped_bytes = bytes;
    slab->total = total;
    for (uint32_t i = 0; i < total; i++) {
        char *low = base + records + i * (pool->guard_size + extent) + pool->guard_size;
        slab->slots[i] = (struct skuai_stack_slot){ .low = low,
                                                    .size = extent - i % STAGGER * SKUAI_CACHE_LINE,
                                                    .class_index = class_index };
    }
    return slab;
}

/* A slab, with the pool's lock not held. Where address space is short one stack alone may still fit. */
static struct skuai_stack_slab *make_slab(const struct skuai_stack_pool *pool, uint32_t class_index)
{
    size_t fit = SLAB_BYTES / (pool->guard_size + stack_extent(pool, class_index));
    uint32_t total = fit < SLAB_STACKS_MIN ? SLAB_STACKS_MIN : (uint32_t)fit;
    struct skuai_stack_slab *slab = map_slab(pool, class_index, total);
    return slab != NULL ? slab : map_slab(pool, class_index, 1);
}

/* ---- between caches and the pool ------------------------------------------------------------------------------ */

static struct skuai_stack_slot *pop(struct skuai_stack_slot **list)
{
    struct skuai_stack_slot *slot = *list;
    *list = slot->next;
    return slot;
}

static void push(struct skuai_stack_slot **list, struct skuai_stack_slot *slot)
{
    slot->next = *list;
    *list = slot;
}

static void enlist_locked(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache)
{
    if (cache->pool == pool)
        return;
    cache->pool = pool;
    cache->next = pool->caches;
    cache->link = &pool->caches;
    if (cache->next != NULL)
        cache->next->link = &cache->next;
    pool->caches = cache;
}

static void delist_locked(struct skuai_stack_cache *cache)
{
    if (cache->pool == NULL)
        return;
    *cache->link = cache->next;
    if (cache->next != NULL)
        cache->next->link = cache->link;
    cache->pool = NULL;
}

/* The warmest of the pool's stacks, or NULL if there is none. */
static struct skuai_stack_slot *take_locked(struct skuai_stack_shelf *shelf)
{
    if (shelf->warm != NULL) {
        skuai_kept_remove(&shelf->warm_kept);
        return pop(&shelf->warm);
    }
    if (shelf->cold != NULL) {
        shelf->cold_count--;
        return pop(&shelf->cold);
    }
    if (shelf->slab != NULL && shelf->slab->fresh < shelf->slab->total)
        return &shelf->slab->slots[shelf->slab->fresh++];
    return NULL;
}

/* Up to `want` stacks from the pool's lists into the cache, whose warmest are to be used first: so the last one taken
 * goes to the bottom. */
static uint32_t refill(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, uint32_t class_index,
                       uint32_t want)
{
    struct skuai_stack_slot **slots = cache->slots[class_index];
    uint32_t got = 0;
    skuai_lock_acquire(&pool->lock);
    enlist_locked(pool, cache);
    while (got < want && (slots[want - 1 - got] = take_locked(&pool->shelves[class_index])) != NULL)
        got++;
    memmove(slots, slots + want - got, got * sizeof slots[0]);
    pool->outside += got;
    if (pool->outside > pool->outside_peak)
        pool->outside_peak = pool->outside;
    skuai_lock_release(&pool->lock);
    return got;
}

/* Makes fresh stacks, unless another worker has made some meanwhile. */
static int add_slab(struct skuai_stack_pool *pool, uint32_t class_index)
{
    struct skuai_stack_shelf *shelf = &pool->shelves[class_index];
    struct skuai_stack_slab *slab = make_slab(pool, class_index);
    if (slab == NULL)
        return -ENOMEM;
    skuai_lock_acquire(&pool->lock);
    bool is_wanted = shelf->slab == NULL || shelf->slab->fresh == shelf->slab->total;
    if (is_wanted) {
        shelf->slab = slab;
        slab->next = pool->slabs;
        pool->slabs = slab;
        pool->nslabs++;
        pool->mapped_bytes += slab->mapped_bytes;
    }
    skuai_lock_release(&pool->lock);
    if (!is_wanted)
        munmap(slab, slab->mapped_bytes);
    return 0;
}

static int fill_cache(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, uint32_t class_index)
{
    uint32_t want = (cache_capacity(class_index) + 1) / 2, got;
    while ((got = refill(pool, cache, class_index, want)) == 0) {
        int rc = add_slab(pool, class_index);
        if (rc < 0)
            return rc;
    }
    skuai_store_32(&cache->count[class_index], got, SKUAI_RELAXED); /* one writer; a count for stats */
    return 0;
}

/* Gives the `n` coldest stacks of a cache's class to the pool. */
static void spill(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, uint32_t class_index, uint32_t n)
{
    struct skuai_stack_slot **slots = cache->slots[class_index];
    struct skuai_stack_shelf *shelf = &pool->shelves[class_index];
    uint32_t count = skuai_load_32(&cache->count[class_index], SKUAI_RELAXED); /* our own */
    skuai_lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < n; i++) {
        push(&shelf->warm, slots[i]);
        skuai_kept_add(&shelf->warm_kept);
    }
    pool->outside -= n;
    skuai_lock_release(&pool->lock);
    memmove(slots, slots + n, (count - n) * sizeof slots[0]);
    skuai_store_32(&cache->count[class_index], count - n, SKUAI_RELAXED);
}

void skuai_stack_cache_init(struct skuai_stack_cache *cache) { memset(cache, 0, sizeof *cache); }

void skuai_stack_cache_flush(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache)
{
    for (uint32_t class_index = 0; class_index < SKUAI_STACK_CLASSES; class_index++)
        spill(pool, cache, class_index, skuai_load_32(&cache->count[class_index], SKUAI_RELAXED));
    skuai_lock_acquire(&pool->lock);
    delist_locked(cache);
    skuai_lock_release(&pool->lock);
}

/* ---- acquire and release -------------------------------------------------------------------------------------- */

int skuai_stack_acquire(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, size_t size,
                        struct skuai_stack *out)
{
    if (size > SKUAI_STACK_SIZE_MAX)
        return -EINVAL;
    uint32_t class_index = class_of(size != 0 ? size : pool->default_size);
    uint32_t count = skuai_load_32(&cache->count[class_index], SKUAI_RELAXED); /* our own */
    if (SKUAI_UNLIKELY(count == 0)) {
        int rc = fill_cache(pool, cache, class_index);
        if (rc < 0)
            return rc;
        count = skuai_load_32(&cache->count[class_index], SKUAI_RELAXED);
    }
    struct skuai_stack_slot *slot = cache->slots[class_index][count - 1];
    skuai_store_32(&cache->count[class_index], count - 1, SKUAI_RELAXED);
    if (SKUAI_UNLIKELY(slot->guard == SKUAI_GUARD_NONE_YET))
        slot->guard = skuai_guard_install(pool, slot->low - pool->guard_size);
    skuai_tools_stack_taken(slot->low, slot->size);
    *out = (struct skuai_stack){ .low = slot->low, .size = slot->size, .slot = slot };
    if (slot->guard == SKUAI_GUARD_CANARY)
        out->canary = (const uint64_t *)(void *)slot->low - SKUAI_CACHE_LINE / sizeof(uint64_t);
    return 0;
}

static void die_of_overflow(struct skuai_stack_pool *pool, const struct skuai_stack *stack)
{
    char text[128];
    snprintf(text, sizeof text, "a fiber overflowed its stack of %zu bytes; this was seen when it had ended",
             skuai_stack_nominal(stack));
    if (pool->log != NULL)
        pool->log(pool->log_context, text);
    else
        fprintf(stderr, "skua: %s\n", text);
    abort();
}

void skuai_stack_release(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache, struct skuai_stack *stack)
{
    struct skuai_stack_slot *slot = stack->slot;
    uint32_t class_index = slot->class_index;
    if (SKUAI_UNLIKELY(stack->canary != NULL) && !skuai_stack_canary_lives(stack->canary))
        die_of_overflow(pool, stack);
    if (SKUAI_UNLIKELY(class_size(class_index) > CACHE_BYTES))
        (void)madvise(slot->low, stack_extent(pool, class_index) - TOP_BYTES, MADV_DONTNEED);
    skuai_tools_stack_free(slot->low, slot->size);
    uint32_t capacity = cache_capacity(class_index);
    if (SKUAI_UNLIKELY(cache->pool == NULL)) {
        skuai_lock_acquire(&pool->lock);
        enlist_locked(pool, cache);
        skuai_lock_release(&pool->lock);
    }
    if (SKUAI_UNLIKELY(skuai_load_32(&cache->count[class_index], SKUAI_RELAXED) == capacity))
        spill(pool, cache, class_index, (capacity + 1) / 2);
    uint32_t count = skuai_load_32(&cache->count[class_index], SKUAI_RELAXED);
    cache->slots[class_index][count] = slot;
    skuai_store_32(&cache->count[class_index], count + 1, SKUAI_RELAXED); /* one writer; a count for stats */
    *stack = (struct skuai_stack){ .low = NULL };
}

/* ---- giving back ---------------------------------------------------------------------------------------------- */

/* K3, for up to `max` stacks of a class, in steps: the system calls are made without the lock. */
static uint32_t cool(struct skuai_stack_pool *pool, uint32_t class_index, uint32_t max)
{
    struct skuai_stack_shelf *shelf = &pool->shelves[class_index];
    struct skuai_stack_slot *batch[COOL_BATCH];
    uint32_t done = 0, n;
    do {
        skuai_lock_acquire(&pool->lock);
        uint32_t unneeded = skuai_kept_unneeded(&shelf->warm_kept, always_warm(class_index));
        for (n = 0; n < unneeded && n < COOL_BATCH && done + n < max; n++)
            batch[n] = pop(&shelf->warm);
        skuai_kept_give_back(&shelf->warm_kept, n);
        skuai_lock_release(&pool->lock);
        for (uint32_t i = 0; i < n; i++)
            (void)madvise(batch[i]->low, stack_extent(pool, class_index), MADV_DONTNEED);
        skuai_lock_acquire(&pool->lock);
        for (uint32_t i = 0; i < n; i++)
            push(&shelf->cold, batch[i]);
        shelf->cold_count += n;
        skuai_lock_release(&pool->lock);
        done += n;
    } while (n != 0);
    return done;
}

enum skuai_decay skuai_stack_pool_decay(struct skuai_stack_pool *pool, uint32_t max)
{
    uint32_t done = 0;
    bool later = false;
    for (uint32_t class_index = 0; class_index < SKUAI_STACK_CLASSES; class_index++)
        done += cool(pool, class_index, max - done);
    if (done == max)
        return SKUAI_DECAY_NOW;
    skuai_lock_acquire(&pool->lock);
    for (uint32_t class_index = 0; class_index < SKUAI_STACK_CLASSES; class_index++)
        later |= skuai_kept_renew(&pool->shelves[class_index].warm_kept, always_warm(class_index));
    skuai_lock_release(&pool->lock);
    return later ? SKUAI_DECAY_LATER : SKUAI_DECAY_NOTHING;
}

bool skuai_stack_pool_contains(const struct skuai_stack_pool *pool, const void *address)
{
    for (const struct skuai_stack_slab *slab = pool->slabs; slab != NULL; slab = slab->next)
        if ((uintptr_t)address - (uintptr_t)slab < slab->mapped_bytes)
            return true;
    return false;
}

size_t skuai_stack_nominal(const struct skuai_stack *stack) { return class_size(stack->slot->class_index); }

bool skuai_stack_guards(const struct skuai_stack_pool *pool, const struct skuai_stack *stack, const void *address)
{
    uintptr_t low = (uintptr_t)stack->low, at = (uintptr_t)address;
    return low != 0 && at < low && at >= low - pool->guard_size;
}
