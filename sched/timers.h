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

#endif
