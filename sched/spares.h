/* Spare workers: threads that take the place of workers whose task computes, or blocks, for long, so that the others'
 * tasks go on. Never in a simulation, where a task takes no time.
 *
 * A spare is a worker with a deque, a next-slot and a wheel of its own, and stands behind the regular ones in
 * sched->workers. No deque changes hands: it steals. It is in no sleepers' set and keeps no time; it works only while
 * some worker is stuck, and sleeps otherwise. The guard alone makes, begins and ends them:
 *   S1 watch    at each look the guard compares each worker's count of runs with the last: one that is not asleep and
 *               has begun no run for stuck_ns is stuck. Not so who runs a fork-join strand that looks around: by that
 *               it steps aside for tasks, and the jobs in its deque, if they are those of strands that run, are for who
 *               has nothing else to do. But if a fiber is suspended that has jobs to offer, they may be what it waits
 *               for, and wait for a worker as tasks do; then it is the count of runs that counts
 *   S2 begin    if a stuck worker has tasks in its queues, or all are stuck and the injection queue has some, and no
 *               spare is free, `active` is counted up and then a spare's state set from PARKED to ACTIVE, and it is
 *               unparked. A spare that is free, ACTIVE and asleep, is unparked instead. One that is PARKED, also
 *               because it has just been made, takes nothing
 *   S3 end      if fewer workers are stuck than spares active, one's state is set to RETIRING
 *   S4 retire   the spare sees that between two tasks. It moves what is in its queues, which only it fills, to the
 *               injection queue, wakes a worker for it, sees to it that somebody keeps the time of the timers in its
 *               wheel, and then sets RETIRING to PARKED, which fails if the guard has changed its mind, and last counts
 *               `active` down
 *   S5 calm     as long as `active` is not 0 the guard does not sleep without a time-out (guard.c, G1): so what is left
 *               in the queue of a spare that is stuck itself is found, and S3 comes. If it sees 0 too early, whom the
 *               spare has woken in S4 wakes it (G2)
 *   S6 count    `made` is counted up, seq_cst, when the spare lies in sched->workers, and before it runs. Whoever has
 *               seen something that it did sees `made`; and P2's second look (idle.h) reads it seq_cst after the
 *               sleepers' set: so a push of a spare that did not see the sleeper is seen by the sleeper
 */
#ifndef SKUAI_SPARES_H
#define SKUAI_SPARES_H

#include "sched/atomic.h"

struct skuai_scheduler;
struct skuai_worker;

enum skuai_spare_state { SKUAI_SPARE_PARKED, SKUAI_SPARE_ACTIVE, SKUAI_SPARE_RETIRING };

struct skuai_spares {
    uint32_t max;        /* fixed; 0: there are none */
    uint64_t stuck_ns;   /* fixed */
    int (*make)(struct skuai_scheduler *sched, uint32_t index); /* fixed; runtime/ makes workers */
    skua_word32 made;    /* S6 */
    skua_word32 active;  /* S5 */
    skua_word64 stuck, begun; /* how often S1 found one, S2 began one; the guard's, read by anybody; relaxed */
    bool failed;         /* the guard's: one could not be made, which has been said */
};

/* Whether it may take others' work. */
bool skuai_spare_may_work(const struct skuai_worker *spare);
/* Of one that has nothing to do, or may not. True: it is to ask again; false: the scheduler stops. */
bool skuai_spare_rest(struct skuai_worker *spare);
/* Between two tasks: whether it is to come to its base. */
bool skuai_spare_is_called(const struct skuai_worker *worker);

/* By the guard at each look. `injected`: the injection queue had something at this look and the last. True: there are
 * tasks that only a spare will run soon. */
bool skuai_spares_watch(struct skuai_scheduler *sched, uint64_t now_ns, bool injected);
bool skuai_spares_are_active(const struct skuai_scheduler *sched);

#endif
