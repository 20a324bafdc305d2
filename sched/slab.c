/* See slab.h. */
#include "sched/slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* AddressSanitizer sees dead slots as poisoned, but for their headers. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif
#if defined(SLAB_POISONS)
#include <sanitizer/asan_interface.h>
#define POISON(at, bytes) ASAN_POISON_MEMORY_REGION(at, bytes)
#define UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION(at, bytes)
#else
#define POISON(at, bytes) ((void)(at), (void)(bytes))
#define UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

enum { STATE_PARKED, STATE_CURRENT, STATE_PARTIAL, STATE_FULL, STATE_SPARE };
enum { CHUNKS = SKUAI_SLAB_REGION_BYTES / SKUAI_SLAB_CHUNK_BYTES, UNIT = 64, SPREAD = 29 };

struct skuai_slab_region {
    struct skuai_slab_chunk chunks[CHUNKS];
    struct skuai_slab_region *older;
};
enum { REGION_HEADER_BYTES = 8192 };
_Static_assert(sizeof(struct skuai_slab_region) <= REGION_HEADER_BYTES, "the headers leave no room for the region's");

/* Large ones are odd, and chunks begin at different lines as far as there is room: else the first lines of all slots,
 * which are what the runtime reads, fall into the same few sets of the cache. Of 50 tasks with 4 KiB each, woken in
 * turn, each run missed four lines, and now one in two runs misses one. */
static const uint8_t class_units[SKUAI_SLAB_CLASSES] = {
    2, 3, 4, 5, 6, 8, 10, 12, 17, 21, 25, 33, 41, 49, 65, 81, 97, 129
};
static const uint8_t unit_classes[SKUAI_SLAB_MAX_BYTES / UNIT + 1] = {
    0,  0,  0,  1,  2,  3,  4,  5,  5,  6,  6,  7,  7,  8,  8,  8,  8,  8,  9,  9,  9,  9,  10, 10, 10, 10, 11, 11,
    11, 11, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 12, 13, 13, 13, 13, 13, 13, 13, 13, 14, 14, 14, 14, 14, 14,
    14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 16, 16,
    16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17,
    17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17,
};

static skua_word64 *word_of(void *slot) { return slot; }
static skua_wordptr *link_of(void *slot) { return (skua_wordptr *)(void *)((char *)slot + 24); }

/* A dead slot's link, and `used`, are the owner's (or were handed to it by the acquire of S3): relaxed. */
static void **ahead_of(void *slot) { return (void **)(void *)((char *)slot + 16); }
static void *get_link(void *slot) { return skuai_load_ptr(link_of(slot), SKUAI_RELAXED); }
static void set_link(void *slot, void *next) { skuai_store_ptr(link_of(slot), next, SKUAI_RELAXED); }
static uint32_t get_used(const struct skuai_slab_chunk *chunk) { return skuai_load_32(&chunk->used, SKUAI_RELAXED); }
static void set_used(struct skuai_slab_chunk *chunk, uint32_t n) { skuai_store_32(&chunk->used, n, SKUAI_RELAXED); }

/* Relaxed: a thread that owns the chunk has written it itself; for others it is an address to notify (S4). */
static struct skuai_slab_cache *get_cache(const struct skuai_slab_chunk *chunk)
{
    return skuai_load_ptr(&chunk->cache, SKUAI_RELAXED);
}
static void set_cache(struct skuai_slab_chunk *chunk, struct skuai_slab_cache *cache)
{
    skuai_store_ptr(&chunk->cache, cache, SKUAI_RELAXED);
}

/* ---- regions and chunks of the set ---- */

static void *map_aligned(void)
{
    const size_t size = SKUAI_SLAB_REGION_BYTES, mask = size - 1;
    int saved = errno;
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED && ((uintptr_t)at & mask) != 0) { /* newer kernels align mappings of this size by themselves */
        (void)munmap(at, size);
        at = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at != MAP_FAILED) {
            size_t before = (size - ((uintptr_t)at & mask)) & mask;
            if (before != 0)
                (void)munmap(at, before);
            (void)munmap(at + before + size, size - before);
            at += before;
        }
    }
    errno = saved;
    return at == MAP_FAILED ? NULL : at;
}

