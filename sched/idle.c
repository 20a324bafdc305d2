/* See idle.h. */
#include "sched/idle.h"

#define SLEEPING UINT64_C(1)
#define SEARCHING (UINT64_C(1) << 32)

static uint32_t sleeping_of(uint64_t counts) { return (uint32_t)counts; }
static uint32_t searching_of(uint64_t counts) { return (uint32_t)(counts >> 32); }

void skuai_idle_init(struct skuai_idle *idle, uint32_t workers, uint32_t *stack)
{
    *idle = (struct skuai_idle){ .workers = workers, .timekeeper = SKUAI_IDLE_NOBODY, .stack = stack };
}

bool skuai_idle_search(struct skuai_idle *idle)
{
    uint64_t counts = skuai_load_64(&idle->counts, SKUAI_RELAXED); /* a limit, not a protocol: may be a little off */
    if (2 * searching_of(counts) >= idle->workers - sleeping_of(counts))
        return false;
    /* Relaxed: entering promises producers nothing; leaving (P2, P3) is what they rely on. */
    skuai_add_64(&idle->counts, SEARCHING, SKUAI_RELAXED);
    return true;
}

void skuai_idle_found(struct skuai_idle *idle)
{
    /* SEQ_CST: in one order with producers' reads of counts (P1): a producer that still saw us search is followed by
     * our own pick. No model test needs the seq_cst: that pick begins with a seq_cst load of the same word. */
    skuai_sub_64(&idle->counts, SEARCHING, SKUAI_SEQ_CST);
}

static void take_out_locked(struct skuai_idle *idle, uint32_t at)
{
    uint32_t depth = SKUAI_READ(idle->depth) - 1;
    if (idle->stack[at] == SKUAI_READ(idle->timekeeper))
        SKUAI_WRITE(idle->timekeeper, SKUAI_IDLE_NOBODY);
    for (; at < depth; at++)
        idle->stack[at] = idle->stack[at + 1];
    SKUAI_WRITE(idle->depth, depth);
}

/* Takes a sleeper out, the timekeeper only if it is alone. Lock held. */
static uint32_t take_sleeper_locked(struct skuai_idle *idle)
{
    uint32_t depth = SKUAI_READ(idle->depth), keeper = SKUAI_READ(idle->timekeeper);
    if (depth == 0)
        return SKUAI_IDLE_NOBODY;
    uint32_t at = depth - 1;
    if (idle->stack[at] == keeper && at > 0)
        at--;
    uint32_t worker = idle->stack[at];
    take_out_locked(idle, at);
    return worker;
}

/* P1. No model test needs the second check: without it one would do. */
static bool enough_search(const struct skuai_idle *idle, uint64_t counts, enum skuai_idle_part part)
{
    return searching_of(counts) != 0 && part * searching_of(counts) >= idle->workers - sleeping_of(counts);
}

uint32_t skuai_idle_pick(struct skuai_idle *idle, enum skuai_idle_part part)
{
    uint64_t counts = skuai_load_64(&idle->counts, SKUAI_SEQ_CST); /* P1, the read half of its litmus */
    /* Spares the lock; no model test needs the check: it is asked again. */
    if (SKUAI_LIKELY(sleeping_of(counts) == 0 || enough_search(idle, counts, part)))
        return SKUAI_IDLE_NOBODY;
    skuai_lock_acquire(&idle->lock);
    uint32_t worker = SKUAI_IDLE_NOBODY;
    /* Again: another producer may have woken one. Relaxed: by the first look our work comes before whatever takes a
     * searcher away that is seen here. */
    counts = skuai_load_64(&idle->counts, SKUAI_RELAXED);
    if (!enough_search(idle, counts, part)) {
        worker = take_sleeper_locked(idle);
        if (worker != SKUAI_IDLE_NOBODY)
            skuai_add_64(&idle->counts, SEARCHING - SLEEPING, SKUAI_SEQ_CST); /* in one order with P1 and P2 */
    }
    skuai_lock_release(&idle->lock);
    return worker;
}

/* No model test needs the sequence: all of it is under the lock, which pickers take. */
uint32_t skuai_idle_settle(struct skuai_idle *idle, uint32_t worker, bool searching, const skua_word64 *timer_next)
{
    skuai_lock_acquire(&idle->lock);
    uint32_t depth = SKUAI_READ(idle->depth);
    idle->stack[depth] = worker;
    SKUAI_WRITE(idle->depth, depth + 1);
    uint64_t until_ns = skuai_load_64(timer_next, SKUAI_RELAXED); /* own timers: program order; others': the lock */
    if (SKUAI_READ(idle->timekeeper) == SKUAI_IDLE_NOBODY || until_ns < idle->timekeeper_until_ns) {
        SKUAI_WRITE(idle->timekeeper, worker);
        idle->timekeeper_until_ns = until_ns;
    }
    /* SEQ_CST: P2, the store half of its litmus; the caller's look at the queues follows. */
    skuai_add_64(&idle->counts, searching ? SLEEPING - SEARCHING : SLEEPING, SKUAI_SEQ_CST);
    skuai_lock_release(&idle->lock);
    return idle->workers - (depth + 1); /* P6 */
}

uint64_t skuai_idle_sleep_until(struct skuai_idle *idle, uint32_t worker, const skua_word64 *timer_next)
{
    uint64_t until_ns = UINT64_MAX;
    skuai_lock_acquire(&idle->lock);
    if (SKUAI_READ(idle->timekeeper) == worker) {
        until_ns = skuai_load_64(timer_next, SKUAI_RELAXED); /* as in settle */
        idle->timekeeper_until_ns = until_ns;
    }
    skuai_lock_release(&idle->lock);
    return until_ns;
}

bool skuai_idle_leave(struct skuai_idle *idle, uint32_t worker)
{
    bool left = false;
    skuai_lock_acquire(&idle->lock);
    for (uint32_t at = 0; at < SKUAI_READ(idle->depth); at++) {
        if (idle->stack[at] != worker)
            continue;
        take_out_locked(idle, at); /* no model test needs the sequence: as above */
        skuai_sub_64(&idle->counts, SLEEPING, SKUAI_SEQ_CST); /* in one order with P1 and P2 */
        left = true;
        break;
    }
    skuai_lock_release(&idle->lock);
    return left;
}

uint32_t skuai_idle_timekeeper(struct skuai_idle *idle)
{
    skuai_lock_acquire(&idle->lock);
    uint32_t worker = SKUAI_READ(idle->timekeeper);
    skuai_lock_release(&idle->lock);
    return worker;
}
