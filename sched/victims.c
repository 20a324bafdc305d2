/* See victims.h. */
#include "sched/victims.h"

/* The index of the nearest thing that both share. Workers that share a CPU share its core. */
static uint32_t distance(const struct skuai_cpu *a, const struct skuai_cpu *b)
{
    uint32_t level = 0;
    while (level < SKUAI_SHARE_COUNT && a->share[level] != b->share[level])
        level++;
    return level;
}

size_t skuai_victims_size(uint32_t nworkers)
{
    size_t others = nworkers > 0 ? nworkers - 1u : 0;
    return sizeof(struct skuai_victims) + others * sizeof(uint16_t);
}

/* A counting sort by distance, stable, so that each ring keeps the order w+1, w+2, … */
void skuai_victims_build(const struct skuai_topology *t, const uint32_t *cpu_of_worker, uint32_t nworkers, uint32_t w,
                         struct skuai_victims *out)
{
    const struct skuai_cpu *own = &t->cpus[cpu_of_worker[w]];
    uint32_t count[SKUAI_VICTIM_RINGS] = { 0 };
    uint32_t next[SKUAI_VICTIM_RINGS];
    uint32_t end = 0;

    for (uint32_t other = 0; other < nworkers; other++) {
        if (other != w)
            count[distance(own, &t->cpus[cpu_of_worker[other]])]++;
    }
    out->nrings = 0;
    for (uint32_t level = 0; level < SKUAI_VICTIM_RINGS; level++) {
        next[level] = end;
        end += count[level];
        if (count[level] > 0) {
            out->distance[out->nrings] = (uint16_t)level;
            out->ring_end[out->nrings++] = end;
        }
    }
    for (uint32_t unused = out->nrings; unused < SKUAI_VICTIM_RINGS; unused++) {
        out->distance[unused] = 0; /* so that equal tables are equal bytes */
        out->ring_end[unused] = end;
    }
    for (uint32_t step = 1; step < nworkers; step++) {
        uint32_t other = (w + step) % nworkers;
        uint32_t level = distance(own, &t->cpus[cpu_of_worker[other]]);
        out->order[next[level]++] = (uint16_t)other;
    }
}
