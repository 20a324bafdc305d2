/* Random trees of groups on more real workers than there are processors. */
#include "support/random_groups.h"

static void run_trees(uint32_t workers, int depth, uint64_t rounds)
{
    for (uint64_t round = 0; round < rounds; round++) {
        struct random_groups all = { .started = 0 };
        struct random_member root = { &all, NULL, test_seed() * 977 + round, depth };
        CHECK_EQ(run_on(workers, random_groups_root, &root), 0);
        check_random_groups(&all);
    }
}

TEST(trees_on_one_worker) { run_trees(1, 3, test_scaled(30)); }
TEST(trees_on_two_workers) { run_trees(2, 4, test_scaled(60)); }
TEST(trees_on_many_workers) { run_trees(12, 4, test_scaled(100)); }
