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
    CHECK_EQ(faults_slots_held(rt), 0);
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

/* Not where only races are looked for: a simulation is one thread. */
static void live_simulated(struct crowd *crowd, const enum fault *calls, size_t ncalls)
{
    crowd->config = config_for(3, true);
    if (!test_under_tsan())
        faults_each(calls, ncalls, live, crowd);
}

TEST(without_memory_for_stacks)
{
    struct crowd crowd = { .config = config_for(2, false) };
    FAULTS_EACH(live, &crowd, FAULT_mmap, FAULT_munmap);
    live_simulated(&crowd, (enum fault[]){ FAULT_munmap }, 1);
}

TEST(without_guards_and_giving_back)
{
    struct crowd crowd;
    live_simulated(&crowd, (enum fault[]){ FAULT_madvise }, 1);
    faults_always(FAULT_madvise, 0); /* from here on guards are of mprotect */
    live_simulated(&crowd, (enum fault[]){ FAULT_mprotect }, 1);
    crowd.config = config_for(2, false);
    FAULTS_EACH(live, &crowd, FAULT_mprotect);
    faults_always(FAULT_mprotect, 0); /* and from here on there are none */
    FAULTS_EACH(live, &crowd, FAULT_mmap);
    faults_always_none();
}

/* ---- task memory ---------------------------------------------------------------------------------------------- */

/* More than a runtime keeps for ever, so that some is given back while the next wave has not come. */
enum { FUTURES = 18000, FUTURE_WAVES = 3 };

struct brief {
    SKUA_FRAME;
    struct {
        struct crowd *crowd;
    } in;
};
SKUA_ASYNC(brief)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    self->in.crowd->ended++;
    SKUA_END(0);
}

static int future_waves(void *arg)
{
    struct crowd *crowd = arg;
    for (int wave = 0; wave < FUTURE_WAVES; wave++) {
        for (int i = 0; i < FUTURES; i++)
            crowd->spawned += faults_done(SKUA_GO(brief, .crowd = crowd));
        skua_sleep(3 * SKUA_S);
    }
    return 0;
}

static void live_with_futures(void *arg)
{
    struct crowd *crowd = arg;
    skua_runtime *rt;
    crowd->spawned = crowd->ended = 0;
    CHECK_OK(skua_runtime_create(&rt, &crowd->config));
    CHECK_EQ(skua_block_on(rt, future_waves, crowd), 0);
    CHECK_EQ(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER), 0);
    CHECK_EQ(crowd->ended, crowd->spawned);
    CHECK_EQ(crowd->spawned, FUTURE_WAVES * FUTURES);
    CHECK_EQ(faults_slots_held(rt), 0);
    CHECK_EQ(skua_runtime_destroy(rt), 0);
}

TEST(task_memory_that_the_kernel_will_not_have_back)
{
    if (test_under_tsan())
        TEST_SKIP("one thread: nothing for ThreadSanitizer to see");
    static const enum fault calls[] = { FAULT_madvise };
    struct crowd crowd = { .config = config_for(1, true) };
    live_with_futures(&crowd);
    for (int way = 0; way < 2; way++) {
        faults_always(FAULT_madvise, way);
        live_with_futures(&crowd);
        faults_always_none();
    }
    for (uint64_t i = 0; i < test_scaled(4); i++)
        faults_by_chance(calls, 1, test_seed() + i, 512, live_with_futures, &crowd);
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
