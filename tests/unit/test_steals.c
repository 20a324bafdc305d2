/* Steals by distance: what is counted is what the thief's and the victim's processors share, on machines of two
 * processors and of many; and what spare workers have to do with is counted apart. */
#include <stdlib.h>

#include "support/with_runtime.h"

static uint64_t sum_at(const uint64_t steals_at[SKUA_DISTANCES])
{
    uint64_t sum = 0;
    for (int i = 0; i < SKUA_DISTANCES; i++)
        sum += steals_at[i];
    return sum;
}

/* Each worker's are the steals that it has counted, and all of them together the runtime's. */
static void check_sums(skua_runtime *rt, skua_stats *stats)
{
    skua_worker_stats worker;
    uint64_t sums[SKUA_DISTANCES] = { 0 };
    for (uint32_t i = 0; skua_runtime_worker_stats(rt, i, &worker) == 0; i++) {
        CHECK_EQ(sum_at(worker.steals_at), worker.steals);
        for (int j = 0; j < SKUA_DISTANCES; j++)
            sums[j] += worker.steals_at[j];
    }
    skua_runtime_stats(rt, stats);
    for (int j = 0; j < SKUA_DISTANCES; j++)
        CHECK_EQ(sums[j], stats->steals_at[j]);
    CHECK_EQ(sum_at(stats->steals_at), stats->steals);
}

#if !defined(SKUAI_NO_HWLOC)

static int computes(void *arg)
{
    (void)arg;
    skua_sim_compute(SKUA_MS);
    return 0;
}

static int spawns(void *arg)
{
    skua_group g;
    (void)arg;
    skua_group_init(&g);
    for (int i = 0; i < 200; i++)
        CHECK_OK(skua_group_go(&g, computes, NULL));
    return (int)skua_group_wait(&g);
}

static void steal_on(const char *machine, skua_stats *stats)
{
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .sim_machine = machine, .sim_seed = test_seed(),
                                                      .ignore_environment = true }));
    CHECK_EQ(skua_block_on(rt, spawns, NULL), 0);
    check_sums(rt, stats);
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(between_two)
{
    static const struct {
        const char *machine;
        enum skua_distance distance;
    } pairs[] = {
        { "core:1 pu:2", SKUA_DISTANCE_CORE },
        { "l2:1 core:2 pu:1", SKUA_DISTANCE_L2 },
        { "l3:1 l2:2 core:1 pu:1", SKUA_DISTANCE_L3 },
        { "pack:1 l3:2 core:1 pu:1", SKUA_DISTANCE_NUMA }, /* hwloc knows of one node at least */
        { "pack:1 numa:2 core:1 pu:1", SKUA_DISTANCE_PACKAGE },
        { "pack:2 numa:1 core:1 pu:1", SKUA_DISTANCE_MACHINE },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        skua_stats stats;
        steal_on(pairs[i].machine, &stats);
        CHECK_EQ(stats.workers, 2);
        CHECK(stats.steals > 0);
        CHECK_EQ(stats.steals_at[pairs[i].distance], stats.steals);
    }
}

TEST(on_a_machine_of_many)
{
    skua_stats stats;
    steal_on("pack:2 numa:2 l3:2 core:2 pu:2", &stats);
    CHECK_EQ(stats.workers, 32);
    CHECK_EQ(stats.steals_at[SKUA_DISTANCE_L2], 0); /* it has none */
    CHECK_EQ(stats.steals_at[SKUA_DISTANCE_SPARE], 0);
    uint64_t near = stats.steals_at[SKUA_DISTANCE_CORE] + stats.steals_at[SKUA_DISTANCE_L3];
    CHECK(near > 0 && near < stats.steals);
}

#endif

static int sets(void *arg)
{
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELEASE);
    return 0;
}

/* Runs on until others have run what it spawned: they must have stolen it. */
static int is_robbed(void *arg)
{
    int done = 0;
    (void)arg;
    skua_group g;
    skua_group_init(&g);
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_group_go(&g, sets, &done));
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) == 0)
        ;
    return (int)skua_group_wait(&g);
}

static void rob(skua_config config, skua_stats *stats)
{
    skua_runtime *rt;
    config.ignore_environment = true;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, is_robbed, NULL), 0);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    check_sums(rt, stats);
    CHECK(stats->steals > 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

#if !defined(SKUAI_NO_HWLOC)
TEST(by_threads_on_a_described_machine)
{
    skua_stats stats;
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    CHECK_EQ(setenv("HWLOC_SYNTHETIC", "pack:2 numa:1 core:1 pu:1", 1), 0);
    rob((skua_config){ .workers = 2, .stuck_ns = SKUA_NEVER }, &stats);
    CHECK_EQ(stats.steals_at[SKUA_DISTANCE_MACHINE], stats.steals);
    CHECK_EQ(unsetenv("HWLOC_SYNTHETIC"), 0);
}
#endif

TEST(more_workers_than_processors_share_one)
{
    skua_stats stats;
#if !defined(SKUAI_NO_HWLOC)
    test_allow_heap_growth(4096);
    CHECK_EQ(setenv("HWLOC_SYNTHETIC", "core:1 pu:1", 1), 0);
    rob((skua_config){ .workers = 3, .stuck_ns = SKUA_NEVER }, &stats);
    CHECK_EQ(stats.steals_at[SKUA_DISTANCE_CORE], stats.steals);
    CHECK_EQ(unsetenv("HWLOC_SYNTHETIC"), 0);
#else
    rob((skua_config){ .workers = 3, .stuck_ns = SKUA_NEVER }, &stats);
#endif
}

/* The only worker is held, so a spare one steals from it, and perhaps the other way round. */
TEST(by_a_spare_worker)
{
    skua_stats stats;
    rob((skua_config){ .workers = 1, .spare_workers = 1, .stuck_ns = SKUA_MS }, &stats);
    CHECK_EQ(stats.steals_at[SKUA_DISTANCE_SPARE], stats.steals);
}
