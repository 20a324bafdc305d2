/* Which poller each worker is at home with, on machines that are not there. */
#include "sched/homes.h"

#include <string.h>

#include "skua/runtime.h"
#include "support/test.h"

enum { WORKERS_MAX = 64 };

static uint32_t assign(const struct skuai_topology *t, uint32_t nworkers, uint32_t per_poller, uint32_t *homes)
{
    uint32_t cpus[WORKERS_MAX], at_home[WORKERS_MAX] = { 0 };
    CHECK_OK(skuai_topology_place(t, nworkers, cpus));
    memset(homes, 0xff, WORKERS_MAX * sizeof *homes);
    uint32_t count = skuai_homes_assign(t, cpus, nworkers, per_poller, homes);
    CHECK(count >= 1 && count <= nworkers);
    for (uint32_t i = 0; i < nworkers; i++) {
        CHECK(homes[i] < count);
        at_home[homes[i]]++;
    }
    for (uint32_t i = 0; i < count; i++)
        CHECK(at_home[i] != 0);
    return count;
}

/* Processors, each a core of its own, in nodes of so many. */
static void make_machine(struct skuai_topology *t, struct skuai_cpu *cpus, uint32_t ncpus, uint32_t per_node)
{
    *t = (struct skuai_topology){ .ncpus = ncpus, .cpus = cpus, .usable = ncpus };
    for (uint32_t i = 0; i < ncpus; i++)
        cpus[i] = (struct skuai_cpu){ .os_index = i, .core = i, .l2 = i, .numa = i / per_node };
}

TEST(all_share_one_by_default)
{
    struct skuai_topology t;
    struct skuai_cpu cpus[8];
    uint32_t homes[WORKERS_MAX];
    make_machine(&t, cpus, 8, 4);
    for (uint32_t nworkers = 1; nworkers <= WORKERS_MAX; nworkers++) {
        CHECK_EQ(assign(&t, nworkers, 0, homes), 1);
        CHECK_EQ(assign(&t, nworkers, nworkers, homes), 1);
        CHECK_EQ(assign(&t, nworkers, 1024, homes), 1);
    }
}

TEST(so_many_share_one)
{
    struct skuai_topology t;
    struct skuai_cpu cpus[8];
    uint32_t homes[WORKERS_MAX];
    make_machine(&t, cpus, 8, 8);
    for (uint32_t nworkers = 1; nworkers <= WORKERS_MAX; nworkers++)
        for (uint32_t per = 1; per <= nworkers; per++) {
            uint32_t count = assign(&t, nworkers, per, homes), sizes[WORKERS_MAX] = { 0 };
            CHECK_EQ(count, (nworkers + per - 1) / per);
            for (uint32_t i = 0; i < nworkers; i++)
                sizes[homes[i]]++;
            for (uint32_t i = 0; i + 1 < count; i++)
                CHECK_EQ(sizes[i], per);
        }
    CHECK_EQ(assign(&t, 8, 3, homes), 3);
    static const uint32_t expected[] = { 0, 0, 0, 1, 1, 1, 2, 2 };
    CHECK(memcmp(homes, expected, sizeof expected) == 0);
}

/* More workers than processors go round again: those of one processor share. */
TEST(those_of_one_processor_share)
{
    struct skuai_topology t;
    struct skuai_cpu cpus[4];
    uint32_t homes[WORKERS_MAX];
    make_machine(&t, cpus, 4, 2);
    CHECK_EQ(assign(&t, 8, 2, homes), 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(homes[i], homes[i + 4]);
}

TEST(nodes_without_a_worker_have_none)
{
    struct skuai_topology t;
    struct skuai_cpu cpus[8];
    uint32_t homes[WORKERS_MAX];
    make_machine(&t, cpus, 8, 2);
    CHECK_EQ(assign(&t, 8, SKUA_PER_NUMA_NODE, homes), 4);
    CHECK_EQ(assign(&t, 5, SKUA_PER_NUMA_NODE, homes), 3);
    CHECK_EQ(homes[4], 2);
    CHECK_EQ(assign(&t, 1, SKUA_PER_NUMA_NODE, homes), 1);
    CHECK_EQ(assign(&t, 17, SKUA_PER_NUMA_NODE, homes), 4);
    static const uint32_t odd[] = { 7, 2, 6, 3 }; /* placed by other rules: still from 0 on */
    CHECK_EQ(skuai_homes_assign(&t, odd, 4, SKUA_PER_NUMA_NODE, homes), 2);
    CHECK(homes[0] == 0 && homes[1] == 1 && homes[2] == 0 && homes[3] == 1);
}

#if !defined(SKUAI_NO_HWLOC)
/* Placement gives each core a worker first; the second thread of a core shares with the first all the same. */
TEST(of_a_described_machine)
{
    struct skuai_topology t;
    uint32_t homes[WORKERS_MAX];
    CHECK_OK(skuai_topology_load(&t, "pack:2 numa:2 l3:1 core:2 pu:2", NULL));
    CHECK_EQ(t.ncpus, 16);
    CHECK_EQ(assign(&t, 16, SKUA_PER_NUMA_NODE, homes), 4);
    CHECK_EQ(assign(&t, 16, 4, homes), 4);
    uint32_t cpus[WORKERS_MAX];
    CHECK_OK(skuai_topology_place(&t, 16, cpus));
    for (uint32_t i = 0; i < 16; i++)
        for (uint32_t k = 0; k < 16; k++)
            CHECK_EQ(homes[i] == homes[k], t.cpus[cpus[i]].numa == t.cpus[cpus[k]].numa);
    CHECK_EQ(assign(&t, 16, 2, homes), 8);
    for (uint32_t i = 0; i < 8; i++)
        CHECK_EQ(homes[i], homes[i + 8]); /* siblings */
    skuai_topology_unload(&t);
}
#endif
