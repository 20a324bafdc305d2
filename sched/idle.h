/* Who sleeps, who searches, whom to wake. One per runtime; no queue and no thread in it, so that it can be modelled.
 *
 * A worker without work *searches* (steals, looks everywhere) for a while, then *sleeps* on its own parker. Producers
 * wake a sleeper only if nobody is searching: a searcher will find the work. The protocol that no work is left lying
 * while all sleep:
 *   P1 publish  a producer stores its work, then reads `counts`, both seq_cst. If nobody searches, or fewer than a part
 *               of those who are awake, and somebody sleeps, it takes one sleeper out of the set, counts it as
 *               searching, and unparks it.
 *   P2 settle   a searcher that gives up enters the set of sleepers and takes itself off the searching count in one
 *               seq_cst exchange, *then* looks at all queues once more (seq_cst), and only then parks. Litmus: store
 *               buffering, P1 { work; counts } against P2 { counts; work }: at least one of them sees the other.
 *   P3 chain    a searcher that finds work leaves the searching count and does P1's second half itself: more work may
 *               have come while the producers relied on it. So wakes chain, each woken worker waking the next while
 *               there is work; and by P1's part the more, the more are awake: one at a time, 512 workers would take
 *               11 ms to be awake.
 *   P4 return   a worker that wakes, or that found work in P2's second look, leaves the set. If a producer has taken it
 *               out already it counts as searching. The set decides this, not the parker's token, which may be late.
 *   P5 move     who moves work from one queue to another without searching does P1's second half afterwards: on its way
 *               the work was in nobody's sight, and a searcher may have missed it in P2's second look.
 *   P6 aside   while the processors are crowded (crowd.h), who settles and leaves enough others awake, one at least,
 *              looks again at the injection queue alone: what is in a deque is that of a worker who is awake. The last
 *              one looks everywhere; how many are left settling says, under the lock, so there is always one. And who
 *              has searched, or been woken by events, wakes another (P3, P5) only if the injection queue has something:
 *              who pushed elsewhere is awake itself.
 * At most half of the workers that are awake search at once (P1 counts in any case).
 *
 * The set is a stack guarded by a short lock (woken last in, first out: warm caches, and the rest sleep on). One
 * sleeper is the *timekeeper*: it alone sleeps with a time-out, the earliest of all timers. It is woken last, and
 * passes the role on by being taken out of the set.
 * Model: tests/model/model_idle.c.
 */
#ifndef SKUAI_IDLE_H
#define SKUAI_IDLE_H

#include "sched/atomic.h"
#include "sched/lock.h"

#define SKUAI_IDLE_NOBODY UINT32_MAX

struct skuai_idle {
    skua_word64 counts __attribute__((aligned(SKUAI_CACHE_LINE))); /* sleeping in the low half, searching in the high */
    uint32_t workers;
    struct skuai_lock lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    /* guarded by lock */
    uint32_t depth;
    uint32_t timekeeper;           /* a worker in the set, or NOBODY */
    uint64_t timekeeper_until_ns;
    uint32_t *stack;               /* caller's memory, one entry per worker */
};

void skuai_idle_init(struct skuai_idle *idle, uint32_t workers, uint32_t *stack);

/* May the caller, awake and not searching, search? If so it counts as searching. */
bool skuai_idle_search(struct skuai_idle *idle);

/* P3: the searcher found something, and must do skuai_idle_pick(). */
void skuai_idle_found(struct skuai_idle *idle);

/* P1, the part that may search before no more are woken. For tasks, which may be few and short, a quarter: a half would
 * give 16 tasks of 5 µs that come at once to 64 workers three times the wakes, and hardly less of waiting. For jobs,
 * which are offered where a wake pays, a half: short runs on many workers take an eighth less. See sched/DESIGN.md. */
enum skuai_idle_part { SKUAI_IDLE_QUARTER = 4, SKUAI_IDLE_HALF = 2 };

/* P1, second half, after work was published by a seq_cst store or exchange. Returns a worker to unpark, or NOBODY. */
uint32_t skuai_idle_pick(struct skuai_idle *idle, enum skuai_idle_part part);

/* P2: enters the set. `searching` says whether the caller counts as searching. The caller takes the timekeeper's role
 * if nobody has it or if `timer_next` is sooner than what the timekeeper sleeps for. Returns how many workers are not
 * in the set. */
uint32_t skuai_idle_settle(struct skuai_idle *idle, uint32_t worker, bool searching, const skua_word64 *timer_next);

/* Until when the worker, in the set, may sleep: the timekeeper until `timer_next`, others for ever (UINT64_MAX). To be
 * asked before each sleep, and obeyed: later settlers go by the answer. It is read under the lock, so that a worker
 * that lowers timer_next and settles before is seen, and one that settles later sees the answer. */
uint64_t skuai_idle_sleep_until(struct skuai_idle *idle, uint32_t worker, const skua_word64 *timer_next);

/* P4. True: the caller left the set by itself and is neither sleeping nor searching. False: it had been picked and
 * counts as searching; a token is in its parker, was taken from there, or is on its way. */
bool skuai_idle_leave(struct skuai_idle *idle, uint32_t worker);

/* The worker that is the timekeeper at the moment, or NOBODY. */
uint32_t skuai_idle_timekeeper(struct skuai_idle *idle);

SKUAI_INLINE uint32_t skuai_idle_sleeping(const struct skuai_idle *idle)
{
    return (uint32_t)skuai_load_64(&idle->counts, SKUAI_RELAXED); /* a hint */
}

SKUAI_INLINE uint32_t skuai_idle_searching(const struct skuai_idle *idle)
{
    return (uint32_t)(skuai_load_64(&idle->counts, SKUAI_RELAXED) >> 32); /* a hint */
}

#endif