static bool add_region_locked(struct skuai_slab_set *set)
{
    struct skuai_slab_region *region = map_aligned();
    if (region == NULL)
        return false;
    region->older = set->regions;
    set->regions = region;
    set->region_chunks = 0;
    set->bytes_mapped += SKUAI_SLAB_REGION_BYTES;
    return true;
}

static void poison_bodies(const struct skuai_slab_chunk *chunk)
{
    for (char *slot = chunk->slots; slot < chunk->end; slot += chunk->slot_bytes)
        POISON(slot + SKUAI_SLAB_HEADER_BYTES, chunk->slot_bytes - SKUAI_SLAB_HEADER_BYTES);
}

static struct skuai_slab_chunk *make_chunk_locked(struct skuai_slab_set *set, uint32_t class_index)
{
    if ((set->regions == NULL || set->region_chunks == CHUNKS) && !add_region_locked(set))
        return NULL;
    uint32_t index = SKUAI_READ(set->region_chunks), id = SKUAI_READ(set->chunks);
    SKUAI_WRITE(set->region_chunks, index + 1);
    SKUAI_WRITE(set->chunks, id + 1);
    struct skuai_slab_chunk *chunk = &set->regions->chunks[index]; /* zero, being new */
    char *base = (char *)set->regions + (size_t)index * SKUAI_SLAB_CHUNK_BYTES;
    size_t offset = index == 0 ? REGION_HEADER_BYTES : 0;
    chunk->set = set;
    chunk->id = id;
    chunk->class_index = class_index;
    chunk->slot_bytes = class_units[class_index] * (uint32_t)UNIT;
    size_t bytes = (SKUAI_SLAB_CHUNK_BYTES - offset) / chunk->slot_bytes * chunk->slot_bytes;
    offset += id * SPREAD % ((SKUAI_SLAB_CHUNK_BYTES - offset - bytes) / UNIT + 1) * UNIT;
    chunk->slots = chunk->fresh = chunk->touched_end = base + offset;
    chunk->end = chunk->slots + bytes;
    poison_bodies(chunk);
    return chunk;
}

/* Those with pages first. */
static struct skuai_slab_chunk *unpark_locked(struct skuai_slab_set *set, uint32_t class_index)
{
    for (uint32_t with_pages = 2; with_pages-- > 0;) {
        struct skuai_slab_chunk *chunk = SKUAI_READ(set->parked[class_index][with_pages]);
        if (chunk == NULL)
            continue;
        SKUAI_WRITE(set->parked[class_index][with_pages], chunk->next);
        chunk->next = NULL;
        if (with_pages)
            skuai_kept_remove(&set->kept[class_index]);
        else
            set->bytes_given_back -= (uint64_t)(chunk->end - chunk->slots);
        return chunk;
    }
    return NULL;
}

/* All the slots' pages, as the headers have pages of their own. False: the kernel refuses (locked memory; pages larger
 * than the headers' 8 KiB). */
static bool give_back_pages(struct skuai_slab_chunk *chunk)
{
    for (char *slot = chunk->slots; slot < chunk->touched_end; slot += chunk->slot_bytes) {
        /* Relaxed: the upper half is stable while dead, and its last writer's free is behind us. */
        uint32_t generation = (uint32_t)(skuai_load_64(word_of(slot), SKUAI_RELAXED) >> 32);
        if (generation > chunk->generation)
            chunk->generation = generation;
    }
    uintptr_t end = ((uintptr_t)chunk->slots | (SKUAI_SLAB_CHUNK_BYTES - 1)) + 1, begin = end - SKUAI_SLAB_CHUNK_BYTES;
    if (begin % SKUAI_SLAB_REGION_BYTES == 0)
        begin += REGION_HEADER_BYTES;
    int saved = errno;
    bool given = madvise((char *)begin, end - begin, MADV_DONTNEED) == 0;
    errno = saved;
    if (given)
        chunk->touched_end = chunk->slots;
    return given;
}

static void list_parked_locked(struct skuai_slab_chunk *chunk, bool with_pages)
{
    struct skuai_slab_set *set = chunk->set;
    struct skuai_slab_chunk **list = &set->parked[chunk->class_index][with_pages];
    chunk->next = SKUAI_READ(*list);
    SKUAI_WRITE(*list, chunk);
    if (with_pages) {
        skuai_kept_add(&set->kept[chunk->class_index]);
    } else {
        set->give_backs++;
        set->bytes_given_back += (uint64_t)(chunk->end - chunk->slots);
    }
}

