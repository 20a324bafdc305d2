/* Ops that a timer ends, for who arms one in memory of its own (scope.c). See timers.c.
 *
 * A sleep waits in no queue and has no owner, so its timer lies over these parts of the op and goes on behind it: a
 * million sleeping tasks take three cache lines each, not four. An op that waits in a queue, too, has its timer
 * elsewhere (rate_limiter.c). */
#ifndef SKUAI_TIMERS_H
#define SKUAI_TIMERS_H

#include "sched/op.h"
#include "sched/timer_wheel.h"

struct skuai_worker;

/* Of a skua_sleep_op. Its deadline is when the sleep ends, armed or not. */
SKUAI_INLINE struct skuai_timer *skuai_timer_of_sleep(skua_op *op) { return (struct skuai_timer *)(void *)&op->owner; }

skua_op *skuai_sleep_prepare(skua_op *op, uint64_t instant_ns);
/* Arms a prepared one whether or not its time has come, for the calling flow, on its worker. */
void skuai_sleep_arm(struct skuai_worker *worker, skua_op *op, struct skuai_timer *timer);
/* O5, by its owner. True: no timer knows it any more. */
bool skuai_sleep_disarm(skua_op *op, struct skuai_timer *timer);

/* An armed one is to end earlier, says somebody who knows that it still waits; he may be anybody. Under a lock, so what
 * may wake somebody is left for after it. If it has expired meanwhile nothing happens. */
struct skuai_hastened {
    void *sched;       /* held, to be woken to look at its timers; or NULL */
    skua_word32 *word; /* what a plain thread sleeps on; or NULL */
};
#define SKUAI_HASTENED_NONE { NULL, NULL }
void skuai_sleep_hasten(skua_op *op, struct skuai_timer *timer, uint64_t instant_ns, struct skuai_hastened *after);
void skuai_sleep_hastened(const struct skuai_hastened *after);

#endif
