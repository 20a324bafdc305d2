/* Random trees of jobs on 1 to 32 real workers, from several fibers at once: the serial answer each time. */
#include "support/random_jobs.h"

enum { FIBERS = 3, DEPTH = 14 };

static int run_tree(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    CHECK_EQ(SKUA_RUN(jobs_tree, seed, DEPTH), jobs_serial(seed, DEPTH));
    return 0;
}

static int run_trees(void *arg)
{
    skua_task *task[FIBERS];
    uint64_t seed[FIBERS];
    for (uint64_t i = 0; i < FIBERS; i++) {
        seed[i] = jobs_mix(*(uint64_t *)arg + i);
        CHECK_OK(skua_spawn(&task[i], run_tree, &seed[i]));
    }
    for (int i = 0; i < FIBERS; i++)
        CHECK_OK(skua_join(task[i], NULL));
    return 0;
}

TEST(random_trees_of_jobs_on_1_to_32_workers)
{
    static const uint32_t workers[] = { 1, 2, 3, 4, 8, 16, 32 };
    uint64_t end = test_seed() + test_scaled(24);
    for (uint64_t seed = test_seed(); seed < end; seed++) {
        test_at_seed(seed);
        for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
            run_on(workers[i], run_trees, &(uint64_t){ seed * 1000 + i });
    }
    test_at_no_seed();
}