/* S5. The caller owns the chunk, which is empty and in no list. */
static void park_chunk(struct skuai_slab_chunk *chunk)
{
    set_cache(chunk, NULL);
    chunk->state = STATE_PARKED;
    chunk->free = NULL;
    if (chunk->touched_end < chunk->fresh)
        chunk->touched_end = chunk->fresh;
    chunk->fresh = chunk->slots;
    skuai_lock_acquire(&chunk->set->lock);
    list_parked_locked(chunk, true);
    skuai_lock_release(&chunk->set->lock);
}

/* One of a class's, if there is one that nobody needed. Not under the lock meanwhile: nobody else knows the chunk. */
static bool give_back_one(struct skuai_slab_set *set, uint32_t class_index)
{
    struct skuai_slab_chunk *chunk = NULL;
    skuai_lock_acquire(&set->lock);
    if (skuai_kept_unneeded(&set->kept[class_index], set->options.keep_chunks) != 0) {
        chunk = SKUAI_READ(set->parked[class_index][1]);
        SKUAI_WRITE(set->parked[class_index][1], chunk->next);
        skuai_kept_give_back(&set->kept[class_index], 1);
    }
    skuai_lock_release(&set->lock);
    if (chunk == NULL)
        return false;
    bool given = give_back_pages(chunk);
    skuai_lock_acquire(&set->lock);
    list_parked_locked(chunk, !given);
    skuai_lock_release(&set->lock);
    return true;
}

enum skuai_decay skuai_slab_set_decay(struct skuai_slab_set *set, uint32_t max)
{
    bool later = false;
    for (uint32_t class_index = 0; class_index < SKUAI_SLAB_CLASSES; class_index++)
        while (max != 0 && give_back_one(set, class_index))
            max--;
    if (max == 0)
        return SKUAI_DECAY_NOW;
    /* No model test needs the step: what it guards here are plain counts, with no step of another thread between. */
    skuai_lock_acquire(&set->lock);
    for (uint32_t class_index = 0; class_index < SKUAI_SLAB_CLASSES; class_index++)
        later |= skuai_kept_renew(&set->kept[class_index], set->options.keep_chunks);
    skuai_lock_release(&set->lock);
    return later ? SKUAI_DECAY_LATER : SKUAI_DECAY_NOTHING;
}

/* ---- a cache's chunks ---- */

static void link_partial(struct skuai_slab_bin *bin, struct skuai_slab_chunk *chunk)
{
    chunk->prev = NULL;
    chunk->next = bin->partial;
    if (bin->partial != NULL)
        bin->partial->prev = chunk;
    bin->partial = chunk;
}

static void unlink_partial(struct skuai_slab_bin *bin, struct skuai_slab_chunk *chunk)
{
    if (chunk->prev != NULL)
        chunk->prev->next = chunk->next;
    else
        bin->partial = chunk->next;
    if (chunk->next != NULL)
        chunk->next->prev = chunk->prev;
    chunk->next = chunk->prev = NULL;
}

/* Puts a chunk of the cache's that is in no list where its count says. */
static void place(struct skuai_slab_cache *cache, struct skuai_slab_chunk *chunk)
{
    struct skuai_slab_bin *bin = &cache->bins[chunk->class_index];
    uint32_t used = get_used(chunk);
    chunk->watch = 0;
    if (used == 0 && bin->spare != NULL) {
        park_chunk(chunk);
    } else if (used == 0) {
        chunk->state = STATE_SPARE;
        bin->spare = chunk;
    } else if (chunk->free != NULL || chunk->fresh < chunk->end) {
        chunk->state = STATE_PARTIAL;
        link_partial(bin, chunk);
    } else {
        chunk->state = STATE_FULL; /* S1: in no list */
        chunk->watch = used - 1;
    }
}

/* Slots have come back to a chunk that may have been full or may be empty now. */
static void settle(struct skuai_slab_cache *cache, struct skuai_slab_chunk *chunk)
{
    if (chunk->state == STATE_CURRENT)
        return;
    if (chunk->state == STATE_PARTIAL) {
        if (get_used(chunk) != 0)
            return;
        unlink_partial(&cache->bins[chunk->class_index], chunk);
    }
    place(cache, chunk);
}

