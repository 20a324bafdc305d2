/* For tests of what runs inside a runtime: the same body on real workers and under seeds.
 *
 *     static int body(void *arg) { …; return 0; }
 *     TEST(name) { run_everywhere(body, NULL); }
 *
 * Each run creates a runtime with an allocator that counts, runs the body as a fiber, shuts down and checks that
 * nothing is left: no task, no byte.
 */
#ifndef TEST_WITH_RUNTIME_H
#define TEST_WITH_RUNTIME_H

#include <skua.h>

#include <stdio.h>
#include <stdlib.h>

#include "support/test.h"

struct counted_memory {
    int64_t blocks, bytes; /* __atomic */
};

static inline void *counted_alloc(void *context, size_t size)
{
    struct counted_memory *memory = context;
    void *block = malloc(size);
    if (block != NULL) {
        __atomic_fetch_add(&memory->blocks, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&memory->bytes, (int64_t)size, __ATOMIC_RELAXED);
    }
    return block;
}

static inline void counted_free(void *context, void *block, size_t size)
{
    struct counted_memory *memory = context;
    __atomic_fetch_sub(&memory->blocks, 1, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&memory->bytes, (int64_t)size, __ATOMIC_RELAXED);
    free(block);
}

/* Runs a body in a runtime made by this config (its memory hooks are replaced) and checks what is left. */
static inline int64_t run_in(skua_config config, skua_fiber_fn *body, void *arg)
{
    struct counted_memory memory = { 0, 0 };
    skua_runtime *rt;
    skua_stats stats;
    config.alloc = counted_alloc;
    config.free = counted_free;
    config.memory_context = &memory;
    CHECK_OK(skua_runtime_create(&rt, &config));
    int64_t result = skua_block_on(rt, body, arg);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
    CHECK_EQ(memory.bytes, 0);
    return result;
}

static inline int64_t run_on(uint32_t workers, skua_fiber_fn *body, void *arg)
{
    return run_in((skua_config){ .workers = workers, .ignore_environment = true,
                                 .workers_per_poller = test_workers_per_poller() }, body, arg);
}

static inline int64_t run_seeded(uint64_t seed, uint32_t workers, skua_fiber_fn *body, void *arg)
{
    test_at_seed(seed);
    int64_t result = run_in((skua_config){ .workers = workers, .ignore_environment = true, .simulate = true,
                                           .sim_seed = seed }, body, arg);
    test_at_no_seed();
    return result;
}

#if !defined(SKUAI_NO_HWLOC)
/* On a machine that is simulated. */
static inline int64_t run_on_machine(const char *machine, uint64_t seed, skua_fiber_fn *body, void *arg)
{
    test_at_seed(seed);
    int64_t result = run_in((skua_config){ .sim_machine = machine, .sim_seed = seed, .ignore_environment = true }, body,
                            arg);
    test_at_no_seed();
    return result;
}
#endif

#ifndef RUN_SEEDS
#define RUN_SEEDS 20
#define RUN_REAL true
#endif

/* On 1, 2 and 8 real workers, and on 1 to 8 virtual ones under some seeds. The body must return 0. */
static inline void run_everywhere(skua_fiber_fn *body, void *arg)
{
    static const uint32_t workers[] = { 1, 2, 8 };
    for (size_t i = 0; RUN_REAL && i < sizeof workers / sizeof workers[0]; i++)
        CHECK_EQ(run_on(workers[i], body, arg), 0);
    uint64_t end = test_seed() + test_scaled_seeds(RUN_SEEDS);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        CHECK_EQ(run_seeded(seed, 1 + (uint32_t)(seed % 8), body, arg), 0);
}

#endif
