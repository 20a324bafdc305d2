/* Jobs in fibers: where strands come from, and what the scheduler does for them (parallel.c). */
#ifndef SKUAI_PARALLEL_H
#define SKUAI_PARALLEL_H

#include "sched/atomic.h"
#include "sched/lock.h"
#include "skua/parallel.h"

struct skuai_scheduler;
struct skuai_strand;
struct skuai_worker;

/* The strands of a runtime. They are given out again, last in first out, and go back to the kernel with the runtime. */
struct skuai_strand_pool {
    struct skuai_lock lock;
    struct skuai_strand *idle; /* guarded by lock */
    struct skuai_strand *all;
};

void skuai_strand_pool_fini(struct skuai_strand_pool *pool);

/* For a job that can split what is left of it, asked every few microseconds: looks around as a join does. True: a fork
 * now would be shared at once. */
bool skuai_parallel_wants(skua_strand *strand);

/* The task that has forked what `task`, the calling one or a forker of it, runs; NULL: it is no job. */
skua_task *skuai_parallel_forker(const skua_task *task);

/* Y7: a fiber with a strand is about to suspend, on its worker. */
void skuai_parallel_suspends(struct skuai_worker *worker, struct skuai_strand *strand);

/* The calling task's innermost scope is another. */
void skuai_parallel_scope(struct skuai_worker *worker);

/* Y8: a worker has found nothing to do; or the guard, that something has to be looked at. */
void skuai_parallel_hunger(struct skuai_scheduler *sched);
/* Y11, by the guard: who has not answered since it last asked. */
void skuai_parallel_force(struct skuai_scheduler *sched);

/* In a signal handler: whether the fault is the overflow of a job stack; as skuai_overflow_describe_fn. */
int skuai_strand_describe(const struct skuai_strand *strand, const void *fault_address, char *text, size_t size);

#endif