static void notify(struct skuai_slab_cache *cache, struct skuai_slab_chunk *chunk)
{
    void *head = skuai_load_ptr(&cache->notified, SKUAI_RELAXED); /* the exchange below decides */
    do
        skuai_store_ptr(&chunk->notify_next, head, SKUAI_RELAXED); /* published by the exchange */
    while (!skuai_cas_ptr(&cache->notified, &head, chunk, SKUAI_RELEASE)); /* pairs with take_notified's acquire */
}

/* S2, by a thread that does not own the chunk. */
static void free_remote(struct skuai_slab_cache *cache, struct skuai_slab_chunk *chunk, void *slot)
{
    if (cache != NULL) {
        void **latest = &cache->freed_remotely[cache->nfreed_remotely++ % SKUAI_SLAB_AHEAD];
        *ahead_of(slot) = *latest;
        *latest = slot;
    }
    void *head = skuai_load_ptr(&chunk->remote, SKUAI_RELAXED); /* the exchange below decides */
    do
        set_link(slot, head);
    while (!skuai_cas_ptr(&chunk->remote, &head, slot, SKUAI_RELEASE)); /* pairs with collect's acquire */
    if (head == NULL)
        notify(get_cache(chunk), chunk);
}

static void collect(struct skuai_slab_cache *cache, struct skuai_slab_chunk *chunk)
{
    /* Acquire: pairs with the release of each push (all are in one release sequence): the links, and what the freeing
     * threads last did to the slots. */
    void *first = skuai_exchange_ptr(&chunk->remote, NULL, SKUAI_ACQUIRE), *last = first, *next;
    uint32_t count = 1;
    for (; (next = get_link(last)) != NULL; last = next) {
        __builtin_prefetch(*ahead_of(last), 1);
        count++;
    }
    set_link(last, chunk->free);
    chunk->free = first;
    set_used(chunk, get_used(chunk) - count);
    settle(cache, chunk);
}

/* S3 and S4: what has arrived at `at`, for `cache`. */
static void take_notified(struct skuai_slab_cache *cache, struct skuai_slab_cache *at)
{
    if (skuai_load_ptr(&at->notified, SKUAI_RELAXED) == NULL) /* a look that spares the exchange */
        return;
    /* Acquire: pairs with notify's release: the links, and that each remote list has something in it. */
    struct skuai_slab_chunk *chunk = skuai_exchange_ptr(&at->notified, NULL, SKUAI_ACQUIRE), *next;
    for (; chunk != NULL; chunk = next) {
        /* Before the list is taken: the next notifier overwrites it. No model test needs the sequence: with `owner`. */
        next = skuai_load_ptr(&chunk->notify_next, SKUAI_RELAXED);
        struct skuai_slab_cache *owner = get_cache(chunk);
        if (owner == cache)
            collect(cache, chunk);
        else
            notify(owner, chunk);
    }
}

static void drain(struct skuai_slab_cache *cache)
{
    take_notified(cache, cache);
    struct skuai_slab_set *set = cache->set;
    if (cache == &set->shared) /* shared_lock is held */
        for (struct skuai_slab_cache *retired = set->retired; retired != NULL; retired = retired->next_retired)
            take_notified(cache, retired);
}

static struct skuai_slab_chunk *take_from_bin(struct skuai_slab_bin *bin)
{
    struct skuai_slab_chunk *chunk = bin->partial;
    if (chunk != NULL)
        unlink_partial(bin, chunk);
    else if ((chunk = bin->spare) != NULL)
        bin->spare = NULL;
    return chunk;
}

/* From elsewhere: what other threads and retired workers left, a parked one, a new one. NULL: no memory. */
static struct skuai_slab_chunk *adopt(struct skuai_slab_cache *cache, uint32_t class_index)
{
    struct skuai_slab_set *set = cache->set;
    struct skuai_slab_chunk *chunk = NULL;
    if (cache != &set->shared) {
        skuai_lock_acquire(&set->shared_lock);
        drain(&set->shared);
        chunk = take_from_bin(&set->shared.bins[class_index]);
        if (chunk != NULL)
            set_cache(chunk, cache); /* under the lock: who drains the shared cache next must not take it for its own */
        skuai_lock_release(&set->shared_lock);
    }
    if (chunk == NULL) {
        skuai_lock_acquire(&set->lock);
        chunk = unpark_locked(set, class_index);
        if (chunk == NULL)
            chunk = make_chunk_locked(set, class_index);
        skuai_lock_release(&set->lock);
        if (chunk != NULL)
            set_cache(chunk, cache);
    }
    return chunk;
}

