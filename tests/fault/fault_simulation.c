/* A simulation without memory for stacks, for task memory, for the driver's signal stack, and one that may set no
 * signal stack: what was spawned runs before block_on returns, what was not never runs, and the runtime ends as ever.
 */
#include "support/faults.h"
#include "support/test.h"

enum { FIBERS = 20, WAVES = 2 };

struct life {
    skua_config config;
    int64_t spawned, ended, roots; /* one thread */
};

static int napper(void *arg)
{
    struct life *life = arg;
    skua_sleep(SKUA_MS);
    life->ended++;
    return 0;
}

/* The guard gives back, between two waves and once they are over. */
static int waves(void *arg)
{
    struct life *life = arg;
    life->roots++;
    for (int wave = 0; wave < WAVES; wave++) {
        for (int i = 0; i < FIBERS; i++) {
            skua_spawn_attr attr = { .stack_size = i % 8 == 7 ? (size_t)2 << 20 : 0 };
            life->spawned += faults_done(skua_spawn_with(NULL, &attr, napper, life));
        }
        skua_sleep(3 * SKUA_S);
    }
    return 7;
}

static void live(void *arg)
{
    struct life *life = arg;
    skua_runtime *rt;
    skua_stats stats;
    life->spawned = life->ended = life->roots = 0;
    if (!faults_done(skua_runtime_create(&rt, &life->config)))
        return;
    for (int i = 1; i <= 2; i++) {
        int64_t roots = life->roots, result = skua_block_on(rt, waves, life);
        if (faults_done(result))
            CHECK_EQ(result, 7);
        CHECK_EQ(life->roots, roots + (result == 7));
    }
    int64_t roots = life->roots;
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(life->ended, life->spawned);
    CHECK_EQ(life->roots, roots); /* none that block_on had given up */
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

TEST(memory_and_signal_stacks)
{
    struct life life = { .config = faults_config(3, true) };
    life.config.simulate = true;
    life.config.sim_seed = test_seed();
    FAULTS_EACH(live, &life, FAULT_mmap, FAULT_munmap, FAULT_madvise, FAULT_sigaltstack, FAULT_application_alloc);
}
