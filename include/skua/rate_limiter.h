/* Rate limiters: so many per second, and so many at once.
 *
 *     static skua_rate_limiter requests = SKUA_RATE_LIMITER_INIT(100, SKUA_S, 20);   // 100 a second, 20 at once
 *     …
 *     if ((rc = skua_rate_limiter_acquire(&requests, 1)) < 0)
 *         return rc;
 *     send_request(…);
 *
 * A token bucket: it holds `burst` tokens, is full at first, and fills steadily. Who finds too few waits for his turn,
 * in order; when that is, is fixed when he comes, and becomes earlier if somebody before him gives up. Nothing ticks,
 * and no thread is kept: each waiter sleeps until his own turn. So in any stretch of time no more turns come than fill
 * in that time, and a burst. Turns that are late, because the machine is busy, do not delay those after them.
 */
#ifndef SKUA_RATE_LIMITER_H
#define SKUA_RATE_LIMITER_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, which must stay until nobody uses it. Fields belong to the runtime. */
typedef struct skua_rate_limiter {
    uint64_t tokens;
    uint64_t per_ns;
    uint64_t burst;
    uint64_t base_ns;
    uint64_t base_part;
    uint64_t pending;
    skua_waiters waiters;
    skua_word32 lock;
    void *reserved[2];
} skua_rate_limiter;

/* `tokens` more in each `per_ns`, evenly, and at most `burst` at once; all at least 1, and tokens * per_ns and
 * burst * per_ns at most 2^62: for seconds, some four billion. */
#define SKUA_RATE_LIMITER_INIT(tokens, per_ns, burst) \
    { (tokens), (per_ns), (burst), 0, 0, 0, { 0, 0 }, { 0 }, { 0, 0 } }
/* Threads: by whoever has the memory. Returns: 0; -EINVAL (not as above). */
SKUA_API SKUA_NODISCARD int skua_rate_limiter_init(skua_rate_limiter *limiter, uint64_t tokens, uint64_t per_ns,
                                                   uint64_t burst);

/* An acquisition that waits; `result` is what skua_rate_limiter_acquire() returns. Other fields belong to the
 * runtime. */
typedef struct skua_rate_limiter_op {
    SKUA_OP_HEADER;
    void *timer[5];
    uint64_t tokens;
    skua_word64 due;
    skua_word32 moved;
} skua_rate_limiter_op;

/* Takes so many tokens, at most `burst`; waits until they are there and all who came before have had theirs.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form. Those of one
 *   limiter go by one clock: not inside and outside of a simulation.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: no token was taken, and the turns after this one come
 *   earlier by so many. (But not for a plain thread in a select, if it is at the very moment about to sleep.)
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it); -EINVAL (more than `burst`). */
SKUA_API SKUA_NODISCARD int skua_rate_limiter_acquire(skua_rate_limiter *limiter, uint64_t tokens);
SKUA_API SKUA_NODISCARD int skua_rate_limiter_acquire_until(skua_rate_limiter *limiter, uint64_t tokens,
                                                            uint64_t instant_ns);
/* Without waiting: 0 or -EINVAL as above, or -EAGAIN: there are too few, or others wait. Also where nothing may
 * wait. */
SKUA_API SKUA_NODISCARD int skua_rate_limiter_try_acquire(skua_rate_limiter *limiter, uint64_t tokens);
SKUA_API skua_op *skua_rate_limiter_acquire_start(skua_rate_limiter_op *op, skua_rate_limiter *limiter,
                                                  uint64_t tokens);
SKUA_API skua_op *skua_rate_limiter_acquire_prepare(skua_rate_limiter_op *op, skua_rate_limiter *limiter,
                                                    uint64_t tokens);

SKUA_END_DECLS

#endif
