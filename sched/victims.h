/* Whom a worker steals from, near to far.
 *
 * For one worker all others, in rings of equal distance: those on the same core (SMT siblings), on the same L2, the
 * same L3, the same NUMA node, the same package, and the rest. A thief tries a whole ring before the next, so that what
 * it takes is likely to be still in a cache that it shares.
 *
 * A pure function of the topology and the placement: the same input gives the same bytes. Inside a ring the order is
 * w+1, w+2, … modulo the number of workers, so that neighbours do not all fall upon the same victim; the caller starts
 * at a random place in each ring and goes round it. Randomness is the caller's, because it comes from the runtime's one
 * source of decisions.
 *
 * Threads: any; build writes to `out` alone. Blocks: never, and allocates nothing.
 */
#ifndef SKUAI_VICTIMS_H
#define SKUAI_VICTIMS_H

#include "sched/topology.h"

#define SKUAI_VICTIM_RINGS (SKUAI_SHARE_COUNT + 1u) /* what two CPUs may share, and nothing */

/* 16-bit numbers: the tables of 512 workers take half a megabyte, one table two kilobytes that stay in the L1. */
#define SKUAI_VICTIMS_MAX_WORKERS 65535u

struct skuai_victims {
    uint32_t nrings;                       /* rings without members are left out */
    uint32_t ring_end[SKUAI_VICTIM_RINGS]; /* ring r is order[ring_end[r - 1]] … order[ring_end[r] - 1] */
    uint16_t distance[SKUAI_VICTIM_RINGS]; /* of each ring: an enum skuai_share, or SKUAI_SHARE_COUNT */
    uint16_t order[];                      /* worker numbers, one for each other worker */
};

/* The bytes that a table for one of nworkers workers needs. */
size_t skuai_victims_size(uint32_t nworkers);

/* Fills the table of worker w < nworkers <= SKUAI_VICTIMS_MAX_WORKERS. Worker i runs on t->cpus[cpu_of_worker[i]]
 * (skuai_topology_place). */
void skuai_victims_build(const struct skuai_topology *t, const uint32_t *cpu_of_worker, uint32_t nworkers, uint32_t w,
                         struct skuai_victims *out);

/* How far away order[at] is. */
static inline uint32_t skuai_victims_distance(const struct skuai_victims *victims, uint32_t at)
{
    uint32_t ring = 0;
    while (at >= victims->ring_end[ring])
        ring++;
    return victims->distance[ring];
}

/* Where ring r begins in order[]. */
static inline uint32_t skuai_victims_ring_start(const struct skuai_victims *victims, uint32_t ring)
{
    return ring == 0 ? 0 : victims->ring_end[ring - 1];
}

#endif