/* A current chunk with a free slot; false: no memory. */
static bool refill(struct skuai_slab_cache *cache, uint32_t class_index)
{
    struct skuai_slab_bin *bin = &cache->bins[class_index];
    drain(cache);
    if (bin->current != NULL && bin->current->free != NULL)
        return true;
    struct skuai_slab_chunk *chunk = take_from_bin(bin);
    if (chunk == NULL)
        chunk = adopt(cache, class_index);
    if (chunk == NULL)
        return false; /* the exhausted one stays current: a later try looks at it again */
    if (bin->current != NULL)
        place(cache, bin->current);
    chunk->state = STATE_CURRENT;
    chunk->watch = UINT32_MAX; /* never falls so low */
    bin->current = chunk;
    return true;
}

/* Pops from the free list. */
static void *pop(struct skuai_slab_chunk *chunk, void *slot, size_t bytes)
{
    chunk->free = get_link(slot);
    set_used(chunk, get_used(chunk) + 1);
    UNPOISON(slot, bytes);
    return slot;
}

static __attribute__((noinline)) void *alloc_slow(struct skuai_slab_cache *cache, size_t bytes, uint32_t class_index)
{
    struct skuai_slab_bin *bin = &cache->bins[class_index];
    struct skuai_slab_chunk *chunk = bin->current;
    if (chunk == NULL || chunk->fresh == chunk->end) {
        if (!refill(cache, class_index))
            return NULL;
        chunk = bin->current;
        if (chunk->free != NULL)
            return pop(chunk, chunk->free, bytes);
    }
    void *slot = chunk->fresh;
    chunk->fresh += chunk->slot_bytes;
    set_used(chunk, get_used(chunk) + 1);
    UNPOISON(slot, bytes);
    /* A page that is read first is mapped twice, and the second time other processors are interrupted. No model test
     * needs the step: it is for that alone. */
    *ahead_of(slot) = NULL;
    return slot;
}

void *skuai_slab_alloc(struct skuai_slab_cache *cache, size_t bytes)
{
    if (SKUAI_UNLIKELY(bytes > SKUAI_SLAB_MAX_BYTES))
        return NULL;
    uint32_t class_index = unit_classes[(bytes + UNIT - 1) / UNIT];
    struct skuai_slab_chunk *chunk = cache->bins[class_index].current;
    if (SKUAI_LIKELY(chunk != NULL) && SKUAI_LIKELY(chunk->free != NULL))
        return pop(chunk, chunk->free, bytes);
    return alloc_slow(cache, bytes, class_index);
}

void *skuai_slab_alloc_shared(struct skuai_slab_set *set, size_t bytes)
{
    skuai_lock_acquire(&set->shared_lock);
    void *slot = skuai_slab_alloc(&set->shared, bytes);
    skuai_lock_release(&set->shared_lock);
    return slot;
}

void skuai_slab_free(struct skuai_slab_cache *cache, void *slot)
{
    struct skuai_slab_chunk *chunk = skuai_slab_chunk_of(slot);
    POISON((char *)slot + SKUAI_SLAB_HEADER_BYTES, chunk->slot_bytes - SKUAI_SLAB_HEADER_BYTES);
    if (SKUAI_UNLIKELY(get_cache(chunk) != cache)) {
        free_remote(cache, chunk, slot);
        return;
    }
    uint32_t used = get_used(chunk) - 1;
    set_link(slot, chunk->free);
    chunk->free = slot;
    set_used(chunk, used);
    if (SKUAI_UNLIKELY(used == chunk->watch))
        settle(cache, chunk);
}

void skuai_slab_cache_init(struct skuai_slab_cache *cache, struct skuai_slab_set *set)
{
    memset(cache, 0, sizeof *cache);
    cache->set = set;
}

void skuai_slab_cache_trim(struct skuai_slab_cache *cache) { drain(cache); }

