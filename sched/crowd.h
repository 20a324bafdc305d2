/* Whether the processors are crowded, so that company does not pay.
 *
 * Workers that serve descriptors take turns of some microseconds. If there is a processor for each, a second one halves
 * the time that a batch of events takes. If there is none, because those that they serve run on the same processors, it
 * takes the place of who would have sent the next events, and both lose: an echo server's requests took half as much
 * time again on two workers as on one, beside a generator on two processors. Nobody else sees that but the kernel,
 * which knows for how long a thread was ready and did not run. So the guard asks it, while there are many events, and
 * while that was an eighth of the workers' time, and runs are short and come from events, it calls the processors
 * crowded for a while: 50 ms, then twice as long each time, up to 1.6 s, if they are so again soon after.
 *
 * While they are, one worker serves as much as it can (idle.h, P6; poll.h, K8): whoever else has nothing to do goes to
 * sleep on its parker without looking for others' tasks, and events wake nobody but whom they are for. What that worker
 * has not come to between two of the guard's looks, 2 to 4 ms, another one is woken for (lagging), so that capacity is
 * not limited by it; and nothing that is not woken by events is affected: spawns, injected tasks, jobs and timers wake
 * as ever. Whichever way it is decided, all is served: it is a hint.
 */
#ifndef SKUAI_CROWD_H
#define SKUAI_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

struct skuai_scheduler;

struct skuai_crowd {
    skua_word32 is;    /* 1: crowded; the guard writes, workers read; relaxed */
    skua_word64 begun; /* how often it has begun; the guard's, read by anybody; relaxed */
    /* the guard's own */
    uint64_t seen_ns, events, until_ns, hold_ns, ended_ns;
};

/* What the guard knows of a worker. */
struct skuai_crowd_share {
    uint64_t ran_ns, waited_ns, polls;
    bool is_known;
    uint64_t lag_polls;   /* at the last look, */
    uint64_t lag_waiting; /* and how many tasks were in its queues */
};

SKUAI_INLINE bool skuai_crowd_is(const struct skuai_crowd *crowd)
{
    return SKUAI_UNLIKELY(skuai_load_32(&crowd->is, SKUAI_RELAXED) != 0); /* a hint */
}

/* By the guard, at each of its looks. */
void skuai_crowd_watch(struct skuai_scheduler *sched, uint64_t now_ns);

/* Likewise, while it is crowded: some worker has not run as many tasks since the last look as it had in its queues
 * then. */
bool skuai_crowd_lags(struct skuai_scheduler *sched);

/* For how long a thread of this process has run, and was ready to and did not, so far. False: this system does not
 * say. `number` is the kernel's. */
bool skuai_crowd_read(long number, uint64_t *ran_ns, uint64_t *waited_ns);

#endif
