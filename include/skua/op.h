/* Operations: the one thing that all of Skua waits with.
 *
 * Every wait (a sleep, a join, later a channel or a socket) is an *op*: 64 bytes in the waiter's own memory. A call
 * named `skua_X_start(&op, …)` starts it and returns it; what waits for it is
 *   - a fiber or a plain thread: skua_await(skua_X_start(&op, …)), or simply the straight-line call skua_X(…);
 *   - a future: SKUA_AWAIT(skua_X_start(&self->op, …)).
 * When it is over, `result` holds what the operation returned. Waiting never allocates.
 *
 * An op that was started must be awaited to its end before its memory goes away. Its structure needs no
 * initialisation: starting it sets all of it. A finished op may be started again.
 */
#ifndef SKUA_OP_H
#define SKUA_OP_H

#include "skua/base.h"

/* Fields other than `result` belong to the runtime. */
struct skua_op {
    int64_t result;      /* valid when the await has returned: a count or 0, or a negative errno value */
    skua_word32 state;   /* the op protocol of sched/DESIGN.md */
    uint32_t arm;        /* which arm of a select this is */
    uintptr_t sink;      /* whom to wake: a task, a thread, or a child of a set */
    skua_op *next;       /* the queue of the primitive that the op waits in, under that primitive's lock */
    skua_op *prev;
    const void *kind;    /* how to cancel it and what to call it in a dump */
    void *select;        /* the word that the arms of one select share, or NULL */
    void *owner;         /* the primitive, for cancellation */
};

/* What the structure of each operation begins with: makes `x.result` the same as `x.op.result`. */
#define SKUA_OP_HEADER \
    union {            \
        skua_op op;    \
        int64_t result; \
    }

SKUA_BEGIN_DECLS

/* Waits for a started op and returns its result.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked). Inside a future's body it is misuse
 *   (reported; use SKUA_AWAIT).
 * Cancel: if the task is cancelled before the op commits, the op is withdrawn, has had no effect, and the result is
 *   -ECANCELED. An op that has committed returns its result, and the task's next await reports the cancellation.
 * Returns: op->result. */
SKUA_API int64_t skua_await(skua_op *op);

SKUA_END_DECLS

#endif
