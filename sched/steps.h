/* Arms in steps: an operation that takes one wait after another, or several at a time, and is one arm of a select all
 * the same. Accepting is one: a connection that was there may be somebody else's by now; connecting to the first of
 * several addresses that answers is another.
 *
 * The op that the select knows waits nowhere itself. Its waits are ops that lie in it, and share the select's word and
 * the arm's number, so that whoever claims one of them decides the select for the arm:
 *   A1 start     begins, or goes on from where it is, and starts its waits. What is over without a wait it claims like
 *                any arm that need not wait, and is DONE
 *   A2 settle    the select being decided for the arm: takes what a wait has brought, and withdraws the arm's others.
 *                What would be hard to give back (a connection that was accepted) is taken here, where no other arm
 *                can take effect any more. Should nothing have come of it, or should there be more to wait for, the
 *                select opens its word again and starts all arms anew. Those that were passed over while it was decided
 *                ask for their condition again then (op.h, O1)
 *   A3 withdraw  withdraws the waits, whatever state they are in, and keeps the rest: another arm may have made a step
 *   A4 undo      at the end of a select, of whoever has not won: undoes what was begun
 */
#ifndef SKUAI_STEPS_H
#define SKUAI_STEPS_H

#include "sched/op.h"
#include "sched/wait.h"

/* A1. Starts one of the arm's waits, which is prepared. The arm itself is ARMED for reports' sake. */
SKUAI_INLINE void skuai_step_start(struct skuai_worker *worker, skua_op *arm, skua_op *wait)
{
    wait->select = arm->select;
    wait->arm = arm->arm;
    skuai_store_32(&arm->state, SKUAI_OP_ARMED, SKUAI_RELAXED); /* the owner's alone */
    skuai_op_kind_of(wait)->start(worker, wait, true);
}

/* A1. Without a wait. False: another arm was quicker. */
SKUAI_INLINE bool skuai_step_end(skua_op *arm, int64_t result)
{
    if (!skuai_op_claim_own(arm))
        return false;
    skuai_op_set_done(arm, result);
    return true;
}

/* A2, A3. One of the arm's waits, in whatever state it is but one: it is not being completed. Only one for which the
 * select is decided can be. */
SKUAI_INLINE void skuai_step_withdraw(skua_op *wait)
{
    if (skuai_op_state(wait) != SKUAI_OP_ARMED)
        return;
    while (SKUAI_UNLIKELY(!skuai_op_kind_of(wait)->withdraw(wait)))
        skuai_pause();
    skuai_op_disarm_here(wait);
    skuai_store_32(&wait->state, SKUAI_OP_IDLE, SKUAI_RELAXED); /* the owner's alone */
}

#endif
