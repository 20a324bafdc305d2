/* The ops that wait in a primitive, oldest first, guarded by the primitive's lock. The public part is in skua/op.h.
 *
 * An op that is linked is ARMED. Who takes one out claims it at once, under the lock (op.h, O2): it is CLAIMED then,
 * or, if it is an arm of a select that was decided, ARMED and unlinked, and its owner's alone.
 * skuai_waiters_withdraw() is the owner's side of that (O5).
 *
 * What a completer does under its lock is to claim and to move; what it does after it is to finish:
 *
 *     struct skuai_fires fires = SKUAI_FIRES_NONE;
 *     skuai_lock_acquire(&x->lock);
 *     skua_op *op = skuai_waiters_claim(&x->waiters);
 *     if (op != NULL)
 *         skuai_fires_add(&fires, op, 0);          // its result
 *     skuai_lock_release(&x->lock);
 *     skuai_fires_finish(&fires);                  // wakes: never inside a lock
 */
#ifndef SKUAI_WAITERS_H
#define SKUAI_WAITERS_H

#include "sched/lock.h"
#include "sched/op.h"

/* A lock in a public structure, which shows its word. */
SKUAI_INLINE struct skuai_lock *skuai_lock_at(skua_word32 *word) { return (struct skuai_lock *)(void *)word; }

SKUAI_INLINE void skuai_waiters_append(skua_waiters *waiters, skua_op *op)
{
    SKUAI_WRITE(op->next, NULL);
    SKUAI_WRITE(op->prev, SKUAI_READ(waiters->last));
    if (op->prev != NULL)
        SKUAI_WRITE(op->prev->next, op);
    else
        SKUAI_WRITE(waiters->first, op);
    SKUAI_WRITE(waiters->last, op);
}

SKUAI_INLINE void skuai_waiters_prepend(skua_waiters *waiters, skua_op *op)
{
    SKUAI_WRITE(op->prev, NULL);
    SKUAI_WRITE(op->next, SKUAI_READ(waiters->first));
    if (op->next != NULL)
        SKUAI_WRITE(op->next->prev, op);
    else
        SKUAI_WRITE(waiters->last, op);
    SKUAI_WRITE(waiters->first, op);
}

/* Behind one that is linked. */
SKUAI_INLINE void skuai_waiters_insert_after(skua_waiters *waiters, skua_op *after, skua_op *op)
{
    skua_op *next = SKUAI_READ(after->next);
    SKUAI_WRITE(op->prev, after);
    SKUAI_WRITE(op->next, next);
    SKUAI_WRITE(after->next, op);
    if (next != NULL)
        SKUAI_WRITE(next->prev, op);
    else
        SKUAI_WRITE(waiters->last, op);
}

SKUAI_INLINE bool skuai_waiters_has(const skua_waiters *waiters, const skua_op *op)
{
    return SKUAI_READ(op->prev) != NULL || SKUAI_READ(waiters->first) == op;
}

/* One that is linked. */
SKUAI_INLINE void skuai_waiters_remove(skua_waiters *waiters, skua_op *op)
{
    skua_op *next = SKUAI_READ(op->next), *prev = SKUAI_READ(op->prev);
    if (prev != NULL)
        SKUAI_WRITE(prev->next, next);
    else
        SKUAI_WRITE(waiters->first, next);
    if (next != NULL)
        SKUAI_WRITE(next->prev, prev);
    else
        SKUAI_WRITE(waiters->last, prev);
    SKUAI_WRITE(op->next, NULL);
    SKUAI_WRITE(op->prev, NULL);
}

/* The oldest that can be claimed, unlinked and claimed; NULL if there is none. Those that are arms of decided selects
 * are unlinked on the way. */
SKUAI_INLINE skua_op *skuai_waiters_claim(skua_waiters *waiters)
{
    skua_op *op;
    while ((op = SKUAI_READ(waiters->first)) != NULL) {
        skuai_waiters_remove(waiters, op);
        if (skuai_op_claim(op))
            return op;
    }
    return NULL;
}

/* How the oldest that `own` can meet was met. NOBODY: none is there but arms of own's select. MET: *other is unlinked,
 * and both are claimed. LOST: own's select was decided meanwhile; nothing has changed. */
enum skuai_meet { SKUAI_MEET_NOBODY, SKUAI_MEET_MET, SKUAI_MEET_LOST };

/* O2 for an op and one that waits and completes it. */
SKUAI_INLINE enum skuai_meet skuai_waiters_meet(skua_waiters *waiters, skua_op *own, skua_op **other)
{
    for (skua_op *op = SKUAI_READ(waiters->first), *next; op != NULL; op = next) {
        next = SKUAI_READ(op->next);
        if (op->select != NULL && op->select == own->select)
            continue;
        switch (skuai_op_claim_pair(own, op)) {
        case SKUAI_CLAIM_WON:
            skuai_waiters_remove(waiters, op);
            *other = op;
            return SKUAI_MEET_MET;
        case SKUAI_CLAIM_LOST_FIRST:
            skuai_store_32(&own->state, SKUAI_OP_LOST, SKUAI_RELAXED); /* nobody else knows it */
            return SKUAI_MEET_LOST;
        case SKUAI_CLAIM_LOST_SECOND:
            skuai_waiters_remove(waiters, op);
            break;
        }
    }
    return SKUAI_MEET_NOBODY;
}

/* O5. True: the op is its owner's alone. */
SKUAI_INLINE bool skuai_waiters_withdraw(struct skuai_lock *lock, skua_waiters *waiters, skua_op *op)
{
    skuai_lock_acquire(lock);
    bool withdrawn = true;
    if (skuai_waiters_has(waiters, op))
        skuai_waiters_remove(waiters, op);
    else
        withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(lock);
    return withdrawn;
}

/* Claimed ops that are to be finished when the lock is free, in order. */
struct skuai_fires {
    skua_op *first, *last;
};
#define SKUAI_FIRES_NONE { NULL, NULL }

SKUAI_INLINE void skuai_fires_add(struct skuai_fires *fires, skua_op *op, int64_t result)
{
    SKUAI_WRITE(op->result, result); /* what skuai_fires_finish() tells */
    SKUAI_WRITE(op->next, NULL);
    if (fires->first == NULL)
        fires->first = op;
    else
        SKUAI_WRITE(fires->last->next, op);
    fires->last = op;
}

SKUAI_INLINE void skuai_fires_finish(struct skuai_fires *fires)
{
    for (skua_op *op = fires->first, *next; op != NULL; op = next) {
        next = SKUAI_READ(op->next); /* the op is gone when it is finished */
        skuai_op_finish(op, SKUAI_READ(op->result));
    }
}

#endif
