/* Fibers that cannot get a stack, or not a good one. One that gets none waits for it: others end and leave theirs, or
 * the kernel has memory again; whatever is refused, each fiber that was spawned runs and ends. A stack whose guard is
 * refused has the next kind of guard. Giving memory back may be refused for ever. */
#include "support/faults.h"
#include "support/test.h"

enum { FIBERS = 48, WAVES = 2, DEEP_BYTES = 6000 };

struct crowd {
    skua_config config;
    int64_t spawned, ended; /* __atomic */
};

/* Of all sizes, one too large for the workers' caches among them. */
static const size_t sizes[] = { 0, 0, 0, 16 << 10, 32 << 10, 256 << 10, 2 << 20, 0 };

static int sleeper(void *arg)
{
    struct crowd *crowd = arg;
    volatile char deep[DEEP_BYTES];
    deep[0] = 1;
    skua_sleep(200000);
    CHECK_EQ(deep[0], 1);
    __atomic_fetch_add(&crowd->ended, 1, __ATOMIC_RELAXED);
    return 0;
}

static void wave(struct crowd *crowd)
{
    skua_task *tasks[FIBERS];
    int ntasks = 0;
    for (int i = 0; i < FIBERS; i++) {
        skua_spawn_attr attr = { .stack_size = sizes[(size_t)i % (sizeof sizes / sizeof sizes[0])] };
        if (faults_done(skua_spawn_with(&tasks[ntasks], &attr, sleeper, crowd)))
            ntasks++;
    }
    crowd->spawned += ntasks;
    for (int i = 0; i < ntasks; i++)
        CHECK_EQ(skua_join(tasks[i], NULL), 0);
}

/* In a simulation time costs nothing: so the guard gives back, between two waves and once they are over. */
static int waves(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < WAVES; i++) {
        wave(crowd);
        if (crowd->config.simulate)
            skua_sleep(3 * SKUA_S);
    }
    return 0;
}

static void live(void *arg)
{
    struct crowd *crowd = arg;
    skua_runtime *rt;
    skua_stats stats;
    crowd->spawned = crowd->ended = 0;
    if (!faults_done(skua_runtime_create(&rt, &crowd->config)))
        return;
    faults_done(skua_block_on(rt, waves, crowd));
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(crowd->ended, crowd->spawned);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

static skua_config config_for(uint32_t workers, bool simulate)
{
    skua_config config = faults_config(workers, true);
    config.simulate = simulate;
    config.sim_seed = test_seed();
    return config;
}

TEST(without_memory_for_stacks)
{
    struct crowd crowd = { .config = config_for(2, false) };
    FAULTS_EACH(live, &crowd, FAULT_mmap, FAULT_munmap);
    crowd.config = config_for(3, true);
    FAULTS_EACH(live, &crowd, FAULT_munmap);
}

TEST(without_guards_and_giving_back)
{
    struct crowd crowd = { .config = config_for(3, true) };
    FAULTS_EACH(live, &crowd, FAULT_madvise);
    faults_always(FAULT_madvise, 0); /* from here on guards are of mprotect */
    FAULTS_EACH(live, &crowd, FAULT_mprotect);
    crowd.config = config_for(2, false);
    FAULTS_EACH(live, &crowd, FAULT_mprotect);
    faults_always(FAULT_mprotect, 0); /* and from here on there are none */
    FAULTS_EACH(live, &crowd, FAULT_mmap);
    faults_always_none();
}

TEST(by_chance)
{
    static const enum fault calls[] = { FAULT_mmap, FAULT_munmap, FAULT_madvise, FAULT_mprotect };
    struct crowd crowd = { .config = config_for(2, false) };
    live(&crowd); /* what libc makes once */
    for (uint64_t i = 0; i < test_scaled(100); i++) {
        crowd.config = config_for(1 + (uint32_t)i % 4, false);
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 30 : 500, live, &crowd);
    }
}
