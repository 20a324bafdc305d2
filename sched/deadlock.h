/* Every task waits and nothing can wake one. See deadlock.c. */
#ifndef SKUAI_DEADLOCK_H
#define SKUAI_DEADLOCK_H

#include "sched/rest.h"
#include "sched/task.h"
#include "skua/future.h"

struct skuai_scheduler;

/* waits.c: what somebody waits for, in words. */
struct skuai_waits {
    struct skuai_scheduler *sched;
    void (*say)(struct skuai_waits *waits, const char *text); /* once or more for each who waits */
    uint32_t count;                                          /* objects met so far, which get numbers */
    const void *objects[256];
};
/* Nothing may run meanwhile. */
void skuai_waits_of_task(struct skuai_waits *waits, skua_task *task);
/* The task waits, and stays so: the caller holds it (task_word.h), or nothing runs. */
void skuai_waits_of_waiting(struct skuai_waits *waits, skua_task *task);
/* Likewise: the futures that it is in, innermost first, but for Skua's own sets and selects; how many. */
struct skuai_in_future {
    skua_poll_fn *poll;
    uint32_t line;           /* at which it waits */
    const char *name, *file; /* or NULL */
};
size_t skuai_waits_futures(skua_task *task, struct skuai_in_future *futures, size_t max);
/* What is known of the future whose poll function it is; NULL: nothing. */
const struct skuai_future_info *skuai_waits_info(skua_poll_fn *poll);
void skuai_waits_of_thread(struct skuai_waits *waits, const struct skuai_rest *rest);
/* The object's number; 0: there are too many. */
uint32_t skuai_waits_number(struct skuai_waits *waits, const void *object);
/* Whom an op joins, by its owner or who holds that. False: it is no join, or that task has ended: then its runtime may
 * be gone. */
bool skuai_waits_joined(skua_op *op, uint64_t *id, uint32_t *generation);

/* Logs all tasks that wait and what they wait for, once as long as none has run since. Nothing may run meanwhile. */
void skuai_deadlock_report(struct skuai_scheduler *sched);

#if defined(SKUAI_DEBUG) && !defined(SKUAI_MODEL)

/* By the guard, when all workers sleep, before it sleeps itself until `until_ns`: looks, and reports. Returns until
 * when it is to sleep now; `looks` says whether that is only to look again. */
uint64_t skuai_deadlock_look(struct skuai_scheduler *sched, uint64_t until_ns, bool *looks);

#else

static inline uint64_t skuai_deadlock_look(struct skuai_scheduler *sched, uint64_t until_ns, bool *looks)
{
    (void)sched;
    *looks = false;
    return until_ns;
}

#endif

#endif
