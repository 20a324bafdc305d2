/* Jobs that cannot get memory: for the job stack of a run, or for the fiber of one that is taken. They wait for it, or
 * stay where they are: whatever is refused, each run gives its result. */
#include "support/faults.h"
#include "support/random_jobs.h"

enum { FIBERS = 6, DEPTH = 5 };

struct runs {
    skua_config config;
    uint64_t seed;
    int64_t spawned, right; /* right: __atomic */
};

static int run_tree(void *arg)
{
    struct runs *runs = arg;
    if (SKUA_RUN(jobs_tree, runs->seed, DEPTH) == jobs_serial(runs->seed, DEPTH))
        __atomic_add_fetch(&runs->right, 1, __ATOMIC_RELAXED);
    return 0;
}

static int run_trees(void *arg)
{
    struct runs *runs = arg;
    skua_task *task[FIBERS];
    int ntasks = 0;
    for (int i = 0; i < FIBERS; i++)
        if (faults_done(skua_spawn(&task[ntasks], run_tree, runs)))
            ntasks++;
    runs->spawned = ntasks;
    for (int i = 0; i < ntasks; i++)
        CHECK_OK(skua_join(task[i], NULL));
    return 0;
}

static void live(void *arg)
{
    struct runs *runs = arg;
    skua_runtime *rt;
    runs->spawned = runs->right = 0;
    if (!faults_done(skua_runtime_create(&rt, &runs->config)))
        return;
    faults_done(skua_block_on(rt, run_trees, runs));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(faults_slots_held(rt), 0);
    CHECK_EQ(runs->right, runs->spawned);
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(without_memory_for_jobs)
{
    struct runs runs = { .config = faults_config(2, true), .seed = test_seed() };
    FAULTS_EACH(live, &runs, FAULT_mmap, FAULT_munmap, FAULT_mprotect);
}

TEST(without_memory_in_a_simulation)
{
    struct runs runs = { .config = faults_config(3, true), .seed = test_seed() };
    runs.config.simulate = true;
    runs.config.sim_seed = test_seed();
    if (test_under_tsan())
        TEST_SKIP("one thread: nothing for ThreadSanitizer to see");
    FAULTS_EACH(live, &runs, FAULT_mmap, FAULT_munmap, FAULT_mprotect);
}

TEST(without_memory_by_chance)
{
    static const enum fault calls[] = { FAULT_mmap, FAULT_munmap, FAULT_madvise, FAULT_mprotect };
    struct runs runs = { .seed = test_seed() };
    for (uint64_t i = 0; i < test_scaled(60); i++) {
        runs.config = faults_config(1 + (uint32_t)i % 4, true);
        faults_by_chance(calls, sizeof calls / sizeof calls[0], test_seed() + i, i % 3 == 0 ? 30 : 500, live, &runs);
    }
}

/* Where membarrier is refused nothing is forced, and all goes on. */
TEST(without_membarrier)
{
    struct runs runs = { .config = faults_config(2, true), .seed = test_seed() };
    for (int way = 0; way < 3; way++) {
        faults_always(FAULT_syscall, way);
        live(&runs);
        faults_always_none();
    }
}
