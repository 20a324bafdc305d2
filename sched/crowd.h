/* Whether the processors are crowded, so that company does not pay.
 *
 * Workers that serve descriptors take turns of some microseconds. If there is a processor for each, a second one halves
 * the time that a batch of events takes. If there is none, because those that they serve run on the same processors, it
 * takes the place of who would have sent the next events, and both lose: an echo server's requests took half as much
 * time again on two workers as on one, beside a generator on two processors. Nobody else sees that but the kernel,
 * which knows for how long a thread was ready and did not run. So the guard asks it, while there are many events, and
 * if that was an eighth of the workers' time or more, and runs are short and come from events, it sets a *limit*: so
 * many workers are enough as had a processor on average, for 50 ms, then for twice as long each time, up to 1.6 s, if
 * the processors are crowded again as soon as there is one more. Where those wait as well it gives up for as long: it
 * is others then who crowd, and who runs fewer threads among them has less of the processors. So it does if the guard
 * has to look into the poller at several looks in a row, as those that are awake are in long runs or blocked.
 *
 * Where as many as the limit are awake (idle.h, P6; poll.h, K8) who has served events and has nothing to do goes to
 * sleep on its parker without looking for others' tasks, and events wake nobody but whom they are for. What a worker
 * has not come to between two of the guard's looks, 2 to 4 ms, one more is woken for (lagging), so the limit does not
 * limit what can be done. Nothing that is not woken by events is affected: spawns, injected tasks, jobs and timers wake
 * as ever. Whichever way it is decided, all is served: it is a hint.
 */
#ifndef SKUAI_CROWD_H
#define SKUAI_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

struct skuai_scheduler;

struct skuai_crowd {
    skua_word32 limit; /* 0: none; the guard writes, workers read; relaxed */
    skua_word64 begun; /* how often there was a first one; the guard's, read by anybody; relaxed */
    skua_word64 until_ns; /* likewise, when to raise it */
    /* the guard's own */
    uint64_t seen_ns, events, hold_ns;
    uint64_t raised_ns; /* when the limit was, if not lowered since; or 0 */
    uint64_t paused_ns; /* until when there is to be none; or 0 */
    uint64_t by_guard;  /* events that it had to see to */
    uint32_t in_vain, neglected;
};

/* What the guard knows of a worker. */
struct skuai_crowd_share {
    uint64_t ran_ns, waited_ns, polls;
    bool is_known, has_run;
    uint64_t lag_polls;   /* at the last look, */
    uint64_t lag_waiting; /* and how many tasks were in its queues */
};

/* So many awake workers are enough. */
SKUAI_INLINE bool skuai_crowd_is_enough(const struct skuai_crowd *crowd, uint32_t awake)
{
    uint32_t limit = skuai_load_32(&crowd->limit, SKUAI_RELAXED); /* a hint */
    return SKUAI_UNLIKELY(limit != 0) && awake >= limit;
}

/* By the guard, at each of its looks. */
void skuai_crowd_watch(struct skuai_scheduler *sched, uint64_t now_ns);

/* Likewise, while enough are awake: some worker has not run as many tasks since the last look as it had in its queues
 * then. */
bool skuai_crowd_lags(struct skuai_scheduler *sched);

/* For how long a thread of this process has run, and was ready to and did not, so far. False: this system does not
 * say. `number` is the kernel's. */
bool skuai_crowd_read(long number, uint64_t *ran_ns, uint64_t *waited_ns);

#endif
