/* Combinators: waiting for several futures and tasks as one.
 *
 *     skua_child kids[2];
 *     skua_child_task(&kids[0], task);                                  // a spawned task, by its handle
 *     skua_child_future(&kids[1], SKUA_FUTURE(&f, fetch, .url = url));  // a future, run by whoever waits
 *     int64_t first = skua_race(kids, 2);                               // which one; kids[first].result is its result
 *
 * or, in a future, with the skua_set and the children as members:
 *
 *     SKUA_AWAIT(skua_race_start(&self->set, self->kids, 2));
 *     first = SKUA_RESULT(&self->set);
 *
 * Nothing outlives the wait: losers are cancelled and waited for, and every task given to a set has been joined and
 * its handle released when the set ends, whatever happened. (A task that may not be joined makes its child end with the
 * error of skua_join_start(); its handle is kept.) Only the children that something happened to are
 * polled, so a set of hundreds costs no more per event than a set of two. Cancelling the waiter cancels all children
 * and waits for them; the set's result is then what they made of it (a race still has a first to end): ask
 * skua_interrupted(). Nothing is allocated.
 */
#ifndef SKUA_COMBINE_H
#define SKUA_COMBINE_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

typedef struct skua_set skua_set;     /* a future that waits for children: below */
typedef struct skua_child skua_child; /* a future or a task in a set: below */

/* One member of a set. `result` and `ended` are for reading, after the set has ended; the other fields belong to the
 * runtime. */
struct skua_child {
    int64_t result;         /* the future's or task's result */
    skua_child *next;       /* link of the task's list of fired children */
    skua_set *set;
    skua_frame *leaf;       /* the frame to resume; NULL for a task */
    skua_scope *scope;      /* the innermost scope inside this child */
    skua_task *task;        /* a task child's handle */
    skua_frame *future;     /* a future child's outermost frame */
    skua_child *next_ready; /* link of the set's ready list */
    skua_word32 signal;     /* fires that have not been delivered */
    uint32_t armed;         /* ops armed whose fire has not been delivered */
    uint32_t flags;
    bool ended;             /* it has come to its end, by itself or cancelled */
    skua_join_op join;      /* how a task child is waited for */
    skua_child *next_parked; /* link of the set's list of parked children */
    void *reserved[2];
};

/* A set as a future, as a member of the frame that awaits it. Fields belong to the runtime. */
struct skua_set {
    SKUA_FRAME;
    skua_child *children;
    skua_child *ready_first; /* the children to poll next */
    skua_child *ready_last;
    skua_child *outer;       /* the child of another set that this set runs in, or NULL */
    uint32_t count;
    uint32_t left;           /* not ended yet */
    uint32_t mode;
    uint32_t flags;
    int64_t outcome;
    skua_task *runner;       /* the task that polls it */
    skua_child *parked_first; /* children that have entered SKUA_PARK or SKUA_YIELD since it was last polled */
    skua_child *parked_last;
    void *reserved[1];
};

/* Makes `child` stand for a task (takes over the handle at once) or for a future that has been placed but not
 * started. */
SKUA_API void skua_child_task(skua_child *child, skua_task *task);
SKUA_API void skua_child_frame(skua_child *child, skua_frame *frame);
/* The usual way to give a future: skua_child_future(&kid, SKUA_FUTURE(&f, fetch, .url = url)). */
#define skua_child_future(child, future) skua_child_frame((child), &(future)->frame)

/* Waits until all have ended; at the first negative result cancels the others (and still waits for them).
 * Result: 0 if none failed, else that first negative result.
 * Threads: these four in fibers; in futures their _start forms; a plain thread uses skua_block_on().
 * Blocks: parks the task. Cancel: see the head of this file. Returns also: -EINVAL (more than 2^31 children). */
SKUA_API int64_t skua_join_all(skua_child *children, size_t count);
/* The first to end wins, whatever its result; the others are cancelled and waited for.
 * Result: the winner's index; -EINVAL for no children. */
SKUA_API int64_t skua_race(skua_child *children, size_t count);
/* The first to end with a result that is not negative wins; the others are cancelled and waited for.
 * Result: the winner's index; if all failed the error of the last one to fail; -EINVAL for no children. */
SKUA_API int64_t skua_any(skua_child *children, size_t count);
/* Waits until all have ended and cancels nobody. Result: how many ended with a result that is not negative. */
SKUA_API int64_t skua_all_settled(skua_child *children, size_t count);

SKUA_API skua_frame *skua_join_all_start(skua_set *set, skua_child *children, size_t count);
SKUA_API skua_frame *skua_race_start(skua_set *set, skua_child *children, size_t count);
SKUA_API skua_frame *skua_any_start(skua_set *set, skua_child *children, size_t count);
SKUA_API skua_frame *skua_all_settled_start(skua_set *set, skua_child *children, size_t count);

SKUA_END_DECLS

#endif
