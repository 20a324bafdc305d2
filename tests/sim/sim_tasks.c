/* Random trees of tasks under many seeds. A failure names the seed; SKUA_TEST_SEED=N runs from that seed on, and
 * SKUA_TEST_SCALE the number of seeds. */
#include "support/random_tasks.h"

static void run_one(uint64_t seed, uint32_t workers, int depth)
{
    struct random_tasks all = { 0, 0, 0 };
    struct random_task root = { &all, seed * 977 + 1, depth };
    int64_t result = run_seeded(seed, workers, random_root, &root);
    if (result != 0)
        fprintf(stderr, "seed %llu, %u workers: replay with SKUA_TEST_SEED=%llu SKUA_TEST_SCALE=0 %s\n",
                (unsigned long long)seed, workers, (unsigned long long)seed, "sim_tasks");
    CHECK_EQ(result, 0);
    check_random_tasks(&all);
}

TEST(small_trees_under_thousands_of_seeds)
{
    uint64_t seeds = test_scaled(3000);
    for (uint64_t seed = test_seed(); seed < test_seed() + seeds; seed++)
        run_one(seed, 1 + (uint32_t)(seed % 7), 2);
}

TEST(large_trees_under_some_seeds)
{
    uint64_t seeds = test_scaled(60);
    for (uint64_t seed = test_seed(); seed < test_seed() + seeds; seed++)
        run_one(seed, 2 + (uint32_t)(seed % 31), 5);
}
