/* The order of victims on described machines: complete, without oneself, near before far by a distance that is worked
 * out here from the shape of the machine alone. */
#include <stdlib.h>
#include <string.h>

#include "sched/victims.h"
#include "support/test.h"

#if !defined(SKUAI_NO_HWLOC) /* machines that only hwloc can describe */

/* Machines whose levels divide evenly, so that CPU i's core, L2, … are i divided by the CPUs in each (0: the machine
 * has no such thing). */
struct machine {
    const char *text;
    uint32_t ncpus;
    uint32_t per[SKUAI_SHARE_COUNT]; /* CPUs in a core, L2, L3, NUMA node, package */
};

static const struct machine machines[] = {
    { "core:1 pu:1", 1, { 1, 0, 0, 0, 0 } },
    { "core:1 pu:4", 4, { 4, 0, 0, 0, 0 } },
    { "pack:1 core:8 pu:1", 8, { 1, 0, 0, 0, 8 } },
    { "pack:1 numa:1 l3:1 l2:4 core:1 pu:2", 8, { 2, 2, 8, 8, 8 } },
    { "numa:4 core:3 pu:2", 24, { 2, 0, 0, 6, 0 } },
    { "pack:2 numa:2 l3:2 l2:4 core:2 pu:2", 128, { 2, 4, 16, 32, 64 } },
    { "pack:2 numa:4 l3:2 l2:4 core:4 pu:2", 512, { 2, 8, 32, 64, 256 } },
};

#define NMACHINES (sizeof machines / sizeof machines[0])

static uint32_t expected_distance(const struct machine *machine, uint32_t cpu_a, uint32_t cpu_b)
{
    for (uint32_t level = 0; level < SKUAI_SHARE_COUNT; level++) {
        if (machine->per[level] && cpu_a / machine->per[level] == cpu_b / machine->per[level])
            return level;
    }
    return SKUAI_SHARE_COUNT;
}

struct team {
    struct skuai_topology topology;
    uint32_t nworkers;
    uint32_t *cpus;
    struct skuai_victims *victims;
};

static bool team_gather(struct team *team, const char *text, uint32_t nworkers)
{
    if (skuai_topology_load(&team->topology, text, NULL) != 0)
        return false;
    team->nworkers = nworkers;
    team->cpus = calloc(nworkers, sizeof *team->cpus);
    team->victims = malloc(skuai_victims_size(nworkers));
    return team->cpus && team->victims && skuai_topology_place(&team->topology, nworkers, team->cpus) == 0;
}

static void team_dismiss(struct team *team)
{
    free(team->victims);
    free(team->cpus);
    skuai_topology_unload(&team->topology);
}

static const struct skuai_victims *victims_of(struct team *team, uint32_t w)
{
    memset(team->victims, 0xa5, skuai_victims_size(team->nworkers));
    skuai_victims_build(&team->topology, team->cpus, team->nworkers, w, team->victims);
    return team->victims;
}

static bool is_complete(const struct skuai_victims *victims, uint32_t nworkers, uint32_t w)
{
    uint32_t members = nworkers - 1;
    bool ok = victims->nrings <= SKUAI_VICTIM_RINGS && (members > 0) == (victims->nrings > 0);
    uint8_t *seen = calloc(nworkers, 1);
    if (!seen)
        return false;
    for (uint32_t ring = 0; ok && ring < victims->nrings; ring++)
        ok = victims->ring_end[ring] > skuai_victims_ring_start(victims, ring);
    ok = ok && (members == 0 || victims->ring_end[victims->nrings - 1] == members);
    for (uint32_t i = 0; ok && i < members; i++)
        ok = victims->order[i] < nworkers && victims->order[i] != w && seen[victims->order[i]]++ == 0;
    free(seen);
    return ok;
}

/* By the table of processors. */
static uint32_t shared(const struct team *team, uint32_t w, uint32_t other)
{
    const struct skuai_cpu *a = &team->topology.cpus[team->cpus[w]], *b = &team->topology.cpus[team->cpus[other]];
    uint32_t level = 0;
    while (level < SKUAI_SHARE_COUNT && a->share[level] != b->share[level])
        level++;
    return level;
}

/* Inside a ring all distances are equal and the order is rotated from w; from ring to ring distances grow. */
static bool is_sorted(const struct skuai_victims *victims, const struct machine *machine, const struct team *team,
                      uint32_t w)
{
    uint32_t last_distance = 0;
    for (uint32_t ring = 0; ring < victims->nrings; ring++) {
        uint32_t last_step = 0;
        uint32_t start = skuai_victims_ring_start(victims, ring);
        for (uint32_t i = start; i < victims->ring_end[ring]; i++) {
            uint32_t other = victims->order[i];
            if (skuai_victims_distance(victims, i) != shared(team, w, other))
                return false;
            uint32_t distance = expected_distance(machine, team->cpus[w], team->cpus[other]);
            uint32_t step = (other + team->nworkers - w) % team->nworkers;
            if (i == start ? ring > 0 && distance <= last_distance : distance != last_distance)
                return false;
            if (step <= last_step)
                return false;
            last_distance = distance;
            last_step = step;
        }
    }
    return true;
}

static bool check_team(const struct machine *machine, uint32_t nworkers)
{
    struct team team = { 0 };
    bool ok = team_gather(&team, machine->text, nworkers) && team.topology.why_flat == 0 &&
              team.topology.ncpus == machine->ncpus;
    for (uint32_t w = 0; ok && w < nworkers; w++) {
        const struct skuai_victims *victims = victims_of(&team, w);
        ok = is_complete(victims, nworkers, w) && is_sorted(victims, machine, &team, w);
    }
    team_dismiss(&team);
    return ok;
}

