/* Task memory (sched/slab.c, S2 … S5): slots freed by others against their owner's drain, against caches that retire
 * and others that adopt their chunks. No slot is lost or handed out twice, and a slot's next user comes after its last
 * one. A large class is used: thirteen slots in the first chunk. The kernel's part is a static region.
 */
/* model-sources: sched/slab.c */
/* model-defines: NDEBUG=1 mmap=model_mmap munmap=model_munmap madvise=model_madvise */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "model/mc.h"
#include "sched/slab.h"

/* Slots of so many bytes, whose class is number CLASS (slab.c): FIRST of them in the first chunk, NEXT in others. */
enum { FIRST = 13, NEXT = 15, CHUNKS = 5, CACHES = 4, GENERATION = 7, BYTES = 4096, CLASS = 14 };

static char region[SKUAI_SLAB_REGION_BYTES] __attribute__((aligned(SKUAI_SLAB_REGION_BYTES)));
static struct skuai_slab_set set;
static struct skuai_slab_cache caches[CACHES];
static struct slot {
    char header[SKUAI_SLAB_HEADER_BYTES];
    int body; /* plain: its user's */
} *first[FIRST], *second[NEXT]; /* of the first two chunks */
static bool is_used[FIRST + (CHUNKS - 1) * NEXT];
static unsigned used;

/* ---- the kernel ---- */

void *model_mmap(void *at, size_t size, int protection, int flags, int descriptor, __off_t offset)
{
    (void)at;
    (void)protection;
    (void)flags;
    (void)descriptor;
    (void)offset;
    mc_assert(size == sizeof region && set.regions == NULL, "one region is enough");
    return region;
}
int model_munmap(void *at, size_t size)
{
    mc_assert(at == region && size == sizeof region, "nothing else was mapped");
    return 0;
}
/* It may refuse. The pages of slots that go back are zero, and theirs who takes them next. */
int model_madvise(void *at, size_t size, int advice)
{
    (void)advice;
    if (mc_choose(2) == 1)
        return -1;
    mc_free(at, size);
    const struct skuai_slab_chunk *chunk = skuai_slab_chunk_of(at);
    for (char *slot = chunk->slots; slot < chunk->end; slot += chunk->slot_bytes)
        memset(slot, 0, sizeof(struct slot));
    mc_alloc(at, size);
    return 0;
}

/* ---- users ---- */

static bool *flag_of(const void *slot)
{
    uint64_t id = skuai_slab_slot_id(slot), chunk = id >> SKUAI_SLAB_INDEX_BITS;
    uint64_t index = id & ((1u << SKUAI_SLAB_INDEX_BITS) - 1);
    mc_assert(chunk < CHUNKS && index < (chunk == 0 ? FIRST : NEXT), "no slot of a chunk");
    return &is_used[chunk == 0 ? index : FIRST + (chunk - 1) * NEXT + index];
}
static struct slot *taken(void *pointer)
{
    struct slot *slot = pointer;
    mc_assert(slot != NULL, "there is memory");
    mc_assert(!*flag_of(slot), "a slot was handed out twice");
    *flag_of(slot) = true;
    used++;
    SKUAI_WRITE(slot->body, 1);
    return slot;
}
static struct slot *take(unsigned cache) { return taken(skuai_slab_alloc(&caches[cache], BYTES)); }
static struct slot *take_shared(void) { return taken(skuai_slab_alloc_shared(&set, BYTES)); }
static void give(struct skuai_slab_cache *by, struct slot *slot)
{
    SKUAI_WRITE(slot->body, 0);
    *flag_of(slot) = false;
    used--;
    skuai_slab_free(by, slot);
}

/* ---- threads ---- */

static void freer(void *arg) { give(NULL, first[(uintptr_t)arg]); }
static void worker_freer(void *arg) { give(&caches[2], first[(uintptr_t)arg]); }
static void owner_drains(void *arg)
{
    (void)arg;
    skuai_slab_cache_trim(&caches[0]);
    give(&caches[0], first[2]);
    skuai_slab_cache_trim(&caches[0]);
}
static void owner_takes(void *arg)
{
    (void)arg;
    take(0);
    take(0);
}
static void owner_retires(void *arg) { (void)arg; skuai_slab_cache_retire(&caches[0]); }
static void adopter(void *arg) { take((unsigned)(uintptr_t)arg); }
static void adopter_and_drainer(void *arg)
{
    take((unsigned)(uintptr_t)arg);
    skuai_slab_cache_trim(&caches[(uintptr_t)arg]);
}
static void outsider(void *arg) { (void)arg; take_shared(); }

