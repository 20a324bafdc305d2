/* The pool of threads, for io/'s own calls. See blocking.c. */
#ifndef SKUAI_BLOCKING_H
#define SKUAI_BLOCKING_H

#include "skua/blocking.h"

struct skuai_scheduler;
struct skuai_worker;

/* What the kind of an op that is a skua_blocking_op has for `start` and `withdraw` (sched/op.h). */
void skuai_blocking_begin(struct skuai_worker *worker, skua_op *op, bool may_wait);
bool skuai_blocking_withdraw(skua_op *op);

/* B6. Runs fn(arg) on a thread of a runtime's pool, and nobody waits for it: `op` lies in
 * memory that stays until fn is called, and is fn's from then on. Not in a simulation, which has no such threads. The
 * runtime is not destroyed before fn has returned.
 * Returns: 0; errors as of skua_blocking(): then fn is not called. */
int skuai_blocking_detach(struct skuai_scheduler *sched, skua_blocking_op *op, skua_blocking_fn *fn, void *arg);

/* How many threads there are, and wait for a call; the calls that wait for a thread, and the most that ever did; those
 * that one has begun. Any thread; nothing in a fork's child. */
struct skuai_blocking_stats {
    uint32_t threads, idle;
    uint64_t queued, queued_max, calls;
};
void skuai_blocking_stats(struct skuai_scheduler *sched, struct skuai_blocking_stats *stats);

#endif
