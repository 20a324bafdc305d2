/* Barriers. All under the lock.
 *
 *   B1 arrive   one more has arrived, and is linked: among the arms of selects in the order in which their words are
 *               taken, or behind the lone ones
 *   B2 pass     the last to arrive claims all others and itself, or nobody: an arm may turn out to belong to a select
 *               that was decided meanwhile, and then it has not arrived, and the last one is not the last
 *   B3 leave    a withdrawal takes the arrival back
 * Model: tests/model/model_barrier.c.
 */
#include "skua/barrier.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"

static struct skuai_lock *lock_of(skua_barrier *barrier) { return skuai_lock_at(&barrier->lock); }

void skua_barrier_init(skua_barrier *barrier, uint32_t parties)
{
    if (parties == 0) {
        skuai_misuse("skua_barrier_init", "was given no parties", "give at least one");
        parties = 1;
    }
    *barrier = (skua_barrier)SKUA_BARRIER_INIT(parties);
}

static skua_waiters *list_of(skua_barrier *barrier, const skua_op *op)
{
    return op->select != NULL ? &barrier->arms : &barrier->waiters;
}

/* B1 */
static void arrive(skua_barrier *barrier, skua_op *op)
{
    barrier->arrived++;
    if (op->select == NULL) {
        skuai_waiters_append(&barrier->waiters, op);
        return;
    }
    skua_op *after = SKUAI_READ(barrier->arms.last);
    while (after != NULL && skuai_op_is_before(op, after))
        after = SKUAI_READ(after->prev);
    if (after == NULL)
        skuai_waiters_prepend(&barrier->arms, op);
    else
        skuai_waiters_insert_after(&barrier->arms, after, op);
}

/* B3 */
static void leave(skua_barrier *barrier, skua_op *op)
{
    barrier->arrived--;
    skuai_waiters_remove(list_of(barrier, op), op);
}

static void fire_all(skua_waiters *waiters, const skua_op *own, struct skuai_fires *fires)
{
    for (skua_op *op; (op = SKUAI_READ(waiters->first)) != NULL;) {
        skuai_waiters_remove(waiters, op);
        if (op != own)
            skuai_fires_add(fires, op, 0);
    }
}

/* B2, when as many have arrived as there are parties, `own` being the last. True: all have gone on. False: some had not
 * arrived after all, and are unlinked; if own is one of them it is LOST. */
static bool pass(skua_barrier *barrier, skua_op *own, struct skuai_fires *fires)
{
    skua_op *lost = skuai_op_claim_all(SKUAI_READ(barrier->arms.first));
    if (lost != NULL) {
        leave(barrier, lost);
        /* No model test needs the step: else it is ARMED and unlinked, which says the same to its owner. */
        if (lost == own)
            skuai_store_32(&own->state, SKUAI_OP_LOST, SKUAI_RELAXED); /* nobody else knows it */
        return false;
    }
    (void)skuai_op_claim_all(SKUAI_READ(barrier->waiters.first)); /* lone ones always can be */
    fire_all(&barrier->arms, own, fires);
    fire_all(&barrier->waiters, own, fires);
    barrier->arrived = 0;
    return true;
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_barrier *barrier = op->owner;
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    bool is_last = false;
    skuai_lock_acquire(lock_of(barrier));
    arrive(barrier, op);
    if (barrier->arrived >= barrier->parties)
        is_last = pass(barrier, op, &fires);
    /* No model test needs the check: as in pass(); a select that only tries is decided by nobody else. */
    if (!is_last && skuai_op_state(op) != SKUAI_OP_LOST) {
        if (may_wait)
            skuai_op_arm_here(worker, op); /* linked, but nobody looks before the lock is free */
        else
            leave(barrier, op);
    }
    skuai_lock_release(lock_of(barrier));
    skuai_fires_finish(&fires);
    if (is_last)
        skuai_op_set_done(op, SKUA_BARRIER_LEADER);
}

static bool withdraw(skua_op *op)
{
    skua_barrier *barrier = op->owner;
    bool withdrawn = true;
    skuai_lock_acquire(lock_of(barrier));
    if (skuai_waiters_has(list_of(barrier, op), op))
        leave(barrier, op);
    else
        withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(lock_of(barrier));
    return withdrawn;
}

static const struct skuai_op_kind kind = { .name = "skua_barrier_wait", .start = start, .withdraw = withdraw };

skua_op *skua_barrier_wait_prepare(skua_op *op, skua_barrier *barrier) { return skuai_op_prepare(op, &kind, barrier); }
skua_op *skua_barrier_wait_start(skua_op *op, skua_barrier *barrier)
{
    return skuai_op_start(skua_barrier_wait_prepare(op, barrier));
}

int skua_barrier_try_wait(skua_barrier *barrier)
{
    skua_op op;
    (void)skua_barrier_wait_prepare(&op, barrier);
    start(NULL, &op, false);
    return skuai_op_is_done(&op) ? (int)op.result : -EAGAIN;
}

int skua_barrier_wait(skua_barrier *barrier)
{
    skua_op op;
    return (int)skuai_call(skua_barrier_wait_prepare(&op, barrier));
}

int skua_barrier_wait_until(skua_barrier *barrier, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_barrier_wait_prepare(&op, barrier), instant_ns);
}
