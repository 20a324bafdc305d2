/* The slabs: classes, names, giving back, and threads that free each other's slots while late wakes arrive. */
#define _GNU_SOURCE
#include "sched/slab.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sched/env.h"
#include "sched/task_word.h"
#include "support/test.h"

enum { THREADS = 8, BOARD = 1024, STEPS = 20000 };

struct fixture {
    struct skuai_slab_set set;
    struct skuai_slab_cache caches[THREADS];
};

static struct fixture *fixture_create(uint32_t keep_chunks)
{
    struct fixture *f = aligned_alloc(SKUAI_CACHE_LINE, sizeof *f);
    CHECK(f != NULL);
    skuai_slab_set_init(&f->set, f, &(struct skuai_slab_options){.keep_chunks = keep_chunks});
    for (uint32_t i = 0; i < THREADS; i++)
        skuai_slab_cache_init(&f->caches[i], &f->set);
    return f;
}

static void fixture_destroy(struct fixture *f, uint64_t expected_leaks)
{
    CHECK_EQ(skuai_slab_set_fini(&f->set), expected_leaks);
    free(f);
}

static skua_word64 *word_of(void *slot) { return slot; }

/* As spawn does. Returns the slot's generation. */
static uint32_t begin(void *slot)
{
    uint32_t generation = skuai_task_generation(skuai_load_64(word_of(slot), SKUAI_RELAXED));
    if (generation == 0)
        generation = skuai_slab_fresh_generation(slot);
    skuai_task_word_begin(word_of(slot), generation, 0, false);
    return generation;
}

static void *alloc(struct skuai_slab_cache *cache, size_t bytes)
{
    void *slot = skuai_slab_alloc(cache, bytes);
    CHECK(slot != NULL);
    (void)begin(slot);
    return slot;
}

static void bury(struct skuai_slab_cache *cache, void *slot)
{
    skuai_task_word_bury(word_of(slot));
    skuai_slab_free(cache, slot);
}

TEST(slab_slots_are_aligned_distinct_and_large_enough)
{
    struct fixture *f = fixture_create(0);
    void *slots[SKUAI_SLAB_MAX_BYTES / 32];
    uint32_t count = 0;
    for (size_t bytes = 1; bytes <= SKUAI_SLAB_MAX_BYTES; bytes += bytes == 1 ? 63 : 64, count++) {
        slots[count] = alloc(&f->caches[0], bytes);
        CHECK_EQ((uintptr_t)slots[count] % 64, 0);
        CHECK(skuai_slab_owner(slots[count]) == f);
        uint32_t room = skuai_slab_chunk_of(slots[count])->slot_bytes;
        CHECK(room >= bytes && (bytes <= 128 || room < bytes + bytes / 2));
        if (bytes > 64)
            memset((char *)slots[count] + 64, (int)count, bytes - 64);
    }
    CHECK(skuai_slab_alloc(&f->caches[0], SKUAI_SLAB_MAX_BYTES + 1) == NULL);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, count);
    for (uint32_t i = 2; i < count; i++)
        CHECK_EQ(((unsigned char *)slots[i])[64], i & 255);
    for (uint32_t i = 0; i < count; i++)
        bury(&f->caches[0], slots[i]);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, 0);
    fixture_destroy(f, 0);
}

/* Of the first lines of many large slots no more fall into one set of a usual cache than it has room for. */
TEST(slab_first_lines_are_spread_over_the_cache)
{
    enum { SLOTS = 256, SETS = 64, WAYS = 8 };
    for (size_t bytes = 1024; bytes <= SKUAI_SLAB_MAX_BYTES; bytes *= 2) {
        struct fixture *f = fixture_create(0);
        void *slots[SLOTS];
        uint32_t in_set[SETS] = { 0 };
        for (uint32_t i = 0; i < SLOTS; i++) {
            slots[i] = alloc(&f->caches[0], bytes);
            CHECK(++in_set[(uintptr_t)slots[i] / 64 % SETS] <= WAYS);
        }
        for (uint32_t i = 0; i < SLOTS; i++)
            bury(&f->caches[0], slots[i]);
        fixture_destroy(f, 0);
    }
}

