/* Barriers: so many parties wait for each other, again and again.
 *
 *     static skua_barrier line = SKUA_BARRIER_INIT(4);
 *     for (…) {
 *         work_on_my_part();
 *         if ((rc = skua_barrier_wait(&line)) == SKUA_BARRIER_LEADER)
 *             print_progress();                        // one of the four
 *     }
 */
#ifndef SKUA_BARRIER_H
#define SKUA_BARRIER_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* What one of those who have arrived gets, for what is to be done once. */
enum { SKUA_BARRIER_LEADER = 1 /* the last to arrive */ };

/* In the caller's memory, which must stay until nobody uses it. Fields belong to the runtime. */
typedef struct skua_barrier {
    skua_word32 lock;
    uint32_t parties;
    uint32_t arrived;
    skua_waiters waiters;
    skua_waiters arms;
    void *reserved[2];
} skua_barrier;

/* For so many parties, at least 1. */
#define SKUA_BARRIER_INIT(parties) { { 0 }, (parties), 0, { 0, 0 }, { 0, 0 }, { 0, 0 } }
/* Threads: by whoever has the memory. */
SKUA_API void skua_barrier_init(skua_barrier *barrier, uint32_t parties);

/* Arrives, and waits until all have. The last to arrive lets all go on, is the leader, and does not wait; the barrier
 * is then as it was at first. What any of them did before is seen by all after.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: the arrival is taken back, and the others wait for one
 *   more. The same for an arm of a select that does not take effect: it has arrived only if all can go on together, and
 *   one select cannot be two parties.
 * Returns: 0; SKUA_BARRIER_LEADER, for one of them; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around
 *   it). */
SKUA_API int skua_barrier_wait(skua_barrier *barrier);
SKUA_API int skua_barrier_wait_until(skua_barrier *barrier, uint64_t instant_ns);
/* Without waiting: SKUA_BARRIER_LEADER if all others have arrived; else -EAGAIN, and this is no arrival. Also where
 * nothing may wait. */
SKUA_API int skua_barrier_try_wait(skua_barrier *barrier);
SKUA_API skua_op *skua_barrier_wait_start(skua_op *op, skua_barrier *barrier);
SKUA_API skua_op *skua_barrier_wait_prepare(skua_op *op, skua_barrier *barrier);

SKUA_END_DECLS

#endif
