/* The pool of fiber stacks: reuse, bounds on memory, guards of each kind, many threads. */
#define _GNU_SOURCE
#include "sched/stack.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sched/sanitize.h"
#include "support/test.h"

static uint64_t live(struct skuai_stack_pool *pool)
{
    struct skuai_stack_stats stats;
    skuai_stack_pool_stats(pool, &stats);
    return stats.live;
}

static void end(struct skuai_stack_pool *pool, struct skuai_stack_cache *cache)
{
    skuai_stack_cache_flush(pool, cache);
    CHECK_EQ(live(pool), 0);
    CHECK_EQ(skuai_stack_pool_fini(pool), 0);
}

static void *top_of(const struct skuai_stack *stack) { return (char *)stack->low + stack->size; }

/* Bytes of the pages from low to the top that are resident. */
static size_t resident(const struct skuai_stack *stack, size_t page)
{
    static unsigned char pages[SKUAI_STACK_SIZE_MAX / 4096 + 2];
    size_t n = (stack->size + page - 1) / page, count = 0;
    CHECK_EQ(mincore(stack->low, n * page, pages), 0);
    for (size_t i = 0; i < n; i++)
        count += pages[i] & 1u;
    return count * page;
}

TEST(sizes_are_rounded_up_to_classes)
{
    static const size_t asked[] = { 1, 1 << 14, (1 << 14) + 1, 100000, 1 << 16, 1 << 20, (1 << 22) + 1, 1 << 23 };
    static const size_t nominal[] = { 1 << 14, 1 << 14, 1 << 15, 1 << 17, 1 << 16, 1 << 20, 1 << 23, 1 << 23 };
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stack;
    CHECK_OK(skuai_stack_pool_init(&pool, 100000, 0));
    skuai_stack_cache_init(&cache);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        CHECK_OK(skuai_stack_acquire(&pool, &cache, asked[i], &stack));
        CHECK_EQ(skuai_stack_nominal(&stack), nominal[i]);
        CHECK(stack.size >= nominal[i]);
        memset(stack.low, 1, stack.size);
        skuai_stack_release(&pool, &cache, &stack);
        CHECK(stack.low == NULL);
    }
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 0, &stack));
    CHECK_EQ(skuai_stack_nominal(&stack), 1 << 17);
    skuai_stack_release(&pool, &cache, &stack);
    CHECK_EQ(skuai_stack_acquire(&pool, &cache, SKUAI_STACK_SIZE_MAX + 1, &stack), -EINVAL);
    CHECK_EQ(skuai_stack_pool_init(&pool, SKUAI_STACK_SIZE_MAX + 1, 0), -EINVAL);
    end(&pool, &cache);
}

TEST(last_in_first_out)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stacks[100], again;
    void *lows[100];
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &stacks[i]));
        lows[i] = stacks[i].low;
        for (int j = 0; j < i; j++) /* none overlaps another */
            CHECK((char *)lows[j] >= (char *)top_of(&stacks[i]) || (char *)top_of(&stacks[j]) <= (char *)lows[i]);
    }
    CHECK_EQ(live(&pool), 100);
    for (int i = 0; i < 100; i++)
        skuai_stack_release(&pool, &cache, &stacks[i]);
    CHECK_EQ(live(&pool), 0);
    for (int i = 99; i >= 92; i--) { /* those that the cache has for certain */
        CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &stacks[i]));
        CHECK(stacks[i].low == lows[i]);
    }
    skuai_stack_release(&pool, &cache, &stacks[95]);
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &again));
    CHECK(again.low == lows[95]);
    stacks[95] = again;
    for (int i = 92; i < 100; i++)
        skuai_stack_release(&pool, &cache, &stacks[i]);
    end(&pool, &cache);
}

TEST(a_stack_that_is_out_is_counted)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stack;
    struct skuai_stack_stats stats;
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 0, &stack));
    skuai_stack_cache_flush(&pool, &cache);
    CHECK_EQ(skuai_stack_pool_fini(&pool), 1);
    skuai_stack_pool_stats(&pool, &stats);
    CHECK_EQ(stats.live, 1);
    CHECK(stats.peak >= 1 && stats.mappings >= 1 && stats.mapped_bytes >= stack.size);
    skuai_stack_release(&pool, &cache, &stack); /* a flushed cache may be used again */
    end(&pool, &cache);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* Also: a load in waves keeps its stacks warm, until nobody has needed them for a period. */
