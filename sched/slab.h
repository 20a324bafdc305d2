/* Memory for tasks: type-stable, recycled per worker, given back when unused.
 *
 *     region   2 MiB, aligned, mapped on demand:  [ 32 chunk headers, 8 KiB | rest of chunk 0 | chunk 1 | ... 31 ]
 *     chunk    64 KiB, aligned, slots of one size class for ever; owned by one cache at a time
 *     slot     begins with 64 bytes that stay a task header for as long as the set lives, dead or alive
 *
 * Headers lie together and not in their chunks: at a stride of 64 KiB they would all fall into one set of the cache.
 *
 * Of a slot's header the slab knows three words (sched/task.h):
 *   offset 0   the state word. Its upper half is a generation, which the caller raises before it frees. A late wake
 *              may set low bits of a dead slot's word at any time: the slab never writes the word and never reads the
 *              low half.
 *   offset 24  the link, the slab's own while the slot is dead.
 *   offset 16  likewise: a hint, if it was freed remotely, of what lies a few places behind it in the remote list. That
 *              list is walked through memory that others have written last, and each link is only known when the slot
 *              before has come from the other processor's cache.
 *
 * Protocol:
 *   S1 alloc   from the cache's current chunk: its free list, then its never used slots; no atomic operation. A chunk
 *              that has run out is forgotten (nobody but its slots knows it) until a slot comes back.
 *   S2 free    by the owner: the free list. By anybody else: pushed on the chunk's `remote` list; who finds that list
 *              empty also pushes the chunk on its cache's `notified` list.
 *   S3 drain   the owner takes `notified` whole, then the `remote` list of each chunk on it, whole: so no ABA. A
 *              chunk's remote list is taken in no other way, so a chunk is on at most one notified list, and it cannot
 *              be parked before a notification that is under way has arrived, since its slots count as used till then.
 *   S4 move    a retired cache's chunks go to the shared cache, where workers may adopt them. A notification may then
 *              arrive at a former owner: whoever drains it sends it on. The shared cache drains retired ones' too.
 *   S5 park    an empty chunk beyond one spare per cache and class goes to the set, where any cache finds it again for
 *              the same class. Of those that nobody needed for a period (decay.h), beyond `keep_chunks` per class, the
 *              pages are given back: mapped, zero, zero meaning dead.
 *
 * The memory of a remote free is out of use until its owner's next drain: when it runs out of slots of that class, or
 * goes to sleep (skuai_slab_cache_trim). To a sleeping worker's cache it comes back when the guard wakes the worker for
 * it at the end of a period (decay.h).
 * Caches and the set are type-stable too: a cache's memory outlives the set's last free.
 */
#ifndef SKUAI_SLAB_H
#define SKUAI_SLAB_H

#include <stddef.h>

#include "sched/decay.h"
#include "sched/lock.h"

enum {
    SKUAI_SLAB_HEADER_BYTES = 64,  /* of a slot: readable and writable while dead, too */
    SKUAI_SLAB_MAX_BYTES = 8192,
    SKUAI_SLAB_CLASSES = 18,
    SKUAI_SLAB_CHUNK_BYTES = 1 << 16,
    SKUAI_SLAB_REGION_BYTES = 1 << 21,
    SKUAI_SLAB_INDEX_BITS = 9,     /* slots per chunk: 512 of 128 bytes */
    SKUAI_SLAB_AHEAD = 8           /* places; 4 is slower, 16 the same */
};

struct skuai_slab_set;
struct skuai_slab_cache;
struct skuai_slab_region;

struct skuai_slab_chunk {
    /* constant once made, but for `cache`, which changes with the owner */
    skua_wordptr cache __attribute__((aligned(SKUAI_CACHE_LINE)));
    struct skuai_slab_set *set;
    char *slots;                      /* the first one */
    char *end;
    uint32_t slot_bytes;
    uint32_t class_index;
    uint32_t id;                      /* dense, in the order of making */
    /* the owning cache's thread */
    void *free __attribute__((aligned(SKUAI_CACHE_LINE)));
    char *fresh;                      /* the first slot not used since the chunk was parked or made */
    char *touched_end;                /* of the slots that have been used since the pages were new */
    skua_word32 used;                 /* written by the owner, read by statistics */
    uint32_t watch;                   /* what `used` falls to when the chunk's state changes */
    uint32_t state;
    uint32_t generation;              /* the highest that was forgotten with given back pages */
    struct skuai_slab_chunk *next, *prev;
    /* threads that free */
    skua_wordptr remote __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_wordptr notify_next;
};

struct skuai_slab_bin {
    struct skuai_slab_chunk *current; /* allocated from */
    struct skuai_slab_chunk *partial; /* others with a free slot */
    struct skuai_slab_chunk *spare;   /* an empty one */
};

/* One per worker, and a shared one for other threads. Used by one thread at a time. */
struct skuai_slab_cache {
    struct skuai_slab_set *set;
    struct skuai_slab_bin bins[SKUAI_SLAB_CLASSES];
    void *freed_remotely[SKUAI_SLAB_AHEAD]; /* the latest that this thread has freed and others own, round robin */
    uint32_t nfreed_remotely;
    /* guarded by the set's shared_lock */
    struct skuai_slab_cache *next_retired;
    bool was_retired;
    /* threads that free */
    skua_wordptr notified __attribute__((aligned(SKUAI_CACHE_LINE)));
};

