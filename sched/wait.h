/* How an operation's public calls start it and wait for it. For sync/ and io/, which know no workers.
 *
 *     int skua_x(…)             { skua_x_op op; return (int)skuai_call(skua_x_prepare(&op, …)); }
 *     skua_op *skua_x_start(…)  { return skuai_op_start(skua_x_prepare(op, …)); }
 *
 * Where an operation can often be done without an op, the first is rather
 *
 *     struct skuai_worker *worker = skuai_worker_self();
 *     int rc = skuai_call_begin(worker, "skua_x");
 *     if (rc < 0)
 *         return rc;
 *     if (x_can_be_done_at_once(…))
 *         return skuai_call_end(worker, result);
 *     … as above
 */
#ifndef SKUAI_WAIT_H
#define SKUAI_WAIT_H

#include "sched/op.h"
#include "sched/self.h"
#if !defined(SKUAI_MODEL)
#include "sched/scheduler.h"
#endif

/* For the calling flow to wait for; `worker` is the calling thread's, or NULL. O1's first half, of a prepared op. */
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op);
/* It will not fire after all: it was never linked, or has been withdrawn. */
void skuai_op_disarm_here(skua_op *op);
/* O5. True: it is done, and if it had no effect yet its result is the error. False: it has been claimed. */
bool skuai_op_interrupt(skua_op *op, int error);

/* O6: starts an op again that is AGAIN. False: the task's budget is spent, and it must yield first. */
bool skuai_op_retry(struct skuai_worker *worker, skua_op *op);

/* Starts a prepared op, unless the caller is to be interrupted: then it is done with that error. */
skua_op *skuai_op_start(skua_op *op);
/* That, and waits for it, in a straight-line call. */
int64_t skuai_call(skua_op *prepared);
int64_t skuai_call_until(skua_op *prepared, uint64_t instant_ns);

/* A leaf frame's poll function is about to go on without having waited: takes its share of the task's budget. False: it
 * is spent, and the frame must return SKUA_PENDING as it is; it is polled again behind the other ready tasks. */
bool skuai_frame_may_go_on(skua_frame *frame);

/* A thread outside of any task waits until a word is no longer `value`, until an instant at most. May return early. */
void skuai_thread_wait(skua_word32 *word, uint32_t value, uint64_t until_ns);

/* ---- starts that need no op ------------------------------------------------------------------------------------- */

/* Where a future's operation can often be done at once:
 *
 *     struct skuai_worker *worker = skuai_worker_self();
 *     if (!skuai_start_may_be_done(worker) || !x_can_be_done_at_once(…))
 *         return skuai_op_start(skua_x_prepare(op, …));
 *     return skuai_start_paid_short(worker, skuai_start_done(op, &x_kind, result));
 *
 * SKUA_AWAIT then goes on without a call.
 */
#if defined(SKUAI_MODEL)
/* The model tests give their own. */
bool skuai_start_may_be_done(const struct skuai_worker *worker);
SKUAI_INLINE skua_op *skuai_start_paid(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    return op;
}
SKUAI_INLINE skua_op *skuai_start_paid_short(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    return op;
}
#else

enum { SKUAI_SHORT_CALLS = 4 }; /* see below */

/* In a task, which is neither to be interrupted nor has spent its budget. */
SKUAI_INLINE bool skuai_start_may_be_done(const struct skuai_worker *worker)
{
    return SKUAI_LIKELY(worker != NULL && worker->task != NULL && worker->budget > 0 && skuai_is_undisturbed(worker));
}

/* What was started, and may be done, takes its share of the budget, of which there is some. */
SKUAI_INLINE skua_op *skuai_start_paid(struct skuai_worker *worker, skua_op *op)
{
    if (op->sink == SKUAI_OP_SINK_PAID)
        worker->budget--;
    return op;
}

/* It is done, and took a few nanoseconds: a quarter of a share. */
SKUAI_INLINE skua_op *skuai_start_paid_short(struct skuai_worker *worker, skua_op *op)
{
    if (SKUAI_UNLIKELY(worker->short_calls++ % SKUAI_SHORT_CALLS == 0))
        worker->budget--;
    return op;
}
#endif