TEST(slab_reuses_the_last_freed_and_keeps_its_generation)
{
    struct fixture *f = fixture_create(0);
    void *slot = skuai_slab_alloc(&f->caches[0], 200);
    uint32_t generation = begin(slot);
    for (uint32_t i = 0; i < 10; i++) {
        bury(&f->caches[0], slot);
        (void)skuai_task_word_wake(word_of(slot)); /* late */
        CHECK(skuai_slab_alloc(&f->caches[0], 200) == slot);
        CHECK_EQ(begin(slot), generation + 1 + i);
    }
    fixture_destroy(f, 1);
}

TEST(slab_counts_leaks_through_remote_frees)
{
    struct fixture *f = fixture_create(0);
    void *slots[100];
    for (uint32_t i = 0; i < 100; i++)
        slots[i] = alloc(&f->caches[i % 2], 128);
    for (uint32_t i = 0; i < 60; i++)
        bury(i % 3 == 0 ? NULL : &f->caches[i % 3], slots[i]);
    fixture_destroy(f, 40);
}

/* How much of a chunk's slots is in memory. */
static uint32_t resident_pages(const struct skuai_slab_chunk *chunk)
{
    unsigned char pages[SKUAI_SLAB_CHUNK_BYTES / 4096];
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (((uintptr_t)chunk->slots | (SKUAI_SLAB_CHUNK_BYTES - 1)) + 1) - (uintptr_t)chunk->slots;
    CHECK_EQ(mincore(chunk->slots, bytes, pages), 0);
    uint32_t count = 0;
    for (size_t i = 0; i < bytes / page_bytes; i++)
        count += pages[i] & 1;
    return count;
}

enum { CROWD = 3000 }; /* six chunks of 512 */

/* Two periods in which nobody needs anything. */
static void let_decay(struct fixture *f)
{
    for (int renewed = 0; renewed < 2;)
        renewed += skuai_slab_set_decay(&f->set, 2) != SKUAI_DECAY_NOW;
}

static bool is_last_of_chunk(void *const *slots, uint32_t i)
{
    return i + 1 == CROWD || skuai_slab_chunk_of(slots[i]) != skuai_slab_chunk_of(slots[i + 1]);
}

TEST(slab_gives_back_pages_and_generations_go_on)
{
    struct fixture *f = fixture_create(0);
    static const size_t bytes = 128;
    void **slots = calloc(CROWD, sizeof *slots);
    uint32_t *generations = calloc((size_t)6 << SKUAI_SLAB_INDEX_BITS, sizeof *generations);
    CHECK(slots != NULL && generations != NULL);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < CROWD; i++) {
            slots[i] = skuai_slab_alloc(&f->caches[0], bytes);
            uint64_t id = skuai_slab_slot_id(slots[i]);
            uint32_t generation = begin(slots[i]);
            CHECK(id >> SKUAI_SLAB_INDEX_BITS < 6);
            CHECK(generation > generations[id]);
            generations[id] = generation;
        }
        const struct skuai_slab_chunk *third = skuai_slab_chunk_of(slots[2 * 512]);
        CHECK(resident_pages(third) != 0);
        for (uint32_t i = 0; i < CROWD; i++) {
            if (is_last_of_chunk(slots, i)) /* has more of a past than the others */
                for (uint32_t j = 0; j < 50; j++, generations[skuai_slab_slot_id(slots[i])]++)
                    skuai_task_word_bury(word_of(slots[i]));
            bury(&f->caches[0], slots[i]);
        }
        let_decay(f);
        struct skuai_slab_stats stats = skuai_slab_set_stats(&f->set);
        CHECK_EQ(stats.live, 0);
        CHECK_EQ(stats.chunks, 6);
        CHECK(stats.bytes_given_back >= 3 * 65536 && stats.give_backs >= 4 * (round + 1));
        (void)skuai_task_word_wake(word_of(slots[2 * 512])); /* late, into pages that may be gone */
    }
    uint32_t resident = 0;
    for (uint32_t i = 0; i < CROWD; i += 512)
        resident += resident_pages(skuai_slab_chunk_of(slots[i])) > 1;
    CHECK(resident <= 2); /* the current one and a spare */
    free(slots);
    free(generations);
    fixture_destroy(f, 0);
}

