/* The guard: a thread that looks at what workers should have done while they are busy. See guard.c. */
#ifndef SKUAI_GUARD_H
#define SKUAI_GUARD_H

#include "sched/context.h"
#include "sched/env.h"
#include "sched/lateness.h"
#include "sched/poll.h"

struct skuai_scheduler;

struct skuai_guard_thread {
    struct skuai_parker parker;
    skua_word32 deep;           /* 1: it sleeps until somebody works again */
    bool started;
    /* the guard's own */
    uint64_t decay_ns;          /* when a period of unused memory ends (decay.h) */
    bool keeps;                 /* there may be some */
    uint64_t looked_runs;       /* deadlock.c: what it looked at last, how long until it looks again, */
    uint64_t look_again_ns;
    uint64_t total_era;         /* and the era in which all threads were at rest; 0: they were not */
    bool saw_injected;          /* at the last look the injection queue was not empty */
    struct skuai_poll_batch polled;
    skua_word64 events, looks;  /* that it had to see to, into pollers; the guard writes, anybody reads; relaxed */
    struct skuai_lateness timers; /* likewise */
    struct skuai_thread thread;
    struct skuai_context base;
    struct skuai_context *flow;
};

int skuai_guard_start(struct skuai_scheduler *sched);
/* The stage must be STOP. */
void skuai_guard_stop(struct skuai_scheduler *sched);

/* What the guard does about memory, by the worker of a runtime that has no guard (turn.c), before it sleeps. Returns
 * when to come again. */
uint64_t skuai_guard_give_back_alone(struct skuai_scheduler *sched, bool worked);

/* A worker that slept has work: the guard must watch again. */
void skuai_guard_work_begins(struct skuai_scheduler *sched);

#endif
