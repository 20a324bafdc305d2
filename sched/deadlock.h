/* Every task waits and nothing can wake one. See deadlock.c. */
#ifndef SKUAI_DEADLOCK_H
#define SKUAI_DEADLOCK_H

#include "sched/rest.h"
#include "sched/task.h"

struct skuai_scheduler;

/* waits.c: what somebody waits for, in words. */
struct skuai_waits {
    struct skuai_scheduler *sched;
    void (*say)(struct skuai_waits *waits, const char *text); /* once or more for each who waits */
    uint32_t count;                                          /* objects met so far, which get numbers */
    const void *objects[64];
};
void skuai_waits_of_task(struct skuai_waits *waits, skua_task *task);
void skuai_waits_of_thread(struct skuai_waits *waits, const struct skuai_rest *rest);

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
