/* Which poller each worker is at home with (poll.h).
 *
 * Workers that share much share a poller: they are lined up as the machine's processors are, neighbours next to each
 * other, and cut into groups of so many, or by NUMA node. A group has at least one worker, so there are never more
 * pollers than workers.
 *
 * A pure function of the topology and the placement. Threads: any. Blocks: never, and allocates nothing.
 */
#ifndef SKUAI_HOMES_H
#define SKUAI_HOMES_H

#include "sched/topology.h"

/* Worker i is placed on t->cpus[cpu_of_worker[i]] (skuai_topology_place). `per_poller`: so many workers each, the last
 * poller the rest; 0: one poller for all; SKUA_PER_NUMA_NODE: one for each NUMA node on which a worker is placed.
 * Fills home_of_worker with numbers from 0 on. Returns how many there are. */
uint32_t skuai_homes_assign(const struct skuai_topology *t, const uint32_t *cpu_of_worker, uint32_t nworkers,
                            uint32_t per_poller, uint32_t *home_of_worker);

#endif
