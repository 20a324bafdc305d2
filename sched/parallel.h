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

/* Y7: a fiber with a strand is about to suspend, on its worker. */
void skuai_parallel_suspends(struct skuai_worker *worker, struct skuai_strand *strand);

/* Y8: `worker`, or the guard (NULL), has found nothing to do, or nobody who does it. */
void skuai_parallel_hunger(struct skuai_scheduler *sched);

/* Y8. By a job of its own strand, which could fork: whether somebody is hungry, so that the fork would be shared at
 * once. */
SKUAI_INLINE bool skuai_parallel_wants(const skua_strand *strand)
{
    return (uintptr_t)skuai_word_peek_ptr(&strand->limit) == UINTPTR_MAX;
}

/* In a signal handler: whether the fault is the overflow of a job stack; as skuai_overflow_describe_fn. */
int skuai_strand_describe(const struct skuai_strand *strand, const void *fault_address, char *text, size_t size);

#endif