/* The first cache has taken all of the first chunk. */
static void reset(void)
{
    const struct skuai_slab_options options = {.keep_chunks = CHUNKS};
    memset(region, 0, 8192); /* the headers */
    memset(is_used, 0, sizeof is_used);
    used = 0;
    skuai_slab_set_init(&set, NULL, &options);
    for (unsigned i = 0; i < CACHES; i++) {
        skuai_slab_cache_init(&caches[i], &set);
        mc_name(&caches[i].notified, "cache%u.notified", i);
    }
    for (unsigned i = 0; i < FIRST; i++)
        first[i] = take(0);
    struct skuai_slab_chunk *chunk = skuai_slab_chunk_of(first[0]);
    mc_name(&set.shared.notified, "shared.notified");
    mc_name(&set.shared_lock, "shared_lock");
    mc_name(&set.lock, "set.lock");
    mc_name(&chunk->remote, "chunk.remote");
    mc_name(&chunk->notify_next, "chunk.notify_next");
    mc_name(&chunk->cache, "chunk.cache");
    mc_name(&chunk->used, "chunk.used");
}
/* Of the first chunk some slots are free, and its cache is gone. */
static void reset_retired(void)
{
    reset();
    give(&caches[0], first[FIRST - 2]);
    give(&caches[0], first[FIRST - 1]);
    skuai_slab_cache_retire(&caches[0]);
}

/* All that is not used can be had, each slot once, without a new chunk. */
static void finish(void)
{
    for (unsigned i = 0; i < CACHES; i++)
        if (!caches[i].was_retired) /* what arrives at a retired one is the shared one's to find */
            skuai_slab_cache_retire(&caches[i]);
    skuai_lock_acquire(&set.shared_lock); /* what the last ones have sent on */
    skuai_slab_cache_trim(&set.shared);
    skuai_lock_release(&set.shared_lock);
    struct skuai_slab_stats stats = skuai_slab_set_stats(&set);
    mc_assert(stats.live == used, "a free slot counts as used, or the reverse");
    unsigned slots = FIRST + ((unsigned)stats.chunks - 1) * NEXT;
    skuai_lock_acquire(&set.shared_lock);
    while (used < slots)
        taken(skuai_slab_alloc(&set.shared, BYTES));
    skuai_lock_release(&set.shared_lock);
    mc_assert(skuai_slab_set_stats(&set).chunks == stats.chunks, "a slot was lost");
    for (unsigned with_pages = 0; with_pages < 2; with_pages++)
        mc_assert(SKUAI_READ(set.parked[CLASS][with_pages]) == NULL, "parked, and full of users");
}

#define SEARCH .stale = 2, .max_executions = 300000

static void drain_setup(void)
{
    reset();
    mc_thread(owner_drains, NULL);
    mc_thread(freer, (void *)0);
    mc_thread(worker_freer, (void *)1);
}
MC_TEST(drain, .setup = drain_setup, .finish = finish, SEARCH);

static void refill_setup(void)
{
    reset();
    mc_thread(owner_takes, NULL);
    mc_thread(freer, (void *)0);
    mc_thread(freer, (void *)1);
}
MC_TEST(refill, .setup = refill_setup, .finish = finish, SEARCH);

/* Slots of two chunks come back at once. */
static void second_freer(void *arg) { give(NULL, second[(uintptr_t)arg]); }
static void two_chunks_setup(void)
{
    reset();
    for (unsigned i = 0; i < NEXT; i++)
        second[i] = take(0);
    mc_thread(owner_takes, NULL);
    mc_thread(freer, (void *)0);
    mc_thread(second_freer, (void *)0);
}
MC_TEST(two_chunks, .setup = two_chunks_setup, .finish = finish, SEARCH);

static void retire_setup(void)
{
    reset();
    mc_thread(owner_retires, NULL);
    mc_thread(freer, (void *)0);
    mc_thread(freer, (void *)1);
}
MC_TEST(retire, .setup = retire_setup, .finish = finish, SEARCH);

static void retire_and_adopt_setup(void)
{
    reset();
    mc_thread(owner_retires, NULL);
    mc_thread(freer, (void *)0);
    mc_thread(adopter_and_drainer, (void *)1);
}
MC_TEST(retire_and_adopt, .setup = retire_and_adopt_setup, .finish = finish, SEARCH);

static void adopt_setup(void)
{
    reset_retired();
    mc_thread(freer, (void *)0);
    mc_thread(adopter, (void *)1);
    mc_thread(outsider, NULL);
}
MC_TEST(adopt, .setup = adopt_setup, .finish = finish, SEARCH);

static void two_adopters_setup(void)
{
    reset_retired();
    mc_thread(freer, (void *)0);
    mc_thread(adopter_and_drainer, (void *)1);
    mc_thread(adopter_and_drainer, (void *)2);
}
MC_TEST(two_adopters, .setup = two_adopters_setup, .finish = finish, SEARCH);

