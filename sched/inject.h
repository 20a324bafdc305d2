/* The injection queue: where tasks come from that no worker's deque can take (spawned or woken by threads outside the
 * runtime, overflow), shared by all workers; first in, first out; unbounded, through the tasks' own links.
 *
 * Producers are wait-free and may be interrupted anywhere (a signal handler may push): Vyukov's intrusive
 * multi-producer queue. Consumers take turns by a try-lock and take batches.
 *   I1 push   count the batch in `pushed`, exchange `newest` with its last task, then link the former newest to its
 *             first. Until that link the queue has a gap: what lies behind it exists but cannot be reached yet.
 *   I2 take   under the try-lock: follow the links from `oldest`. At a gap, or if the lock is held: BUSY, which is not
 *             empty: come again, do not go to sleep on it.
 *   I3 stub   the queue always holds one element, so that producers need not know the consumer; a stub is put back
 *             when the last task is to be taken.
 * Source: D. Vyukov, "Intrusive MPSC node-based queue" (1024cores). Model: tests/model/model_inject.c.
 */
#ifndef SKUAI_INJECT_H
#define SKUAI_INJECT_H

#include "sched/task.h"

struct skuai_inject {
    skua_wordptr newest __attribute__((aligned(SKUAI_CACHE_LINE))); /* producers */
    skua_word64 pushed;                                             /* producers: tasks ever pushed */
    skua_word32 taking __attribute__((aligned(SKUAI_CACHE_LINE)));  /* consumers: the try-lock */
    skua_task *oldest;                                              /* guarded by taking */
    skua_word64 taken;                                              /* guarded by taking: tasks ever taken */
    skua_task stub;
};

enum { SKUAI_INJECT_BUSY = -1 };

void skuai_inject_init(struct skuai_inject *inject);

/* I1. A batch that is linked first → … → last by `next` (last's link is set here). Any thread. */
void skuai_inject_push(struct skuai_inject *inject, skua_task *first, skua_task *last, uint64_t count);

/* I2. Any thread. Returns how many were taken, 0 if it was empty, SKUAI_INJECT_BUSY. */
int skuai_inject_take(struct skuai_inject *inject, skua_task **tasks, uint32_t max);

/* True: as many have been taken as had been pushed when the call began. Something that was pushed meanwhile may be
 * there, or something older that it overtook: their pushers see a sleeper that asks this in P2 (idle.h), because what
 * they do afterwards comes after the asking. A push counts from its first step on, so a gap is not empty; and the stub
 * being the newest would prove nothing: a producer may still be in its gap before it. SEQ_CST: the sleeper's half of
 * idle.h's store-buffering shape; the pusher's half is its addition to `pushed`. */
SKUAI_INLINE bool skuai_inject_is_empty(const struct skuai_inject *inject)
{
    uint64_t pushed = skuai_load_64(&inject->pushed, SKUAI_SEQ_CST);
    return skuai_load_64(&inject->taken, SKUAI_RELAXED) >= pushed; /* an old value errs towards "not empty" */
}

/* About how many there are: for batch sizes and counters. */
SKUAI_INLINE uint64_t skuai_inject_count(const struct skuai_inject *inject)
{
    uint64_t taken = skuai_load_64(&inject->taken, SKUAI_RELAXED); /* a hint */
    uint64_t pushed = skuai_load_64(&inject->pushed, SKUAI_RELAXED);
    return pushed > taken ? pushed - taken : 0; /* no model test needs the check: take goes by what is there */
}

#endif