/* A chunk that is parked with its pages, used in part, and given back later: the untouched part counts too. */
TEST(slab_remembers_generations_of_kept_chunks)
{
    struct fixture *f = fixture_create(1);
    void *slots[CROWD];
    uint32_t highest = 0;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CROWD; i++)
            slots[i] = alloc(&f->caches[0], 128);
        for (uint32_t i = 0; i < CROWD; i++) {
            for (uint32_t j = 0; round == 0 && is_last_of_chunk(slots, i) && j < 50; j++)
                skuai_task_word_bury(word_of(slots[i]));
            bury(&f->caches[0], slots[i]);
        }
        let_decay(f);
        CHECK_EQ(skuai_slab_set_decay(&f->set, 1), SKUAI_DECAY_NOTHING);
        CHECK_EQ(f->set.kept[0].count, 1);
    }
    void *one = alloc(&f->caches[1], 128); /* the kept chunk, used in part, … */
    const struct skuai_slab_chunk *chunk = skuai_slab_chunk_of(one);
    CHECK(f->set.kept[0].count == 0 && chunk->touched_end > chunk->fresh);
    for (const char *slot = chunk->slots; slot < chunk->end; slot += 128) {
        uint32_t generation =
            skuai_task_generation(skuai_load_64((const skua_word64 *)(const void *)slot, SKUAI_RELAXED));
        highest = generation > highest ? generation : highest;
    }
    bury(&f->caches[1], one);
    f->set.options.keep_chunks = 0;
    skuai_slab_cache_retire(&f->caches[0]);
    skuai_slab_cache_retire(&f->caches[1]); /* … is empty beyond the shared cache's spare */
    let_decay(f);
    CHECK(skuai_slab_set_stats(&f->set).bytes_given_back != 0);
    CHECK(chunk->state == 0 && chunk->generation >= highest && highest > 50);
    fixture_destroy(f, 0);
}

/* A load in waves keeps its memory; what only the highest wave needed goes. */
TEST(slab_keeps_what_each_period_needs)
{
    struct fixture *f = fixture_create(0);
    void *slots[CROWD];
    uint64_t given[6];
    for (uint32_t wave = 0; wave < 6; wave++) {
        uint32_t size = wave == 0 ? CROWD : CROWD / 2;
        for (uint32_t i = 0; i < size; i++)
            slots[i] = alloc(&f->caches[0], 128);
        for (uint32_t i = 0; i < size; i++)
            bury(&f->caches[0], slots[i]);
        (void)skuai_slab_set_decay(&f->set, 100);
        given[wave] = skuai_slab_set_stats(&f->set).give_backs;
    }
    CHECK(given[0] == 0 && given[1] != 0 && given[2] >= 3 && given[5] == given[2]);
    fixture_destroy(f, 0);
}

TEST(slab_remote_frees_come_back_on_demand_and_on_trim)
{
    struct fixture *f = fixture_create(0);
    void *slots[CROWD];
    for (uint32_t i = 0; i < CROWD; i++)
        slots[i] = alloc(&f->caches[0], 128);
    for (uint32_t i = 0; i < CROWD; i++)
        bury(&f->caches[1], slots[i]);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, CROWD);
    for (uint32_t i = 0; i < CROWD; i++)
        slots[i] = alloc(&f->caches[0], 128);
    CHECK_EQ(skuai_slab_set_stats(&f->set).chunks, 6);
    for (uint32_t i = 0; i < CROWD; i++)
        bury(NULL, slots[i]);
    skuai_slab_cache_trim(&f->caches[0]);
    let_decay(f);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, 0);
    CHECK(skuai_slab_set_stats(&f->set).bytes_given_back >= 3 * 65536);
    fixture_destroy(f, 0);
}

TEST(slab_fills_holes_before_it_grows)
{
    struct fixture *f = fixture_create(0);
    void *slots[CROWD];
    for (uint32_t i = 0; i < CROWD; i++)
        slots[i] = alloc(&f->caches[0], 128);
    for (uint32_t i = 0; i < CROWD; i += 2)
        bury(&f->caches[0], slots[i]);
    for (uint32_t i = 0; i < CROWD; i += 2)
        slots[i] = alloc(&f->caches[0], 128);
    CHECK_EQ(skuai_slab_set_stats(&f->set).chunks, 6);
    for (uint32_t i = 0; i < CROWD; i++)
        bury(&f->caches[0], slots[i]);
    fixture_destroy(f, 0);
}