/* An op that need not be prepared, because it is done. Sets what is asked of one. */
SKUAI_INLINE skua_op *skuai_start_done(skua_op *op, const struct skuai_op_kind *kind, int64_t result)
{
    SKUAI_FRESH(*op);
    op->result = result;
    op->sink = SKUAI_OP_SINK_PAID;
    op->kind = kind;
    op->select = NULL;
    skuai_store_32(&op->state, SKUAI_OP_DONE, SKUAI_RELAXED); /* owner only: nobody else knows the op */
    return op;
}

/* By who has started it: it was done then. */
SKUAI_INLINE bool skuai_start_is_done(const skua_op *op) { return op->sink == SKUAI_OP_SINK_PAID; }

/* ---- lingering -------------------------------------------------------------------------------------------------- */

/* Whether the calling task may look again for a moment before it waits, because its worker has nothing else to do, and
 * what it waits for may be under way on another processor. To be asked before each pause. */
#if defined(SKUAI_MODEL)
bool skuai_may_linger(const struct skuai_worker *worker); /* the model tests give their own */
#else
SKUAI_INLINE bool skuai_may_linger(const struct skuai_worker *worker)
{
    return worker != NULL && worker->sched->nworkers > 1 && worker->sched->nworkers <= worker->sched->topology.ncpus &&
           !worker->sched->env.is_seeded && worker->sched->env.sim == NULL &&
           skuai_load_ptr(&worker->next, SKUAI_RELAXED) == NULL && skuai_queues_are_empty(worker); /* hints */
}
#endif

/* ---- straight-line calls that need no op ----------------------------------------------------------------------- */

#if defined(SKUAI_MODEL)
/* The model tests give their own, and all their calls begin and end. */
SKUAI_INLINE bool skuai_call_may_be_short(const struct skuai_worker *worker) { return skuai_start_may_be_done(worker); }
SKUAI_INLINE void skuai_call_paid(struct skuai_worker *worker) { (void)worker; }
int skuai_call_begin(struct skuai_worker *worker, const char *call);
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result);
int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result);
#else

/* What skuai_call_begin() returns for who is not simply a fiber outside of all scopes and sets. */
int skuai_call_begin_rarely(struct skuai_worker *worker, const char *call);
/* The task's budget is spent. */
void skuai_call_yield(struct skuai_worker *worker);

/* A straight-line call begins. 0, or what it returns at once: -ECANCELED, -ETIMEDOUT, or -EPERM where waiting is
 * misuse, which has been reported. Inline, as is the end: together they cost as much as locking a mutex. */
SKUAI_INLINE int skuai_call_begin(struct skuai_worker *worker, const char *call)
{
    if (SKUAI_LIKELY(worker != NULL && worker->task != NULL && worker->polling == 0 && skuai_is_undisturbed(worker)))
        return 0;
    return skuai_call_begin_rarely(worker, call);
}

/* Whether a call may do without a begin and an end if it is done at once. Then what it keeps across calls, and its op,
 * are another function's, and it needs no frame of its own. */
SKUAI_INLINE bool skuai_call_may_be_short(const struct skuai_worker *worker)
{
    return SKUAI_LIKELY(worker != NULL && worker->task != NULL && worker->polling == 0 && worker->budget > 0 &&
                        skuai_is_undisturbed(worker));
}

/* It was done, and takes its share of the budget, of which there is some. */
SKUAI_INLINE void skuai_call_paid(struct skuai_worker *worker) { worker->budget--; }

/* It has not waited: it still takes its share of the task's budget, and yields when that is spent. Returns `result`. */
SKUAI_INLINE int64_t skuai_call_end(struct skuai_worker *worker, int64_t result)
{
    if (SKUAI_LIKELY(worker != NULL) && SKUAI_UNLIKELY(worker->budget-- == 0))
        skuai_call_yield(worker);
    return result;
}

/* The same for a call of a few nanoseconds, which takes a quarter of such a share. Untuned, but for that a channel of
 * 128 values should be filled, or drained, in one run: 512 sends take 4 µs. */
SKUAI_INLINE int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result)
{
    if (SKUAI_LIKELY(worker != NULL) && SKUAI_UNLIKELY(worker->short_calls++ % SKUAI_SHORT_CALLS == 0))
        return skuai_call_end(worker, result);
    return result;
}

#endif

#endif
