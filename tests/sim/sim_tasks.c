/* Random trees of tasks under many seeds. */
#include "support/random_tasks.h"

static void run_one(uint64_t seed, uint32_t workers, int depth)
{
    struct random_tasks all = { 0, 0, 0 };
    test_at_seed(seed);
    struct random_task root = { &all, seed * 977 + 1, depth };
    int64_t result = run_seeded(seed, workers, random_root, &root);
    CHECK_EQ(result, 0);
    test_at_seed(seed);
    check_random_tasks(&all);
    test_at_no_seed();
}

TEST(small_trees_under_thousands_of_seeds)
{
    uint64_t seeds = test_scaled_seeds(3000);
    for (uint64_t seed = test_seed(); seed < test_seed() + seeds; seed++)
        run_one(seed, 1 + (uint32_t)(seed % 7), 2);
}

TEST(large_trees_under_some_seeds)
{
    uint64_t seeds = test_scaled_seeds(60);
    for (uint64_t seed = test_seed(); seed < test_seed() + seeds; seed++)
        run_one(seed, 2 + (uint32_t)(seed % 31), 5);
}
