/* Intervals: doing something again and again, without drifting.
 *
 *     skua_interval every = skua_interval_start(SKUA_S, SKUA_INTERVAL_SKIP);
 *     while (skua_interval_tick(&every, NULL) == 0)
 *         report();
 *
 * Ticks are due at the start plus one period, two periods, and so on; a tick is never early. What happens when the task
 * comes late, because a tick's work took longer than a period or the machine was asleep, is the policy's:
 *
 *     period       |----|----|----|----|----|----|
 *     BURST        x    x         xxx  x    x        missed ticks follow at once, as many as were missed
 *     DELAY        x    x         x    |----x----x   a whole period passes after a late tick: the phase moves
 *     SKIP         x    x         x    x    x        missed ticks are left out: the phase stays
 */
#ifndef SKUA_INTERVAL_H
#define SKUA_INTERVAL_H

#include "skua/base.h"
#include "skua/time.h"

SKUA_BEGIN_DECLS

/* What becomes of missed ticks. */
enum skua_interval_policy {
    SKUA_INTERVAL_BURST, /* they follow at once */
    SKUA_INTERVAL_DELAY, /* a whole period passes after a late tick */
    SKUA_INTERVAL_SKIP   /* they are left out */
};

/* In the caller's memory. One task's or thread's at a time. */
typedef struct skua_interval {
    uint64_t period_ns; /* from tick to tick */
    uint64_t next_ns;   /* when the next tick is due, a time of skua_now(); may be set, to begin at another instant */
    uint32_t policy;    /* enum skua_interval_policy */
    uint32_t reserved;
} skua_interval;

/* The first tick is due a period from now. A period of 0 counts as a nanosecond. */
SKUA_API skua_interval skua_interval_start(uint64_t period_ns, enum skua_interval_policy policy);

/* Waits for the next tick. *missed (may be NULL): how many were left out before it (SKIP, DELAY), or are still to
 * follow at once (BURST).
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked).
 * Cancel: -ECANCELED or -ETIMEDOUT: the tick is still to come. Returns: 0 or those. */
SKUA_API int skua_interval_tick(skua_interval *interval, uint64_t *missed);

/* In futures, and as an arm of a select: the wait is a sleep until next_ns; after it skua_interval_advance() says what
 * was missed and sets next_ns, as skua_interval_tick() does.
 *     SKUA_AWAIT(skua_sleep_until_start(&self->sleep, self->every.next_ns));
 *     missed = skua_interval_advance(&self->every);
 * Blocks: never. */
SKUA_API uint64_t skua_interval_advance(skua_interval *interval);

SKUA_END_DECLS

#endif
