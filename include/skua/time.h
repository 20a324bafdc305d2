/* Time: now, and waiting for it to pass. */
#ifndef SKUA_TIME_H
#define SKUA_TIME_H

#include "skua/base.h"
#include "skua/op.h"
#include "skua/scope.h"

SKUA_BEGIN_DECLS

/* Nanoseconds on the monotonic clock; virtual time inside a simulation. Threads: any. */
SKUA_API uint64_t skua_now(void);

/* Waits for a duration or until an instant; never shorter. SKUA_NEVER waits until cancelled.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start forms.
 * Cancel: returns early. Returns: 0; -ECANCELED; -ETIMEDOUT (a deadline around it, which is not the sleep's end). */
SKUA_API int skua_sleep(uint64_t duration_ns);
SKUA_API int skua_sleep_until(uint64_t instant_ns);

/* The sleep as an op. Started from a task its runtime's clock runs it; from a plain thread the thread's wait does. The
 * _prepare forms are for skua_select (select.h). */
typedef struct skua_sleep_op {
    SKUA_OP_HEADER;
    void *timer[2]; /* what of the node in a timer wheel does not lie in the op */
} skua_sleep_op;

SKUA_API skua_op *skua_sleep_start(skua_sleep_op *op, uint64_t duration_ns);
SKUA_API skua_op *skua_sleep_until_start(skua_sleep_op *op, uint64_t instant_ns);
SKUA_API skua_op *skua_sleep_prepare(skua_sleep_op *op, uint64_t duration_ns);
SKUA_API skua_op *skua_sleep_until_prepare(skua_sleep_op *op, uint64_t instant_ns);

SKUA_END_DECLS

#endif