TEST(unused_stacks_hold_bounded_memory)
{
    enum { STACKS = 400, SIZE = 1 << 16, BOUND = (1 << 22) + (1 << 20) }; /* the pool's and the cache's */
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    static struct skuai_stack stacks[STACKS], copies[STACKS];
    size_t total = 0;
    if (test_under_valgrind())
        TEST_SKIP("Valgrind keeps its own books of resident memory");
    CHECK_OK(skuai_stack_pool_init(&pool, SIZE, 0));
    skuai_stack_cache_init(&cache);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < STACKS; i++) {
            CHECK_OK(skuai_stack_acquire(&pool, &cache, 0, &stacks[i]));
            memset(stacks[i].low, 0x77, stacks[i].size);
            copies[i] = stacks[i];
        }
        for (int i = 0; i < STACKS; i++)
            skuai_stack_release(&pool, &cache, &stacks[i]);
        CHECK_EQ(skuai_stack_pool_decay(&pool, 1000), SKUAI_DECAY_LATER);
        CHECK_EQ(pool.shelves[2].cold_count, 0);
    }
    CHECK_EQ(skuai_stack_pool_decay(&pool, 10), SKUAI_DECAY_NOW);
    CHECK_EQ(pool.shelves[2].cold_count, 10);
    CHECK_EQ(skuai_stack_pool_decay(&pool, 1000), SKUAI_DECAY_NOTHING);
    for (int i = 0; i < STACKS; i++)
        total += resident(&copies[i], pool.page_size);
    CHECK(total <= BOUND + BOUND / 8); /* an eighth for the stagger's pages */
    end(&pool, &cache);
}

TEST(a_large_stack_keeps_only_its_top)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stack, copy;
    if (test_under_valgrind())
        TEST_SKIP("Valgrind keeps its own books of resident memory");
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 23, &stack));
    memset(stack.low, 1, stack.size);
    copy = stack;
    skuai_stack_release(&pool, &cache, &stack);
    CHECK(resident(&copy, pool.page_size) <= (1 << 16) + pool.page_size);
    end(&pool, &cache);
}

static long count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    long lines = 0;
    int c;
    if (maps == NULL)
        return -1;
    while ((c = fgetc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

TEST(forty_thousand_stacks_cost_few_mappings)
{
    enum { STACKS = 40000 };
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack_stats stats;
    struct skuai_stack *stacks = calloc(STACKS, sizeof *stacks);
    CHECK(stacks != NULL);
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    long before = count_mappings();
    for (int i = 0; i < STACKS; i++)
        CHECK_OK(skuai_stack_acquire(&pool, &cache, (size_t)1 << (14 + i % 3), &stacks[i]));
    long after = count_mappings();
    skuai_stack_pool_stats(&pool, &stats);
    CHECK_EQ(stats.live, STACKS);
    CHECK(stats.mappings < 65530);
    if (stats.best_guard == SKUAI_GUARD_PAGE) {
        CHECK_EQ(stats.guards[SKUAI_GUARD_PAGE], STACKS);
        CHECK(stats.mappings < 3000);
        CHECK(before < 0 || after - before < 3000);
    }
    for (int i = 0; i < STACKS; i++)
        skuai_stack_release(&pool, &cache, &stacks[i]);
    free(stacks);
    end(&pool, &cache);
}

TEST(no_memory_is_a_clean_error)
{
    struct rlimit before, tight;
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stacks[200];
    int got = 0, rc;
    if (test_under_asan() || test_under_tsan() || test_under_valgrind())
        TEST_SKIP("the tool itself needs the address space");
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = 400 << 20;
    CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
    while (got < 200 && (rc = skuai_stack_acquire(&pool, &cache, 1 << 23, &stacks[got])) == 0)
        got++;
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    if (got < 200)
        CHECK_EQ(rc, -ENOMEM); /* an emulator may not enforce the limit */
    CHECK_EQ(live(&pool), got);
    if (got < 200)
        CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 23, &stacks[got++]));
    while (got > 0)
        skuai_stack_release(&pool, &cache, &stacks[--got]);
    end(&pool, &cache);
}

/* ---- guards --------------------------------------------------------------------------------------------------- */

static char last_said[256];
static int times_said;

static void remember(void *context, const char *text)
{
    (void)context;
    snprintf(last_said, sizeof last_said, "%s", text);
    times_said++;
}

static bool can_be_read(const void *address)
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    bool ok = write(ends[1], address, 1) == 1;
    CHECK(ok || errno == EFAULT);
    close(ends[0]);
    close(ends[1]);
    return ok;
}

