/* Operations: the one thing that all of Skua waits with.
 *
 * Every wait (a sleep, a join, later a channel or a socket) is an *op*: 64 bytes in the waiter's own memory. A call
 * named `skua_X_start(&op, …)` starts it and returns it; what waits for it is
 *   - a fiber or a plain thread: skua_await(skua_X_start(&op, …)), or simply the straight-line call skua_X(…);
 *   - a future: SKUA_AWAIT(skua_X_start(&self->op, …)).
 * When it is over, `result` holds what the operation returned. Waiting never allocates.
 *
 * An op that was started must be awaited to its end before its memory goes away, and only the task that started it, in
 * the same child of a set, may await it: its end wakes nobody else. Its structure needs no initialisation: starting it
 * sets all of it. A finished op may be started again. What is given to an op (buffers and the like) must live as long.
 *
 * `skua_X_prepare(&op, …)` sets an op up without starting it, for skua_select() (select.h), which starts several and
 * lets exactly one take effect. A prepared op may be selected on again and again. The two are not for one another's
 * place: awaiting an op that was only prepared is misuse, and reported; selecting on a started one is not noticed.
 */
#ifndef SKUA_OP_H
#define SKUA_OP_H

#include "skua/base.h"

/* Fields other than `result` belong to the runtime. */
struct skua_op {
    union {
        int64_t result;       /* valid when the await has returned: a count or 0, or a negative errno value */
        char skuai_awaitable; /* what SKUA_AWAIT looks for at compile time */
    };
    skua_word32 state;   /* the op protocol of sched/DESIGN.md */
    uint32_t arm;        /* which arm of a select this is */
    uintptr_t sink;      /* whom to wake: a task, a thread, or a child of a set */
    const void *kind;    /* how to cancel it and what to call it in a dump */
    void *select;        /* the word that the arms of one select share, or NULL */
    void *owner;         /* the primitive, for cancellation; a sleep's timer begins here */
    skua_op *next;       /* the queue of the primitive that the op waits in, under that primitive's lock */
    union {
        skua_op *prev;
        uint64_t number; /* for a primitive without a queue */
    };
};

/* For SKUA_AWAIT. */
enum {
    SKUAI_OP_STATE_DONE = 3
};
#define SKUAI_OP_SINK_PAID UINTPTR_MAX /* it was done when it was started, and what that takes has been accounted for */

/* The ops that wait in a primitive. Zero is empty. Fields belong to the runtime. */
typedef struct skua_waiters {
    skua_op *first, *last;
} skua_waiters;

/* What the structure of each operation begins with: makes `x.result` the same as `x.op.result`. */
#define SKUA_OP_HEADER \
    union {            \
        skua_op op;    \
        int64_t result; \
    }

SKUA_BEGIN_DECLS

/* Waits for a started op and returns its result.
 * Threads: fibers and jobs (suspended); threads outside the runtime (blocked). Inside a future's body it is misuse
 *   (reported; use SKUA_AWAIT).
 * Cancel: if the task is cancelled before the op commits, the op is withdrawn, has had no effect, and the result is
 *   -ECANCELED, or -ETIMEDOUT for a deadline (scope.h). An op that has committed returns its result, and the task's
 *   next await reports the cancellation.
 * Returns: op->result. */
SKUA_API int64_t skua_await(skua_op *op);

/* Whether a started op is over, so that awaiting it will not wait. By the task that started it. */
SKUA_API bool skua_op_is_done(const skua_op *op);

/* Ends one started op early: its result is -ECANCELED if it had no effect yet; if it had committed, it ends by itself,
 * shortly. Either way it is still to be awaited. By the task (and child of a set) that started it; in a shield, too.
 * Blocks: never. Returns the op, to be awaited. */
SKUA_API skua_op *skua_op_cancel(skua_op *op);

SKUA_END_DECLS

#endif
