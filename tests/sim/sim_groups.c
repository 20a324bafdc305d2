/* Random trees of groups under many seeds. */
#include "support/random_groups.h"

static struct random_groups run_one(uint64_t seed, uint32_t workers, int depth)
{
    struct random_groups all = { .started = 0 };
    struct random_member root = { &all, NULL, seed * 977 + 1, depth };
    CHECK_EQ(run_seeded(seed, workers, random_groups_root, &root), 0);
    test_at_seed(seed);
    check_random_groups(&all);
    test_at_no_seed();
    return all;
}

static void run_many(uint64_t seeds, uint32_t workers_most, int depth)
{
    struct random_groups sum = { .started = 0 };
    for (uint64_t seed = test_seed(); seed < test_seed() + seeds; seed++) {
        struct random_groups one = run_one(seed, 1 + (uint32_t)(seed % workers_most), depth);
        sum.started += one.started;
        sum.refused += one.refused;
        sum.failures += one.failures;
        sum.cancellations += one.cancellations;
        sum.timeouts += one.timeouts;
        sum.waits += one.waits;
    }
    if (seeds < 50)
        return;
    CHECK(sum.refused > 0 && sum.failures > 0 && sum.cancellations > 0 && sum.timeouts > 0 && sum.waits > 0);
}

TEST(small_trees_under_thousands_of_seeds) { run_many(test_scaled_seeds(3000), 7, 2); }
TEST(large_trees_under_some_seeds) { run_many(test_scaled_seeds(100), 32, 4); }