/* ---- chunks that become empty (S5) ---- */

static void owner_empties(void *arg)
{
    give(&caches[0], second[0]);
    owner_retires(arg);
}
/* The first chunk is the spare one already, the second one's last slot comes back. */
static void empties_setup(void)
{
    reset();
    for (unsigned i = 0; i < NEXT; i++)
        second[i] = take(0);
    take(0); /* they are not the current one */
    for (unsigned i = 0; i < FIRST; i++)
        give(&caches[0], first[i]);
    mc_assert(caches[0].bins[CLASS].spare == skuai_slab_chunk_of(first[0]), "an empty chunk is spare");
    for (unsigned i = 1; i < NEXT; i++)
        give(&caches[0], second[i]);
    mc_thread(owner_empties, NULL);
    mc_thread(adopter, (void *)1);
}
MC_TEST(empties, .setup = empties_setup, .finish = finish, SEARCH);

static void decayer(void *arg) { (void)arg; skuai_slab_set_decay(&set, 1); }
/* Two parked chunks, which nobody has needed for a period, and a spare one in the shared cache. */
static void decays_setup(void)
{
    reset();
    for (unsigned i = 1; i < CACHES; i++)
        second[i] = take(i);
    for (unsigned i = 1; i < CACHES; i++) {
        ((skua_word64 *)(void *)second[i])->raw = (uint64_t)GENERATION << 32;
        give(&caches[i], second[i]);
        skuai_slab_cache_retire(&caches[i]);
    }
    set.options.keep_chunks = 0;
    mc_assert(skuai_slab_set_decay(&set, 1) == SKUAI_DECAY_LATER, "a period begins");
    mc_name(&set.parked[CLASS][0], "parked without pages");
    mc_name(&set.parked[CLASS][1], "parked with pages");
    mc_thread(decayer, NULL);
    mc_thread(adopter, (void *)0);
    mc_thread(outsider, NULL);
}
static void decays_finish(void)
{
    struct skuai_slab_stats stats = skuai_slab_set_stats(&set);
    bool remembered = false;
    for (unsigned i = 1; i < CACHES; i++)
        remembered |= skuai_slab_fresh_generation(second[i]) == GENERATION + 1;
    mc_assert(remembered || stats.give_backs == 0, "a slot's generations begin anew");
    mc_assert(stats.chunks == CACHES, "there were empty ones");
    finish();
}
MC_TEST(decays, .setup = decays_setup, .finish = decays_finish, .stale = 1, .max_executions = 30000);

/* ---- no chunk is made while slots lie about ---- */

static void has(uint64_t chunks, const char *otherwise)
{
    if (skuai_slab_set_stats(&set).chunks != chunks)
        mc_fail(otherwise);
}
static void thrifty(void *arg)
{
    (void)arg;
    give(NULL, first[0]);
    first[0] = take(0);
    has(1, "what came back from others is not seen");
    for (unsigned i = 0; i < NEXT; i++)
        second[i] = take(0);
    give(&caches[0], first[0]);
    first[0] = take(0);
    has(2, "what came back to a chunk that was full is not seen");
    skuai_slab_cache_retire(&caches[0]);
    give(NULL, first[0]);
    take(1);
    has(2, "what came back to a retired cache's chunk is not seen");
}
static void thrift_setup(void) { reset(); mc_thread(thrifty, NULL); }
MC_TEST(thrift, .setup = thrift_setup, .finish = finish, .bound = MC_UNBOUNDED);

/* ---- who only looks ---- */

static void watcher(void *arg)
{
    (void)arg;
    struct skuai_slab_stats stats = skuai_slab_set_stats(&set);
    mc_assert(stats.live >= FIRST && stats.live <= FIRST + 2, "what the owner has taken");
    mc_assert(stats.chunks == 1 || stats.chunks == 2, "what was made");
}
static void watched_setup(void)
{
    reset();
    mc_thread(owner_takes, NULL);
    mc_thread(watcher, NULL);
}
MC_TEST(watched, .setup = watched_setup, .finish = finish, SEARCH);

/* The end of a set in which some slots are still allocated, and others lie where their freers have put them. */
static void leaks_setup(void)
{
    reset();
    give(&caches[0], first[2]);
    mc_thread(freer, (void *)0);
    mc_thread(worker_freer, (void *)1);
}
static void count(void *slot, void *arg) { (void)slot; ++*(unsigned *)arg; }
static void leaks_finish(void)
{
    unsigned slots = 0;
    skuai_slab_each_slot(&set, count, &slots);
    mc_assert(slots == FIRST, "slots that nobody sees, or that are not there");
    mc_assert(skuai_slab_set_fini(&set) == used, "the leaks");
}
MC_TEST(leaks, .setup = leaks_setup, .finish = leaks_finish, SEARCH);