static void check_guarded(enum skuai_guard kind)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stacks[40];
    struct skuai_stack_stats stats;
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    if (pool.best_guard < kind) {
        CHECK_EQ(skuai_stack_pool_fini(&pool), 0);
        TEST_SKIP("not on this system");
    }
    pool.best_guard = kind;
    for (int i = 0; i < 40; i++) {
        CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &stacks[i]));
        char *low = stacks[i].low;
        memset(low, 1, stacks[i].size);
        CHECK(stacks[i].canary == NULL);
        CHECK(skuai_stack_check(&stacks[i], low - 1));
        CHECK(!can_be_read(low - 1) && !can_be_read(low - pool.guard_size));
        CHECK(can_be_read(low) && can_be_read(low + stacks[i].size - 1));
        CHECK(skuai_stack_guards(&pool, &stacks[i], low - 1));
        CHECK(skuai_stack_guards(&pool, &stacks[i], low - pool.guard_size));
        CHECK(!skuai_stack_guards(&pool, &stacks[i], low));
        CHECK(!skuai_stack_guards(&pool, &stacks[i], low - pool.guard_size - 1));
    }
    skuai_stack_pool_stats(&pool, &stats);
    CHECK_EQ(stats.guards[kind], 40);
    for (int i = 0; i < 40; i++)
        skuai_stack_release(&pool, &cache, &stacks[i]);
    end(&pool, &cache);
}

TEST(guard_pages_by_advice) { check_guarded(SKUAI_GUARD_PAGE); }
TEST(guard_pages_by_mprotect) { check_guarded(SKUAI_GUARD_MPROTECT); }

TEST(beyond_the_budget_there_are_canaries)
{
    enum { STACKS = 64, BUDGET = 20 };
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stacks[STACKS];
    struct skuai_stack_stats stats;
    CHECK_OK(skuai_stack_pool_init(&pool, 0, BUDGET));
    skuai_stack_pool_set_log(&pool, remember, NULL);
    skuai_stack_cache_init(&cache);
    pool.best_guard = SKUAI_GUARD_MPROTECT;
    times_said = 0;
    for (int i = 0; i < STACKS; i++) {
        CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &stacks[i]));
        CHECK_EQ(stacks[i].canary == NULL, i < BUDGET / 2);
        memset(stacks[i].low, 1, stacks[i].size);
        CHECK(skuai_stack_check(&stacks[i], stacks[i].low));
    }
    CHECK_EQ(times_said, 1);
    CHECK(strstr(last_said, "max_map_count") != NULL);
    skuai_stack_pool_stats(&pool, &stats);
    CHECK_EQ(stats.guards[SKUAI_GUARD_MPROTECT], BUDGET / 2);
    CHECK_EQ(stats.guards[SKUAI_GUARD_CANARY], STACKS - BUDGET / 2);
    CHECK(!skuai_stack_check(&stacks[STACKS - 1], (char *)stacks[STACKS - 1].low - 1));
    for (int i = 0; i < STACKS; i++) {
        if (stacks[i].canary != NULL) { /* each byte of it */
            char *byte = (char *)stacks[i].low - 1 - i;
            *byte = 1;
            CHECK(!skuai_stack_check(&stacks[i], stacks[i].low));
            *byte = 0;
        }
        skuai_stack_release(&pool, &cache, &stacks[i]);
    }
    CHECK_EQ(times_said, 1);
    end(&pool, &cache);
}

static void release_with_dead_canary(void *arg)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stack;
    (void)arg;
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    pool.best_guard = SKUAI_GUARD_CANARY;
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 1 << 14, &stack));
    ((char *)stack.low)[-30] = 1;
    skuai_stack_release(&pool, &cache, &stack);
}

TEST(a_dead_canary_aborts_the_release)
{
    test_expect_abort(release_with_dead_canary, NULL, "a fiber overflowed its stack of 16384 bytes");
}

#if SKUAI_ASAN
static void touch_released(void *arg)
{
    struct skuai_stack_pool pool;
    struct skuai_stack_cache cache;
    struct skuai_stack stack;
    (void)arg;
    CHECK_OK(skuai_stack_pool_init(&pool, 0, 0));
    skuai_stack_cache_init(&cache);
    CHECK_OK(skuai_stack_acquire(&pool, &cache, 0, &stack));
    volatile char *low = stack.low;
    low[100] = 1;
    skuai_stack_release(&pool, &cache, &stack);
    low[100] = 1;
}

