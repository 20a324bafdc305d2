/* Jobs in fibers: where strands come from, and what the scheduler does for them (parallel.c). */
#ifndef SKUAI_PARALLEL_H
#define SKUAI_PARALLEL_H

#include "sched/atomic.h"
#include "sched/decay.h"
#include "sched/lock.h"
#include "skua/parallel.h"

struct skuai_scheduler;
struct skuai_strand;
struct skuai_worker;

/* The strands of a runtime. They are given out again, last in first out, and go back to the kernel with the runtime;
 * what a deep recursion has touched of them beyond the first page goes back when nobody has needed them for a while. */
struct skuai_strand_pool {
    struct skuai_lock lock;
    /* guarded by lock */
    struct skuai_strand *warm, *cold; /* idle; all or the first page of a cold one is left */
    struct skuai_strand *all;
    struct skuai_kept warm_kept;
    /* any thread */
    skua_word32 offering; /* fibers that are suspended and have jobs to offer; a hint */
};

/* For the watchdog: has the strand that the worker runs, if there is one, look around at its next fork or join. */
void skuai_parallel_ask(struct skuai_worker *worker);

void skuai_strand_pool_fini(struct skuai_strand_pool *pool);
/* Ends a period (decay.h): gives back of up to `max` strands. */
enum skuai_decay skuai_strand_pool_decay(struct skuai_strand_pool *pool, uint32_t max);

/* For a job that can split what is left of it, asked every few microseconds, at `ticks` (ticks.h): looks around as a
 * join does, but not each time. True: a fork now would be shared at once. */
bool skuai_parallel_wants(skua_strand *strand, uint64_t ticks);
/* The next run of the calling fiber takes so long at least, as its caller knows: it need not find out. */
void skuai_parallel_announce(uint64_t ns);
/* The run was announced to be long enough to share, or those before were, so that this one likely is. */
bool skuai_parallel_expects_long(const skua_strand *strand);

/* The task that has forked what `task`, the calling one or a forker of it, runs; NULL: it is no job. */
skua_task *skuai_parallel_forker(const skua_task *task);

/* Y7: a fiber with a strand is about to suspend, on its worker. True: it has jobs to offer, and when it goes on
 * skuai_parallel_resumes() is to be told. */
bool skuai_parallel_suspends(struct skuai_worker *worker, struct skuai_strand *strand);
void skuai_parallel_resumes(struct skuai_worker *worker);
/* Whether there is such a fiber. */
bool skuai_parallel_has_offers(const struct skuai_scheduler *sched);

/* The calling task's innermost scope is another. */
void skuai_parallel_scope(struct skuai_worker *worker);

/* Y8: a worker has found nothing to do; or the guard, that something has to be looked at. */
void skuai_parallel_hunger(struct skuai_scheduler *sched);
/* Whether a worker is inside of fork-join: a look. */
bool skuai_parallel_is_running(struct skuai_scheduler *sched);
/* Y11, by the guard: who has not answered since it last asked. */
void skuai_parallel_force(struct skuai_scheduler *sched);

/* In a signal handler: whether the fault is the overflow of a job stack; as skuai_overflow_describe_fn. */
int skuai_strand_describe(const struct skuai_strand *strand, const void *fault_address, char *text, size_t size);

#endif
