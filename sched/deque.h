/* A worker's run queue: a bounded ring that its worker fills at the bottom and everybody, the worker included, takes
 * from at the top. So it is first in, first out; together with the next-slot (worker.h), which is the last-in end, it
 * is the worker's deque. Why the owner does not take at the bottom: sched/DESIGN.md, "Order".
 *
 * Protocol. Indices are 64 bits and only grow, so a value of `top` never comes back and a compare-and-swap on it
 * proves that nothing was taken in between. Slots top … bottom-1 are full.
 *   D1 push   owner only: write the slot, then publish by bottom+1. The slot may be reused only if `top` was seen past
 *             its last content.
 *   D2 take   anybody: read top, then bottom, then the slots, then claim them by moving top. If the claim fails the
 *             slots that were read mean nothing.
 *   D3 shed   owner only: claims everything as a take does, passes the newer half on and publishes the older one again.
 *             What it has claimed stays in its slots until it pushes: no copy is needed.
 * `bottom` is stored by its owner only and every store to it is at least a release (a relaxed store would start a new
 * release sequence of nothing: a thief could then read a stale slot).
 * push may run in parallel with take, take with take; push only with takes of others.
 * Model: tests/model/model_deque.c.
 */
#ifndef SKUAI_DEQUE_H
#define SKUAI_DEQUE_H

#include "sched/atomic.h"

#ifndef SKUAI_DEQUE_CAPACITY
/* A power of two; model tests shrink it. Go and tokio have 256. Measured with 1000 tasks that yield on two workers:
 * what does not fit takes turns through the injection queue, and with it moves from worker to worker; with room for all
 * a yield of a future takes 0.65 of the time, of a fiber 0.75. */
#define SKUAI_DEQUE_CAPACITY 1024u
#endif

struct skuai_deque {
    /* written by the owner */
    skua_word64 bottom __attribute__((aligned(SKUAI_CACHE_LINE)));
    uint64_t seen_top; /* the owner's last look at top: spares a shared read per push */
    /* written by everybody who takes */
    skua_word64 top __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* written by the owner, read by takers */
    skua_wordptr slots[SKUAI_DEQUE_CAPACITY] __attribute__((aligned(SKUAI_CACHE_LINE)));
};

/* Owner only. False: full, nothing done. `order` is SKUAI_SEQ_CST when the caller will look for sleepers to wake next
 * (store-buffering against a worker that goes to sleep, idle.h), else SKUAI_RELEASE. */
bool skuai_deque_push(struct skuai_deque *deque, void *item, enum skuai_order order);

/* Owner only: pushes count items as one publication. There must be room: the owner has seen it, and others only make
 * more. */
void skuai_deque_push_many(struct skuai_deque *deque, void *const *items, uint32_t count);

/* Owner only, to make room: takes all but the older half (of the capacity) out and visits it, newest first. Returns how
 * many were visited: none if thieves have made enough room meanwhile. What it publishes again counts as pushed with
 * SKUAI_SEQ_CST: who looked in between may have seen nothing. */
typedef void skuai_deque_visit(void *item, void *arg);
uint32_t skuai_deque_shed(struct skuai_deque *deque, skuai_deque_visit *visit, void *arg);

/* Takes up to max of the oldest items: as many as `share` allows of those that are there (1: all, 2: half, rounded
 * up). Returns the count; 0: empty; -1: lost a race, and something may still be there. */
int skuai_deque_take(struct skuai_deque *deque, void **items, uint32_t max, uint32_t share);

/* How many are there, or some more. SEQ_CST: the sleeper's half of the shape above. */
SKUAI_INLINE uint64_t skuai_deque_count(const struct skuai_deque *deque)
{
    uint64_t top = skuai_load_64(&deque->top, SKUAI_RELAXED); /* an old value errs towards "not empty" */
    uint64_t bottom = skuai_load_64(&deque->bottom, SKUAI_SEQ_CST);
    return bottom > top ? bottom - top : 0;
}

#endif