TEST(a_free_stack_is_poisoned) { test_expect_abort(touch_released, NULL, "use-after-poison"); }
#endif

/* ---- many threads --------------------------------------------------------------------------------------------- */

enum { THREADS = 8, HELD = 40, EXCHANGED = 64 };

struct crowd {
    struct skuai_stack_pool pool;
    struct skuai_lock lock;
    struct skuai_stack exchanged[EXCHANGED]; /* guarded by lock: released by other threads than those that acquired */
    int n;
    uint64_t rounds;
};

struct member {
    struct crowd *crowd;
    uint64_t seed;
};

static uint64_t *mark_of(const struct skuai_stack *stack) { return (uint64_t *)top_of(stack) - 1; }

static void take(struct crowd *crowd, struct skuai_stack_cache *cache, uint64_t *seed, struct skuai_stack *stack)
{
    int rc = skuai_stack_acquire(&crowd->pool, cache, (size_t)1 << (14 + test_rand(seed) % 5), stack);
    CHECK_OK(rc);
    *mark_of(stack) = (uint64_t)(uintptr_t)stack->low;
    *(uint64_t *)stack->low = *mark_of(stack);
}

static void give(struct crowd *crowd, struct skuai_stack_cache *cache, struct skuai_stack *stack)
{
    CHECK_EQ(*mark_of(stack), (uintptr_t)stack->low); /* nobody else has it */
    CHECK_EQ(*(uint64_t *)stack->low, (uintptr_t)stack->low);
    *mark_of(stack) = 0;
    skuai_stack_release(&crowd->pool, cache, stack);
}

static void *acquires_and_releases(void *arg)
{
    struct member *self = arg;
    struct crowd *crowd = self->crowd;
    struct skuai_stack_cache cache;
    struct skuai_stack held[HELD];
    uint64_t seed = self->seed;
    int n = 0;
    skuai_stack_cache_init(&cache);
    for (uint64_t i = 0; i < crowd->rounds; i++) {
        uint64_t dice = test_rand(&seed) % 100;
        if (dice < 48 && n < HELD) {
            take(crowd, &cache, &seed, &held[n++]);
        } else if (dice < 90 && n > 0) {
            struct skuai_stack *any = &held[test_rand(&seed) % (uint64_t)n];
            give(crowd, &cache, any);
            *any = held[--n];
        } else if (dice < 98 && n > 0) {
            skuai_lock_acquire(&crowd->lock);
            struct skuai_stack other = { .low = NULL };
            if (crowd->n == EXCHANGED)
                other = crowd->exchanged[--crowd->n];
            else
                crowd->exchanged[crowd->n++] = held[--n];
            skuai_lock_release(&crowd->lock);
            if (other.low != NULL)
                give(crowd, &cache, &other);
        } else if (dice == 99 && test_rand(&seed) % 16 == 0) {
            skuai_stack_cache_flush(&crowd->pool, &cache);
            struct skuai_stack_stats stats;
            skuai_stack_pool_stats(&crowd->pool, &stats);
            CHECK(stats.live <= stats.peak);
        }
    }
    while (n > 0)
        give(crowd, &cache, &held[--n]);
    skuai_stack_cache_flush(&crowd->pool, &cache);
    return NULL;
}

static void run_crowd(enum skuai_guard best, uint64_t rounds)
{
    static struct crowd crowd;
    struct member members[THREADS];
    pthread_t threads[THREADS];
    struct skuai_stack_cache cache;
    memset(&crowd, 0, sizeof crowd);
    CHECK_OK(skuai_stack_pool_init(&crowd.pool, 0, 200));
    skuai_stack_pool_set_log(&crowd.pool, remember, NULL);
    if (best < crowd.pool.best_guard)
        crowd.pool.best_guard = best;
    crowd.rounds = test_scaled(rounds);
    skuai_stack_cache_init(&cache);
    for (uint64_t i = 0; i < THREADS; i++) {
        members[i] = (struct member){ .crowd = &crowd, .seed = test_seed() * 1000 + i };
        CHECK_EQ(pthread_create(&threads[i], NULL, acquires_and_releases, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(live(&crowd.pool), crowd.n);
    while (crowd.n > 0)
        give(&crowd, &cache, &crowd.exchanged[--crowd.n]);
    end(&crowd.pool, &cache);
}

TEST(eight_threads_share_a_pool) { run_crowd(SKUAI_GUARD_PAGE, 20000); }
TEST(eight_threads_with_guards_running_out) { run_crowd(SKUAI_GUARD_MPROTECT, 5000); }