/* Calls `visit` for each chunk that there was when it began. */
static void for_each_chunk(struct skuai_slab_set *set, void (*visit)(struct skuai_slab_chunk *chunk, void *arg),
                           void *arg)
{
    skuai_lock_acquire(&set->lock);
    struct skuai_slab_region *region = set->regions; /* older ones are full and stay */
    uint32_t count = SKUAI_READ(set->region_chunks);
    skuai_lock_release(&set->lock);
    for (; region != NULL; region = region->older, count = CHUNKS)
        for (uint32_t i = 0; i < count; i++)
            visit(&region->chunks[i], arg);
}

static void hand_to_shared(struct skuai_slab_chunk *chunk, void *arg)
{
    struct skuai_slab_cache *cache = arg;
    if (get_cache(chunk) != cache)
        return;
    chunk->next = chunk->prev = NULL; /* the cache's lists are given up as a whole */
    set_cache(chunk, &chunk->set->shared);
    place(&chunk->set->shared, chunk);
}

void skuai_slab_cache_retire(struct skuai_slab_cache *cache)
{
    struct skuai_slab_set *set = cache->set;
    drain(cache); /* no model test needs the step: what has arrived is found at a retired cache, too, but later */
    skuai_lock_acquire(&set->shared_lock);
    memset(cache->bins, 0, sizeof cache->bins);
    for_each_chunk(set, hand_to_shared, cache);
    if (!cache->was_retired) {
        cache->was_retired = true;
        cache->next_retired = set->retired;
        set->retired = cache;
    }
    skuai_lock_release(&set->shared_lock);
}

/* ---- the set ---- */

void skuai_slab_set_init(struct skuai_slab_set *set, void *owner, const struct skuai_slab_options *options)
{
    memset(set, 0, sizeof *set);
    set->owner = owner;
    if (options != NULL)
        set->options = *options;
    skuai_slab_cache_init(&set->shared, set);
}

static void count_used(struct skuai_slab_chunk *chunk, void *arg) { *(uint64_t *)arg += get_used(chunk); }

struct skuai_slab_stats skuai_slab_set_stats(struct skuai_slab_set *set)
{
    struct skuai_slab_stats stats = {0};
    for_each_chunk(set, count_used, &stats.live);
    skuai_lock_acquire(&set->lock);
    stats.chunks = SKUAI_READ(set->chunks);
    stats.bytes_mapped = set->bytes_mapped;
    stats.bytes_given_back = set->bytes_given_back;
    stats.give_backs = set->give_backs;
    skuai_lock_release(&set->lock);
    return stats;
}

/* The chunk was made under the lock, before the address was passed on: if this came earlier in the lock's order the
 * address could not have been seen. No model test runs this: reports only. */
void skuai_slab_set_catch_up(struct skuai_slab_set *set)
{
    skuai_lock_acquire(&set->lock);
    skuai_lock_release(&set->lock);
}

struct each_slot {
    void (*visit)(void *slot, void *arg);
    void *arg;
};

static void visit_slots(struct skuai_slab_chunk *chunk, void *arg)
{
    const struct each_slot *each = arg;
    for (char *slot = chunk->slots; slot + chunk->slot_bytes <= chunk->end; slot += chunk->slot_bytes)
        each->visit(slot, each->arg);
}

void skuai_slab_each_slot(struct skuai_slab_set *set, void (*visit)(void *slot, void *arg), void *arg)
{
    struct each_slot each = {visit, arg};
    for_each_chunk(set, visit_slots, &each);
}

static void count_leaks(struct skuai_slab_chunk *chunk, void *arg)
{
    uint64_t *leaks = arg;
    *leaks += get_used(chunk);
    /* Relaxed: those who freed do not use the set any more. */
    for (void *slot = skuai_load_ptr(&chunk->remote, SKUAI_RELAXED); slot != NULL; slot = get_link(slot))
        --*leaks;
}

uint64_t skuai_slab_set_fini(struct skuai_slab_set *set)
{
    uint64_t leaks = 0;
    for_each_chunk(set, count_leaks, &leaks);
    for (struct skuai_slab_region *region = set->regions, *older; region != NULL; region = older) {
        older = region->older;
        UNPOISON(region, SKUAI_SLAB_REGION_BYTES); /* the shadow outlives the mapping */
        (void)munmap(region, SKUAI_SLAB_REGION_BYTES);
    }
    memset(set, 0, sizeof *set);
    return leaks;
}
