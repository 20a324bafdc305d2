/* The wait, wake and cancel protocol. Public structure: skua/op.h. Reasons: sched/DESIGN.md, "Ops".
 *
 * Three parties meet at an op:
 *   owner      armed it, waits for it, takes its result and then reuses its memory for something else
 *   completer  found it in a primitive's queue and wants to make it happen
 *   canceller  is the owner again: only the task that armed an op withdraws it
 *
 * and go through these numbered steps, which the code cites:
 *   O1 prepare   the owner sets the op ARMED and links it under the primitive's lock, after re-checking the condition
 *   O2 claim     under that lock the completer unlinks the op and claims it. An arm of a select is claimed on the word
 *                that its select's arms share, so that exactly one arm of a select is ever claimed; a lone op in a
 *                queue is always claimable. A claim that fails has touched nothing: there is nothing to give back.
 *   O3 move      the completer, now certain, moves the data and writes `result`
 *   O4 finish    outside the lock: it copies the sink, stores DONE (release), its last access to the op, and fires
 *                the sink's copy, which touches type-stable memory only
 *   O5 withdraw  the owner, under the same lock, unlinks the op if it still is linked: then nobody else knows of it.
 *                If it is not, it has been claimed: the owner goes on waiting, for DONE, as if it had not cancelled.
 *
 * A primitive without a lock (a task's end) has its own proof of exclusion and uses LOST for the one case that the
 * lock covers elsewhere: the completer has looked at an arm whose select was decided; LOST is then its last access.
 */
#ifndef SKUAI_OP_H
#define SKUAI_OP_H

#include "sched/atomic.h"
#include "skua/op.h"

enum skuai_op_state {
    SKUAI_OP_IDLE,
    SKUAI_OP_ARMED,
    SKUAI_OP_CLAIMED,
    SKUAI_OP_DONE,
    SKUAI_OP_LOST,
    SKUAI_OP_PINNED /* ARMED, and its owner is looking at the primitive, which stays until it has done so (join.c) */
};

/* What a primitive's ops have in common. */
struct skuai_op_kind {
    const char *name;                 /* for dumps: "sleep" */
    bool (*withdraw)(skua_op *op);    /* O5: true if the op was unlinked and is the owner's alone again */
};

/* Whom an op wakes: an address with a tag in its low bits. */
enum skuai_sink_tag {
    SKUAI_SINK_TASK = 0,   /* a skua_task: type-stable, so a late fire is a harmless extra wake */
    SKUAI_SINK_CHILD = 1,  /* a child of a set: lives until its fire has arrived (sched/combine.c) */
    SKUAI_SINK_THREAD = 2, /* a thread blocked on op->state: the fire uses the address only, for a futex wake */
    SKUAI_SINK_TAGS = 3
};

/* The word that the arms of one select share. */
struct skuai_select {
    skua_word64 decided; /* OPEN, TENTATIVE, or arm + SKUAI_SELECT_FIRST */
    uint64_t number;     /* creation number: the order in which two selects are claimed together */
};
enum { SKUAI_SELECT_OPEN = 0, SKUAI_SELECT_TENTATIVE = 1, SKUAI_SELECT_FIRST = 2 };

enum skuai_claim { SKUAI_CLAIM_WON, SKUAI_CLAIM_LOST_FIRST, SKUAI_CLAIM_LOST_SECOND };

/* O1, the part before linking: everything but `arm` and `select`. */
void skuai_op_arm(skua_op *op, const struct skuai_op_kind *kind, void *owner, uintptr_t sink);

/* O2. True: the caller must do O3 and O4. False: an arm whose select is decided; it has been left alone. */
bool skuai_op_claim(skua_op *op);

/* O2 for two ops that complete each other (a sender and a receiver that both wait in selects): both or neither.
 * LOST_FIRST / LOST_SECOND tell whose select was decided already. Two arms of one select never match: LOST_SECOND. */
enum skuai_claim skuai_op_claim_pair(skua_op *first, skua_op *second);

/* O4. `result` is written here. */
void skuai_op_finish(skua_op *op, int64_t result);

/* The last access of a lockless primitive's completer to an arm that it could not claim. */
void skuai_op_lose(skua_op *op);

/* The owner's view. Acquire: pairs with O4's release, so that what O3 wrote is visible. */
SKUAI_INLINE enum skuai_op_state skuai_op_state(const skua_op *op)
{
    return (enum skuai_op_state)skuai_load_32(&op->state, SKUAI_ACQUIRE);
}
SKUAI_INLINE bool skuai_op_is_done(const skua_op *op) { return skuai_op_state(op) == SKUAI_OP_DONE; }

/* An op that completes at once, without ever being linked: state and result set by its owner. */
SKUAI_INLINE skua_op *skuai_op_set_done(skua_op *op, int64_t result)
{
    op->result = result;
    op->sink = 0;
    op->kind = NULL;
    skuai_store_32(&op->state, SKUAI_OP_DONE, SKUAI_RELAXED); /* owner only: nobody else knows the op */
    return op;
}

/* Given by who knows tasks, sets and threads (runtime side); the model tests give their own. */
void skuai_sink_fire(uintptr_t sink);
/* Called between the copy of the sink and DONE, and after the fire, when the completer may not belong to the
 * sink's runtime: holds the runtime's memory until the fire is over (sched/DESIGN.md, "Late fires"). */
void *skuai_sink_hold(uintptr_t sink);
void skuai_sink_unhold(void *held);

#endif
