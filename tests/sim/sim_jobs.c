/* Random trees of jobs under many seeds, which decide at each fork and join whether to share and whether to step
 * aside. */
#include "support/random_jobs.h"

static int run_tree(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    CHECK_EQ(SKUA_RUN(jobs_tree, seed, 6), jobs_serial(seed, 6));
    return 0;
}

TEST(trees_of_jobs_under_many_seeds)
{
    uint64_t end = test_seed() + test_scaled_seeds(3000);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        run_seeded(seed, 1 + (uint32_t)(seed % 7), run_tree, &seed);
}

#if !defined(SKUAI_NO_HWLOC)
TEST(trees_of_jobs_on_machines)
{
    static const char *const machines[] = { "core:1 pu:1", "core:2 pu:2", "numa:2 core:8 pu:1", "numa:4 core:16 pu:1" };
    uint64_t end = test_seed() + test_scaled_seeds(200);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        run_on_machine(machines[seed % 4], seed, run_tree, &seed);
}
#endif

TEST(trees_of_jobs_on_many_virtual_workers)
{
    uint64_t end = test_seed() + test_scaled(20);
    for (uint64_t seed = test_seed(); seed < end; seed++)
        run_seeded(seed, 64, run_tree, &seed);
}