/* What a retired worker leaves is used by others, also what is freed towards it afterwards. */
TEST(slab_adopts_what_retired_caches_leave)
{
    struct fixture *f = fixture_create(0);
    void *slots[CROWD];
    for (uint32_t i = 0; i < CROWD; i++)
        slots[i] = alloc(&f->caches[0], 128);
    bury(&f->caches[1], slots[0]); /* a notification that will arrive at the former owner */
    skuai_slab_cache_retire(&f->caches[0]);
    for (uint32_t i = 1; i < CROWD; i++)
        bury(i % 2 ? &f->caches[1] : &f->caches[0], slots[i]);
    for (uint32_t i = 0; i < CROWD; i++)
        slots[i] = alloc(&f->caches[i % 2], 128);
    CHECK(skuai_slab_set_stats(&f->set).chunks <= 7);
    for (uint32_t i = 0; i < CROWD; i++)
        bury(&f->caches[2], slots[i]);
    for (uint32_t i = 0; i < 3; i++)
        skuai_slab_cache_retire(&f->caches[i]);
    void *last = skuai_slab_alloc_shared(&f->set, 128);
    CHECK(last != NULL);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, 1);
    fixture_destroy(f, 1);
}

TEST(slab_names_do_not_depend_on_addresses)
{
    uint64_t names[2][600];
    for (uint32_t run = 0; run < 2; run++) {
        struct fixture *f = fixture_create(0);
        void *pad = mmap(NULL, (run + 1) * 12345678u, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint64_t random = 3;
        for (uint32_t i = 0; i < 600; i++) {
            void *slot = alloc(&f->caches[skuai_random_below(&random, 3)], 64 + skuai_random_below(&random, 3000));
            names[run][i] = skuai_slab_slot_id(slot);
            if (i % 3 == 0)
                bury(&f->caches[skuai_random_below(&random, 3)], slot);
        }
        CHECK_EQ(munmap(pad, (run + 1) * 12345678u), 0);
        fixture_destroy(f, 400);
    }
    CHECK(memcmp(names[0], names[1], sizeof names[0]) == 0);
}

TEST(slab_survives_the_lack_of_memory)
{
    if (test_under_emulator())
        TEST_SKIP("the emulator does not limit memory");
    struct fixture *f = fixture_create(0);
    struct rlimit before, none;
    void *first = alloc(&f->caches[0], 4096);
    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    none = before;
    none.rlim_cur = 0;
    errno = 77;
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    uint32_t count = 0;
    bool twice_null = false;
    void *slot, *list = NULL; /* through the bodies' first words */
    while ((slot = skuai_slab_alloc(&f->caches[0], 4096)) != NULL) { /* the rest of the region */
        (void)begin(slot);
        memcpy((char *)slot + 64, &list, sizeof list);
        list = slot;
        count++;
    }
    twice_null = skuai_slab_alloc(&f->caches[0], 4096) == NULL && skuai_slab_alloc_shared(&f->set, 100) == NULL;
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    CHECK(twice_null && errno == 77);
    CHECK_EQ(count + 1, 31 * 15 + 13);
    slot = alloc(&f->caches[0], 4096);
    CHECK_EQ(skuai_slab_set_stats(&f->set).bytes_mapped, 2 * SKUAI_SLAB_REGION_BYTES);
    bury(&f->caches[0], slot);
    bury(&f->caches[0], first);
    while (list != NULL) {
        slot = list;
        memcpy(&list, (char *)slot + 64, sizeof list);
        bury(&f->caches[0], slot);
    }
    fixture_destroy(f, 0);
}

/* Threads put slots on a board and free what they find there, whoever's it is; each slot's body says what it must
 * hold; and words of slots that may be dead are set all the time. */
struct mob {
    struct fixture *f;
    skua_wordptr board[BOARD]; /* living slots, each taken by one exchange */
    skua_wordptr known[BOARD]; /* slots that lived once: targets of late wakes */
};

struct member {
    struct mob *mob;
    uint64_t random;
    uint32_t index;
};

static void check_body(void *slot)
{
    size_t bytes;
    memcpy(&bytes, (char *)slot + 64, sizeof bytes);
    const unsigned char *body = (unsigned char *)slot + 64 + sizeof bytes;
    for (size_t i = 64 + sizeof bytes; i < bytes; i++)
        CHECK_EQ(*body++, bytes & 255);
}

static void member_step(struct member *member, struct skuai_slab_cache *cache)
{
    struct mob *mob = member->mob;
    uint32_t place = skuai_random_below(&member->random, BOARD);
    void *slot = NULL;
    if (skuai_random_below(&member->random, 8) < 5) {
        size_t bytes = 80 + (skuai_random_next(&member->random) & skuai_random_next(&member->random) & 511);
        slot = cache != NULL ? skuai_slab_alloc(cache, bytes) : skuai_slab_alloc_shared(&mob->f->set, bytes);
        CHECK(slot != NULL);
        (void)begin(slot);
        memcpy((char *)slot + 64, &bytes, sizeof bytes);
        memset((char *)slot + 64 + sizeof bytes, (int)(bytes & 255), bytes - 64 - sizeof bytes);
        skuai_store_ptr(&mob->known[place], slot, SKUAI_RELEASE); /* pairs with the late wake's acquire */
    }
    /* Acquire, release: the slot's contents go with it. */
    void *found = skuai_exchange_ptr(&mob->board[place], slot, SKUAI_ACQ_REL);
    if (found != NULL) {
        check_body(found);
        bury(cache, found);
    }
    void *late = skuai_load_ptr(&mob->known[(place * 7 + 1) % BOARD], SKUAI_ACQUIRE);
    if (late != NULL)
        (void)skuai_task_word_wake(word_of(late));
}

static void *member_main(void *arg)
{
    struct member *member = arg;
    struct fixture *f = member->mob->f;
    struct skuai_slab_cache *cache = member->index == 0 ? NULL : &f->caches[member->index]; /* one foreign thread */
    for (uint32_t step = 0; step < STEPS; step++) {
        member_step(member, cache);
        if (cache != NULL && step % 512 == member->index)
            skuai_slab_cache_trim(cache);
        if (member->index == 1 && step % 2000 == 1999)
            skuai_slab_cache_retire(cache);
        if (member->index == 2 && step % 100 == 0)
            (void)skuai_slab_set_stats(&f->set);
        if (member->index == 3 && step % 50 == 0)
            (void)skuai_slab_set_decay(&f->set, 2);
    }
    if (cache != NULL)
        skuai_slab_cache_retire(cache);
    return NULL;
}

static void run_mob(uint64_t seed, uint32_t keep_chunks)
{
    struct fixture *f = fixture_create(keep_chunks);
    struct mob *mob = calloc(1, sizeof *mob);
    struct member members[THREADS];
    pthread_t threads[THREADS];
    CHECK(mob != NULL);
    mob->f = f;
    for (uint32_t i = 0; i < THREADS; i++) {
        members[i] = (struct member){mob, seed * THREADS + i, i};
        CHECK_EQ(pthread_create(&threads[i], NULL, member_main, &members[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    uint64_t left = 0;
    for (uint32_t i = 0; i < BOARD; i++) {
        void *slot = skuai_load_ptr(&mob->board[i], SKUAI_RELAXED); /* ordered by the joins */
        if (slot != NULL && i % 2 == 0)
            bury(NULL, slot);
        else if (slot != NULL)
            left++;
    }
    skuai_lock_acquire(&f->set.shared_lock);
    skuai_slab_cache_trim(&f->set.shared); /* all others have retired: everything arrives here */
    skuai_lock_release(&f->set.shared_lock);
    CHECK_EQ(skuai_slab_set_stats(&f->set).live, left);
    fixture_destroy(f, left);
    free(mob);
}

TEST(slab_threads_free_each_others_slots)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        run_mob(seed, seed % 2 == 0 ? 8 : 0);
}
