/* See homes.h. */
#include "sched/homes.h"

#include "skua/runtime.h"

/* Each node that is met first gets the next number: home_of_worker of those before tells which have one. */
static uint32_t assign_by_node(const struct skuai_topology *t, const uint32_t *cpu_of_worker, uint32_t nworkers,
                               uint32_t *home_of_worker)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < nworkers; i++) {
        uint32_t node = t->cpus[cpu_of_worker[i]].numa, same = 0;
        while (same < i && t->cpus[cpu_of_worker[same]].numa != node)
            same++;
        home_of_worker[i] = same < i ? home_of_worker[same] : count++;
    }
    return count;
}

uint32_t skuai_homes_assign(const struct skuai_topology *t, const uint32_t *cpu_of_worker, uint32_t nworkers,
                            uint32_t per_poller, uint32_t *home_of_worker)
{
    if (per_poller == SKUA_PER_NUMA_NODE)
        return assign_by_node(t, cpu_of_worker, nworkers, home_of_worker);
    if (per_poller == 0 || per_poller >= nworkers) {
        for (uint32_t i = 0; i < nworkers; i++)
            home_of_worker[i] = 0;
        return 1;
    }
    for (uint32_t i = 0; i < nworkers; i++) {
        uint32_t cpu = cpu_of_worker[i], before = 0;
        for (uint32_t other = 0; other < nworkers; other++) /* a million steps for 1,024 workers, once per runtime */
            before += cpu_of_worker[other] < cpu || (cpu_of_worker[other] == cpu && other < i);
        home_of_worker[i] = before / per_poller;
    }
    return (nworkers + per_poller - 1) / per_poller;
}
