/* Calls that run at the same time, as one call: a group of fibers that lasts as long as the call does.
 *
 *     skua_call calls[N];
 *     for (int i = 0; i < n; i++)
 *         calls[i] = (skua_call){ .fn = fetch, .arg = &urls[i] };
 *     rc = skua_gather(calls, n, NULL);             // 0, or the first error; calls[i].result
 *
 * Each runs as a fiber of its own, on whichever worker; when the call returns all have ended, so what they are given
 * may lie on the caller's stack. For a fixed number of futures the sets of combine.h do the same, without a task each.
 *
 * If the caller is cancelled, or a deadline around passes, they are cancelled, waited for all the same, and the call
 * returns that. A limit says how many run at a time; the others have not begun then, and when the outcome is decided do
 * not begin at all: their result is -ECANCELED.
 */
#ifndef SKUA_GATHER_H
#define SKUA_GATHER_H

#include "skua/base.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

/* One of the calls. */
typedef struct skua_call {
    skua_fiber_fn *fn; /* the body of its fiber */
    void *arg;         /* what it is given */
    int64_t result;    /* set when it is over */
} skua_call;

/* Zero everything not needed. */
typedef struct skua_gather_attr {
    uint32_t limit;               /* how many run at a time; 0: all */
    uint32_t reserved32;
    const skua_spawn_attr *spawn; /* name, stack size, runtime; or NULL */
    void *reserved[2];
} skua_gather_attr;

/* Waits until all have ended; the first with a negative result has the others cancelled.
 * Threads: fibers and jobs; threads outside the runtime if attr->spawn->runtime is given. In futures: combine.h.
 * Blocks: parks the task. Cancel: above.
 * Returns: 0, or that first negative result; -ECANCELED, -ETIMEDOUT; if one cannot be started the others are cancelled,
 *   and its error, as of skua_spawn(), is its result and what is returned. */
SKUA_API int64_t skua_gather(skua_call *calls, size_t count, const skua_gather_attr *attr);
/* The first to end wins, whatever its result; the others are cancelled and waited for.
 * Returns: the winner's index; -EINVAL for no calls; -ECANCELED, -ETIMEDOUT, and errors of starting as above. */
SKUA_API int64_t skua_gather_race(skua_call *calls, size_t count, const skua_gather_attr *attr);
/* The first with a result that is not negative wins; the others are cancelled and waited for.
 * Returns: the winner's index; if all failed the last one's error; otherwise as skua_gather_race(). */
SKUA_API int64_t skua_gather_any(skua_call *calls, size_t count, const skua_gather_attr *attr);
/* Waits until all have ended and cancels nobody.
 * Returns: how many ended with a result that is not negative; -ECANCELED, -ETIMEDOUT, and errors of starting as
 *   above. */
SKUA_API int64_t skua_gather_settled(skua_call *calls, size_t count, const skua_gather_attr *attr);

SKUA_END_DECLS

#endif
