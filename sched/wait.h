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

struct skuai_worker;

/* tls.c: the calling thread's worker, or NULL. */
struct skuai_worker *skuai_worker_self(void);

/* For the calling flow to wait for; `worker` is the calling thread's, or NULL. O1's first half, of a prepared op. */
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op);
/* It will not fire after all: it was never linked, or has been withdrawn. */
void skuai_op_disarm_here(skua_op *op);
/* O5. True: it is done, and if it had no effect yet its result is the error. False: it has been claimed. */
bool skuai_op_interrupt(skua_op *op, int error);

/* Starts a prepared op, unless the caller is to be interrupted: then it is done with that error. */
skua_op *skuai_op_start(skua_op *op);
/* That, and waits for it, in a straight-line call. */
int64_t skuai_call(skua_op *prepared);
int64_t skuai_call_until(skua_op *prepared, uint64_t instant_ns);

/* A straight-line call begins. 0, or what it returns at once: -ECANCELED, -ETIMEDOUT, or -EPERM where waiting is
 * misuse, which has been reported. */
int skuai_call_begin(struct skuai_worker *worker, const char *call);
/* It has not waited: it still takes its share of the task's budget, and yields when that is spent. Returns `result`. */
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result);
/* The same for a call of a few nanoseconds, which takes a quarter of such a share. */
int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result);

/* A thread outside of any task waits until a word is no longer `value`, until an instant at most. May return early. */
void skuai_thread_wait(skua_word32 *word, uint32_t value, uint64_t until_ns);

#endif