struct skuai_slab_options {
    uint32_t keep_chunks; /* empty chunks of a class in the set that keep their pages for ever */
};

struct skuai_slab_set {
    void *owner;
    struct skuai_slab_options options;
    /* taken before `lock` */
    struct skuai_lock shared_lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    struct skuai_slab_cache shared;   /* guarded by shared_lock */
    struct skuai_slab_cache *retired; /* guarded by shared_lock */
    struct skuai_lock lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* guarded by lock */
    struct skuai_slab_region *regions; /* the newest first */
    uint32_t region_chunks;            /* made in the newest */
    uint32_t chunks;
    struct skuai_kept kept[SKUAI_SLAB_CLASSES]; /* parked with their pages */
    uint64_t bytes_mapped, bytes_given_back, give_backs;
    struct skuai_slab_chunk *parked[SKUAI_SLAB_CLASSES][2]; /* [with their pages], by `next` */
};

struct skuai_slab_stats {
    uint64_t live;             /* slots; those freed remotely count until the next drain */
    uint64_t chunks;
    uint64_t bytes_mapped;
    uint64_t bytes_given_back; /* of chunks that are parked without pages now */
    uint64_t give_backs;       /* ever */
};

/* The set must not move. */
void skuai_slab_set_init(struct skuai_slab_set *set, void *owner, const struct skuai_slab_options *options);

/* Unmaps everything; no other thread may use the set any more. Returns how many slots were still allocated. */
uint64_t skuai_slab_set_fini(struct skuai_slab_set *set);

/* Any thread, at any time. */
struct skuai_slab_stats skuai_slab_set_stats(struct skuai_slab_set *set);

/* Visits every slot, dead ones included, in the order of slot ids within a region, newest region first; only their
 * headers may be looked at. Any thread; slots change meanwhile. */
void skuai_slab_each_slot(struct skuai_slab_set *set, void (*visit)(void *slot, void *arg), void *arg);

/* By who has come by a slot's address in a way that orders nothing: from now on its chunk's header, and so its id, may
 * be read. Any thread. */
void skuai_slab_set_catch_up(struct skuai_slab_set *set);

void skuai_slab_cache_init(struct skuai_slab_cache *cache, struct skuai_slab_set *set);

/* Leaves the cache's chunks to the others. By its thread, or when that has ended. It may be used again. */
void skuai_slab_cache_retire(struct skuai_slab_cache *cache);

/* Takes in remote frees and gives back what became empty: before the worker sleeps. One load if there are none. */
void skuai_slab_cache_trim(struct skuai_slab_cache *cache);

/* Gives the pages of up to `max` chunks back that nobody needed for a period (decay.h). Any thread, one at a time. */
enum skuai_decay skuai_slab_set_decay(struct skuai_slab_set *set, uint32_t max);

/* Have others freed slots of this cache's since its last drain? Any thread: a hint. */
SKUAI_INLINE bool skuai_slab_cache_is_notified(const struct skuai_slab_cache *cache)
{
    return skuai_load_ptr(&cache->notified, SKUAI_RELAXED) != NULL;
}

/* A slot of at least `bytes`, aligned to 64, or NULL: more than SKUAI_SLAB_MAX_BYTES, or no memory (errno is left
 * alone). The upper half of the state word is what the slot's last user left there, or zero: then see
 * skuai_slab_fresh_generation(). All else is undefined. */
void *skuai_slab_alloc(struct skuai_slab_cache *cache, size_t bytes);

/* The same for a thread without a cache: takes a lock. */
void *skuai_slab_alloc_shared(struct skuai_slab_set *set, size_t bytes);

/* `cache` is the calling thread's, of whichever set, or NULL. The generation has been raised. */
void skuai_slab_free(struct skuai_slab_cache *cache, void *slot);

SKUAI_INLINE struct skuai_slab_chunk *skuai_slab_chunk_of(const void *slot)
{
    uintptr_t region = (uintptr_t)slot & ~(uintptr_t)(SKUAI_SLAB_REGION_BYTES - 1);
    uintptr_t index = ((uintptr_t)slot & (SKUAI_SLAB_REGION_BYTES - 1)) / SKUAI_SLAB_CHUNK_BYTES;
    return (struct skuai_slab_chunk *)region + index;
}

/* For any slot, dead or alive: what the set was given, usually the runtime. */
SKUAI_INLINE void *skuai_slab_owner(const void *slot) { return skuai_slab_chunk_of(slot)->set->owner; }

/* Names the slot without its address: the same in each run that makes chunks in the same order. */
SKUAI_INLINE uint64_t skuai_slab_slot_id(const void *slot)
{
    const struct skuai_slab_chunk *chunk = skuai_slab_chunk_of(slot);
    uint64_t index = (uint64_t)((const char *)slot - chunk->slots) / chunk->slot_bytes;
    return (uint64_t)chunk->id << SKUAI_SLAB_INDEX_BITS | index;
}

/* Where a slot's generations start if its word reads 0 there: above all that the slot may have had before its pages
 * were given back. By who has just allocated it. Generations wrap after 2^32 uses of one slot. */
SKUAI_INLINE uint32_t skuai_slab_fresh_generation(const void *slot)
{
    return skuai_slab_chunk_of(slot)->generation + 1;
}

#endif
