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
 *   O6 again     instead of O3 and O4, of a lone op: it tells the owner to start the op anew. It copies the sink,
 *                stores AGAIN (release), its last access to the op, and fires. The op is the owner's alone; what the
 *                completer has promised with it is the primitive's affair, and an owner who withdraws gives it back.
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
    SKUAI_OP_PINNED, /* ARMED, and its owner is looking at the primitive, which stays until it has done so (join.c) */
    SKUAI_OP_AGAIN   /* its owner's alone, who starts it anew when it next comes to await it */
};

_Static_assert((int)SKUAI_OP_DONE == (int)SKUAI_OP_STATE_DONE, "as the public header says");

struct skuai_worker;

/* What has become of an arm in steps, of which one is over. */
enum skuai_settled {
    SKUAI_SETTLED,  /* it has taken effect: `result` is set */
    SKUAI_SETTLING, /* who has claimed it is not done yet, and will fire */
    SKUAI_UNSETTLED /* there is more to wait for */
};

/* What a primitive's ops have in common. */
struct skuai_op_kind {
    const char *name;                 /* for dumps: "skua_sleep" */
    /* O1, of a prepared op; `worker` is the calling thread's, or NULL. Leaves it
     *   DONE    it has taken effect
     *   ARMED   it is linked; by now others may have completed it
     *   LOST    an arm of a select that was decided meanwhile: it has had no effect and nobody knows it
     *   IDLE    it would have to wait and may not (`may_wait` is false): likewise
     * NULL: a kind that is started by its own function only. */
    void (*start)(struct skuai_worker *worker, skua_op *op, bool may_wait);
    bool (*withdraw)(skua_op *op);    /* O5: true if the op was unlinked and is the owner's alone again */
    /* For what passes by time alone: when. A plain thread, which no timer wakes, ends such an op itself. Or NULL. */
    uint64_t (*due_ns)(const skua_op *op);
    /* What it gives keeps others waiting (a lock), so the owner is not made to yield when it has just got it: if its
     * budget is spent it yields before, and starts the op after that (AGAIN). */
    bool holds;
    bool has_no_owner; /* there is something else in its place */
    /* Of an op that a timer ends: told when one has claimed it, before it is finished, outside of all locks. Or
     * NULL. */
    void (*expired)(skua_op *op);
    /* Of one whose due_ns may become earlier while a plain thread waits: a word in the op that changes then. Or
     * NULL. */
    skua_word32 *(*moved)(skua_op *op);
    /* Of an arm in steps (steps.h), which cannot be started alone: asked by the select's owner when its word was
     * decided for this arm, and the others are withdrawn. UNSETTLED: the select begins anew. Or NULL. */
    enum skuai_settled (*settle)(struct skuai_worker *worker, skua_op *op);
    /* Of one with `settle`: the select is over, and not for this arm, which was tried, started or neither. What it has
     * begun is undone. */
    void (*undo)(skua_op *op);
};

SKUAI_INLINE const struct skuai_op_kind *skuai_op_kind_of(const skua_op *op) { return op->kind; }

/* Whom an op wakes: an address with a tag in its low bits. */
enum skuai_sink_tag {
    SKUAI_SINK_TASK = 0,   /* a skua_task: type-stable, so a late fire is a harmless extra wake */
    SKUAI_SINK_CHILD = 1,  /* a child of a set: lives until its fire has arrived (sched/combine.c) */
    SKUAI_SINK_THREAD = 2, /* a thread blocked on op->state: the fire uses the address only, for a futex wake */
    SKUAI_SINK_TAGS = 3
};

/* The word that the arms of one select share. 32 bits, because a plain thread sleeps on it. */
struct skuai_select {
    skua_word32 decided; /* OPEN, TENTATIVE, or arm + SKUAI_SELECT_FIRST; CLOSED: by its owner, for no arm */
    /* The order in which two selects are claimed together: drawn from their runner's random numbers, so that it depends
     * on no address but in the rare case that two are equal, and nobody has to count. */
    uint64_t number;
};
enum { SKUAI_SELECT_OPEN = 0, SKUAI_SELECT_TENTATIVE = 1, SKUAI_SELECT_FIRST = 2 };
#define SKUAI_SELECT_CLOSED UINT32_MAX

enum skuai_claim { SKUAI_CLAIM_WON, SKUAI_CLAIM_LOST_FIRST, SKUAI_CLAIM_LOST_SECOND };

/* Sets all of an op that is to be started, alone or (its `select` and `arm` set afterwards) as an arm. */
SKUAI_INLINE skua_op *skuai_op_prepare(skua_op *op, const struct skuai_op_kind *kind, void *owner)
{
    SKUAI_FRESH(*op);
    op->result = 0;
    op->arm = 0;
    op->sink = 0;
    op->next = NULL;
    op->prev = NULL;
    op->kind = kind;
    op->select = NULL;
    op->owner = owner;
    skuai_store_32(&op->state, SKUAI_OP_IDLE, SKUAI_RELAXED); /* owner only: nobody else knows the op */
    return op;
}

