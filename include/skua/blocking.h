/* Blocking calls: running what blocks or computes for long on a thread of its own, so that no worker stands still.
 *
 *     static int64_t hash_password(void *arg) { … }
 *     …
 *     int64_t rc = skua_blocking(hash_password, &request);
 *
 * The threads belong to the runtime; they are started when calls wait and none is free, up to a limit, and end when
 * nothing has come for ten seconds. A call is no task: it cannot be cancelled once it has begun, and it may block.
 */
#ifndef SKUA_BLOCKING_H
#define SKUA_BLOCKING_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* By convention the result is a count or 0, or a negative errno value. */
typedef int64_t skua_blocking_fn(void *arg);

/* Runs fn(arg) on a thread of the pool and waits for it.
 * Threads: fibers and jobs (suspended). A thread outside the runtime just calls the function, as it may block; so does
 *   a fork's child.
 *   In a simulation the function runs whole, on the calling worker, and takes a time that the seed decides.
 * Cancel: while it is queued: -ECANCELED or -ETIMEDOUT, and it has not been called. Once it has begun it is waited for.
 * Returns: what fn returns; -ECANCELED; -ETIMEDOUT; -EAGAIN or -ENOMEM (there is no thread, and none could be
 *   started). */
SKUA_API int64_t skua_blocking(skua_blocking_fn *fn, void *arg);

/* The call as an op, for futures and selects. As an arm: exactly one arm takes effect, so the function of an arm that
 * loses is never called. Fields but `result` belong to the runtime. */
typedef struct skua_blocking_op {
    SKUA_OP_HEADER;
    skua_blocking_fn *fn;
    void *arg;
    void *reserved[2];
} skua_blocking_op;
SKUA_API skua_op *skua_blocking_start(skua_blocking_op *op, skua_blocking_fn *fn, void *arg);
SKUA_API skua_op *skua_blocking_prepare(skua_blocking_op *op, skua_blocking_fn *fn, void *arg);

SKUA_END_DECLS

#endif
