/* How late timers expire: counted for all that are found at once, and then added to the counters of who found them. */
#ifndef SKUAI_LATENESS_H
#define SKUAI_LATENESS_H

#include "sched/count.h"
#include "skua/runtime.h"

struct skuai_lateness { /* one writer, anybody reads; relaxed */
    skua_word64 sum_ns, max_ns;
    skua_word64 counts[SKUA_LATES]; /* enum skua_late; together, the timers */
};

/* On the stack of who looks. */
struct skuai_late_batch {
    uint64_t sum_ns, max_ns;
    uint64_t counts[SKUA_LATES];
};

/* The bound of each but the last, in nanoseconds. */
#define SKUAI_LATE_BOUNDS { 100000, 1000000, 10000000, 100000000, 1000000000 }

/* Noticed at now_ns; the wheel may have been told of a later time. */
SKUAI_INLINE void skuai_late_note(struct skuai_late_batch *batch, uint64_t deadline_ns, uint64_t now_ns)
{
    static const uint64_t bounds[SKUA_LATE_MORE] = SKUAI_LATE_BOUNDS;
    uint64_t late_ns = now_ns > deadline_ns ? now_ns - deadline_ns : 0;
    uint32_t at = 0;
    while (at < SKUA_LATE_MORE && late_ns > bounds[at])
        at++;
    batch->counts[at]++;
    batch->sum_ns += late_ns;
    batch->max_ns = late_ns > batch->max_ns ? late_ns : batch->max_ns;
}

SKUAI_INLINE void skuai_late_add(struct skuai_lateness *to, const struct skuai_late_batch *batch)
{
    for (uint32_t i = 0; i < SKUA_LATES; i++)
        if (batch->counts[i] != 0)
            skuai_count(&to->counts[i], batch->counts[i]);
    skuai_count(&to->sum_ns, batch->sum_ns);
    skuai_count_max(&to->max_ns, batch->max_ns);
}

#endif
