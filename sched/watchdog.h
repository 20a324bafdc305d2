/* Reports of what holds a worker for long (skua_config.watchdog_ns): the task, for how long, and where it is. Never in
 * a simulation, nor of an embedded runtime, which has no guard.
 *
 *   E1 turn    what a worker is at: its task, its count of runs, and that of the looks around of fork-join strands on
 *              it (parallel.c). As long as all three stay as they are and it is not asleep it is the same turn: nothing
 *              else of the runtime gets to this worker. The guard compares them at each of its looks; a worker's hot
 *              paths know nothing of it
 *   E2 ask     at half the time the guard has a strand look around at its next fork or join, by being hungry (strand.h,
 *              Y8), for a computation whose jobs are all too small to look by themselves
 *   E3 held    a turn that has lasted for watchdog_ns, and since E2 has had a processor for a part of that or is
 *              blocked, is put down in the worker's record, and the reporter woken
 *   E4 report  the reporter, a thread of its own, since it waits, asks the loader for names, and calls the
 *              application's log, has the thread's stack written down (interrupt.h), and logs all of it; unless there
 *              have been too many reports lately
 *   E5 over    when a turn that was put down is over the guard says so in the record, and the reporter logs that
 * A record belongs to the guard while its phase is QUIET or SAID, to the reporter while it is HELD or OVER; who changes
 * the phase gives it to the other by that (handoff.h). So neither waits for the other; what holds a worker
 * while the reporter has its record for something else is put down later, or not at all.
 *   E6 end     the guard ends first, then the reporter, and then the workers' threads. A task that was reported and has
 *              not ended by then is over: the workers have left their loops
 */
#ifndef SKUAI_WATCHDOG_H
#define SKUAI_WATCHDOG_H

#include "sched/interrupt.h"

struct skuai_scheduler;
struct skuai_worker;

enum skuai_watch_phase { SKUAI_WATCH_QUIET, SKUAI_WATCH_HELD, SKUAI_WATCH_SAID, SKUAI_WATCH_OVER };

struct skuai_watch_turn { /* E1 */
    uint64_t polls, looks;
    const skua_task *task;
};

struct skuai_watch { /* of one worker */
    /* the guard's */
    struct skuai_watch_turn turn;
    uint64_t since_ns;      /* it first saw it; not more than a look after its beginning */
    uint64_t cpu_ns;        /* the thread's processor time when it first saw it again; 0: not yet, or unknown */
    uint64_t asked_cpu_ns;  /* likewise, at E2 */
    bool was_asked;
    /* whose the phase says */
    skua_word32 phase;
    struct skuai_watch_turn held;
    uint64_t held_since_ns, held_cpu_ns, over_ns;
    /* the reporter's */
    bool is_shown;
    char who[96];
    struct skuai_interrupt interrupt; /* its and the worker's thread's */
};

struct skuai_watchdog;

/* For a scheduler whose numbers of workers are known; before these are made. `signal`: which one asks for stacks.
 * Returns 0 or a negative errno value. */
__attribute__((warn_unused_result)) int skuai_watchdog_create(struct skuai_scheduler *sched, uint64_t after_ns,
                                                              int signal);
void skuai_watchdog_destroy(struct skuai_scheduler *sched); /* also if there is none */
struct skuai_watch *skuai_watchdog_watch(struct skuai_scheduler *sched, uint32_t index); /* NULL: there is none */

/* Before the guard and after it. */
__attribute__((warn_unused_result)) int skuai_watchdog_start(struct skuai_scheduler *sched);
void skuai_watchdog_stop(struct skuai_scheduler *sched); /* E6 */

/* By the guard at each look, also when all workers sleep. */
void skuai_watchdog_look(struct skuai_scheduler *sched, uint64_t now_ns);

/* By a worker's thread, which has a signal stack. */
void skuai_watchdog_enter(struct skuai_worker *worker);

#endif