/* O1, the part before linking. Relaxed: the primitive's lock (or the join's RMW) publishes the op. */
SKUAI_INLINE void skuai_op_arm(skua_op *op, uintptr_t sink)
{
    op->sink = sink;
    skuai_store_32(&op->state, SKUAI_OP_ARMED, SKUAI_RELAXED);
}

/* O2. True: the caller must do O3 and O4. False: an arm whose select is decided; it has been left alone. */
bool skuai_op_claim(skua_op *op);

/* O2 for two ops that complete each other (a sender and a receiver that both wait in selects): both or neither.
 * LOST_FIRST / LOST_SECOND tell whose select was decided already. Two arms of one select never match: LOST_SECOND. */
enum skuai_claim skuai_op_claim_pair(skua_op *first, skua_op *second);

/* The order in which the words of several selects are taken: lone ops first. */
SKUAI_INLINE bool skuai_op_is_before(const skua_op *op, const skua_op *other)
{
    const struct skuai_select *a = op->select, *b = other->select;
    if (a == NULL || b == NULL)
        return b != NULL;
    return a->number != b->number ? a->number < b->number : a < b;
}

/* O2 for any number of ops that complete each other, all or none: a list by `next`, in the order of
 * skuai_op_is_before(). NULL: all are claimed. Otherwise one whose select was decided already, or of which another arm
 * is in the list. */
skua_op *skuai_op_claim_all(skua_op *first);

/* O4. `result` is written here. */
void skuai_op_finish(skua_op *op, int64_t result);

/* O6, of a claimed op that is no arm of a select. */
void skuai_op_again(skua_op *op);

/* O2 by the owner itself, which finds that it need not wait. False: its select was decided meanwhile; the op is LOST.
 */
SKUAI_INLINE bool skuai_op_claim_own(skua_op *op)
{
    if (SKUAI_LIKELY(op->select == NULL) || skuai_op_claim(op))
        return true;
    skuai_store_32(&op->state, SKUAI_OP_LOST, SKUAI_RELAXED); /* nobody else knows the op */
    return false;
}

/* By a select's owner: decides it for nobody. False: an arm was claimed before. */
bool skuai_select_close(struct skuai_select *select);
/* The arm that was claimed, or -1 as long as none was. By the owner, who then waits for that arm to be DONE. */
int64_t skuai_select_decided(const struct skuai_select *select);

/* The last access of a lockless primitive's completer to an arm that it could not claim. */
void skuai_op_lose(skua_op *op);

/* The owner's view. Acquire: pairs with O4's release, so that what O3 wrote is visible. */
SKUAI_INLINE enum skuai_op_state skuai_op_state(const skua_op *op)
{
    return (enum skuai_op_state)skuai_load_32(&op->state, SKUAI_ACQUIRE);
}
SKUAI_INLINE bool skuai_op_is_done(const skua_op *op) { return skuai_op_state(op) == SKUAI_OP_DONE; }

/* A prepared op that is over without anybody's knowing it: state and result set by its owner. What it was prepared for
 * stays, so that it can be started again. */
SKUAI_INLINE skua_op *skuai_op_set_done(skua_op *op, int64_t result)
{
    op->result = result;
    op->sink = 0;
    skuai_store_32(&op->state, SKUAI_OP_DONE, SKUAI_RELAXED); /* owner only: nobody else knows the op */
    return op;
}

/* One that is awaited and was never started: reported, and over with what the report returns. */
void skuai_op_refuse_idle(skua_op *op);

/* Given by who knows tasks, sets and threads (runtime side); the model tests give their own. */
void skuai_sink_fire(uintptr_t sink);
/* Called between the copy of the sink and DONE, and after the fire, when the completer may not belong to the
 * sink's runtime: holds the runtime's memory until the fire is over (sched/DESIGN.md, "Late fires"). */
void *skuai_sink_hold(uintptr_t sink);
void skuai_sink_unhold(void *held);
#if defined(SKUAI_MODEL)
SKUAI_INLINE struct skuai_worker *skuai_sink_here(uintptr_t sink) { (void)sink; return NULL; }
SKUAI_INLINE void skuai_sink_fire_here(struct skuai_worker *worker, uintptr_t sink) { (void)worker; (void)sink; }
#else
/* The usual case, in which nothing is to be held: the sink is a task, and the calling thread a worker of its runtime's,
 * which is returned; else NULL. To ask once who is calling, and not three times, is a tenth of a wait and its wake. */
struct skuai_worker *skuai_sink_here(uintptr_t sink);
void skuai_sink_fire_here(struct skuai_worker *worker, uintptr_t sink);
#endif

#endif
