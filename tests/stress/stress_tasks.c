/* Random trees of tasks on 1 to 32 real workers, with threads outside the runtime joining in. */
#include <pthread.h>

#include "support/random_tasks.h"

struct outside {
    skua_runtime *rt;
    uint64_t seed;
};

static void *from_outside(void *arg)
{
    struct outside *outside = arg;
    for (uint64_t i = 0; i < test_scaled(5); i++) {
        struct random_tasks all = { 0, 0, 0 };
        struct random_task root = { &all, outside->seed + i, 6 };
        CHECK_EQ(skua_block_on(outside->rt, random_root, &root), 0);
        check_random_tasks(&all);
    }
    return NULL;
}

static void stress(uint32_t workers, uint64_t seed)
{
    enum { THREADS = 3 };
    skua_runtime *rt;
    pthread_t threads[THREADS];
    struct outside outside[THREADS];
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = workers, .ignore_environment = true }));
    for (uint64_t i = 0; i < THREADS; i++) {
        outside[i] = (struct outside){ rt, seed * 1000 + i * 100 };
        CHECK_EQ(pthread_create(&threads[i], NULL, from_outside, &outside[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(random_trees_on_1_to_32_workers)
{
    static const uint32_t workers[] = { 1, 2, 3, 4, 8, 16, 32 };
    uint64_t rounds = test_scaled(4);
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++)
            stress(workers[i], test_seed() + round * 100 + i);
}
