/* Sleep ops, for who arms one in memory of its own (scope.c). See timers.c. */
#ifndef SKUAI_TIMERS_H
#define SKUAI_TIMERS_H

#include "sched/op.h"
#include "sched/timer_wheel.h"

struct skuai_worker;

struct skuai_sleep_op {
    skua_op op;
    struct skuai_timer timer; /* its deadline is when the sleep ends, armed or not */
};

void skuai_sleep_prepare(struct skuai_sleep_op *sleep, uint64_t instant_ns);
/* Arms a prepared one whether or not its time has come, for the calling flow, on its worker. */
void skuai_sleep_arm(struct skuai_worker *worker, struct skuai_sleep_op *sleep);
/* O5, by its owner. True: no timer knows it any more. */
bool skuai_sleep_disarm(struct skuai_sleep_op *sleep);

/* An armed one is to end earlier, says somebody who knows that it still waits; he may be anybody. Under a lock, so what
 * may wake somebody is left for after it. If it has expired meanwhile nothing happens. */
struct skuai_hastened {
    void *sched;       /* held, to be woken to look at its timers; or NULL */
    skua_word32 *word; /* what a plain thread sleeps on; or NULL */
};
#define SKUAI_HASTENED_NONE { NULL, NULL }
void skuai_sleep_hasten(struct skuai_sleep_op *sleep, uint64_t instant_ns, struct skuai_hastened *after);
void skuai_sleep_hastened(const struct skuai_hastened *after);

#endif