TEST(victims_complete_and_near_first)
{
    for (size_t i = 0; i < NMACHINES; i++)
        CHECK(check_team(&machines[i], machines[i].ncpus));
}

TEST(victims_of_few_workers)
{
    for (size_t i = 0; i < NMACHINES; i++) {
        CHECK(check_team(&machines[i], 1));
        CHECK(check_team(&machines[i], machines[i].ncpus / 2 + 1));
    }
}

TEST(victims_of_more_workers_than_cpus)
{
    for (size_t i = 0; i + 1 < NMACHINES; i++) {
        CHECK(check_team(&machines[i], machines[i].ncpus + 1));
        CHECK(check_team(&machines[i], machines[i].ncpus * 2 + 3));
    }
}

/* In which ring `of` has `other`, named by what the ring's first member shares with `of`. */
static uint32_t level_in_table(const struct skuai_victims *victims, const struct team *team, uint32_t of,
                               uint32_t other)
{
    const struct skuai_cpu *a = &team->topology.cpus[team->cpus[of]];
    for (uint32_t ring = 0; ring < victims->nrings; ring++) {
        for (uint32_t i = skuai_victims_ring_start(victims, ring); i < victims->ring_end[ring]; i++) {
            if (victims->order[i] != other)
                continue;
            const struct skuai_cpu *first =
                &team->topology.cpus[team->cpus[victims->order[skuai_victims_ring_start(victims, ring)]]];
            uint32_t level = 0;
            while (level < SKUAI_SHARE_COUNT && a->share[level] != first->share[level])
                level++;
            return level;
        }
    }
    return UINT32_MAX;
}

TEST(victims_symmetric)
{
    struct team team = { 0 };
    enum { N = 60 }; /* one ring of each kind and fewer workers than CPUs */
    static uint32_t level[N][N];
    CHECK(team_gather(&team, "pack:2 numa:2 l3:2 l2:2 core:2 pu:2", N));
    for (uint32_t w = 0; w < N; w++) {
        const struct skuai_victims *victims = victims_of(&team, w);
        for (uint32_t other = 0; other < N; other++)
            level[w][other] = level_in_table(victims, &team, w, other);
    }
    bool symmetric = true;
    for (uint32_t w = 0; w < N; w++) {
        for (uint32_t other = 0; other < N; other++)
            symmetric = symmetric && level[w][other] == level[other][w] &&
                        (level[w][other] == UINT32_MAX) == (w == other);
    }
    CHECK(symmetric);
    team_dismiss(&team);
}

TEST(victims_all_six_rings)
{
    struct team team = { 0 };
    CHECK(team_gather(&team, "pack:2 numa:2 l3:2 l2:2 core:2 pu:2", 64));
    const struct skuai_victims *victims = victims_of(&team, 0);
    static const uint32_t ends[SKUAI_VICTIM_RINGS] = { 1, 3, 7, 15, 31, 63 };
    CHECK_EQ(victims->nrings, SKUAI_VICTIM_RINGS);
    CHECK(memcmp(victims->ring_end, ends, sizeof ends) == 0);
    for (uint32_t ring = 0; ring < SKUAI_VICTIM_RINGS; ring++)
        CHECK_EQ(victims->distance[ring], ring);
    team_dismiss(&team);
}

TEST(victims_same_input_same_bytes)
{
    struct team team = { 0 };
    CHECK(team_gather(&team, "pack:2 l3:3 core:5 pu:2", 60));
    size_t size = skuai_victims_size(60);
    struct skuai_victims *first = malloc(size);
    bool same = first != NULL;
    for (uint32_t w = 0; same && w < 60; w++) {
        memcpy(first, victims_of(&team, w), size);
        memset(team.victims, 0x5a, size);
        skuai_victims_build(&team.topology, team.cpus, 60, w, team.victims);
        same = memcmp(first, team.victims, offsetof(struct skuai_victims, order) + 59 * sizeof(uint16_t)) == 0;
    }
    CHECK(same);
    free(first);
    team_dismiss(&team);
}

#endif

/* Symmetric even where things do not nest: here a NUMA node reaches over two packages. Built by hand: no hwloc. */
TEST(victims_things_that_do_not_nest)
{
    struct skuai_cpu cpus[4];
    struct skuai_topology topology = { .ncpus = 4, .cpus = cpus };
    uint32_t where[4] = { 0, 1, 2, 3 };
    uint64_t table[8];
    struct skuai_victims *victims = (struct skuai_victims *)table;
    CHECK(skuai_victims_size(4) <= sizeof table);
    for (uint32_t i = 0; i < 4; i++) {
        cpus[i] = (struct skuai_cpu){ .os_index = i, .core = i, .l2 = i, .l3 = i };
        cpus[i].numa = i == 1 || i == 2;
        cpus[i].package = i / 2;
    }
    skuai_victims_build(&topology, where, 4, 1, victims);
    CHECK_EQ(victims->nrings, 3);
    CHECK_EQ(victims->order[0], 2);
    CHECK_EQ(victims->order[1], 0);
    CHECK_EQ(victims->order[2], 3);
    CHECK_EQ(skuai_victims_distance(victims, 0), SKUAI_SHARE_NUMA);
    CHECK_EQ(skuai_victims_distance(victims, 1), SKUAI_SHARE_PACKAGE);
    CHECK_EQ(skuai_victims_distance(victims, 2), SKUAI_SHARE_COUNT);
}
