/* See source.h. */
#include "io/source.h"

#include <errno.h>

#include "sched/wait.h"
#include "sched/waiters.h"

enum { GENERATION_SHIFT = 32, EVENT = 1 << 8 };

static uint32_t generation_of(uint64_t readiness) { return (uint32_t)(readiness >> GENERATION_SHIFT); }
static uint32_t bit_of(enum skuai_direction direction)
{
    return direction == SKUAI_READING ? SKUAI_READY_READ : SKUAI_READY_WRITE;
}

/* The word after an event: its count wraps within its own bits. */
static uint64_t after_event(uint64_t seen, uint32_t ready)
{
    return (seen & ~(uint64_t)UINT32_MAX) | (uint32_t)(((uint32_t)seen + EVENT) | ready);
}

static void claim_locked(struct skuai_source *source, enum skuai_direction direction, int64_t result,
                         struct skuai_fires *fires)
{
    skua_op *op;
    while ((op = skuai_waiters_claim(&source->waiters[direction])) != NULL)
        skuai_fires_add(fires, op, result);
}

void skuai_source_event(struct skuai_source *source, uint32_t generation, uint32_t ready)
{
    uint64_t seen = skuai_load_64(&source->readiness, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (generation_of(seen) != generation)
            return;
    } while (!skuai_cas_64(&source->readiness, &seen, after_event(seen, ready), SKUAI_RELEASE)); /* Q2 */
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(&source->lock);
    /* Q7: who waits by now may wait for another life's readiness. */
    if (generation_of(skuai_load_64(&source->readiness, SKUAI_RELAXED)) == generation)
        for (int direction = 0; direction < SKUAI_DIRECTIONS; direction++)
            if (ready & bit_of((enum skuai_direction)direction))
                claim_locked(source, (enum skuai_direction)direction, 0, &fires);
    skuai_lock_release(&source->lock);
    skuai_fires_finish(&fires);
}

void skuai_source_drained(struct skuai_source *source, uint64_t seen, enum skuai_direction direction)
{
    if (seen & (SKUAI_READY_HANGUP | SKUAI_READY_ERROR)) /* Q4 */
        return;
    /* Relaxed: takes away what says "try", no more. If the word has changed an event has come since. */
    skuai_cas_64(&source->readiness, &seen, seen & ~(uint64_t)bit_of(direction), SKUAI_RELAXED);
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

/* Which direction an op waits for is the low bit of its owner. */
static struct skuai_source *source_of(const skua_op *op)
{
    return (struct skuai_source *)((uintptr_t)op->owner & ~(uintptr_t)1);
}
static enum skuai_direction direction_of(const skua_op *op)
{
    return (enum skuai_direction)((uintptr_t)op->owner & 1);
}

/* Q5. 0, or why it is not watched. */
static int arm_locked(struct skuai_source *source)
{
    if (SKUAI_LIKELY(source->armed))
        return 0;
    /* The source is in use, so it is this life's generation. */
    uint32_t generation = generation_of(skuai_load_64(&source->readiness, SKUAI_RELAXED));
    int rc = skuai_driver_watch(source->driver, source->fd, (uint64_t)generation << GENERATION_SHIFT | source->index);
    source->armed = rc == 0;
    source->always_ready = rc == -EPERM;
    return rc == -EPERM ? 0 : rc;
}

/* Q3. 1: it waits; 0: it is ready; an error. */
static int wait_locked(struct skuai_worker *worker, struct skuai_source *source, skua_op *op, bool may_wait)
{
    if (skuai_source_is_closing_locked(source))
        return -ECANCELED;
    int rc = arm_locked(source);
    if (rc < 0)
        return rc;
    uint64_t readiness = skuai_load_64(&source->readiness, SKUAI_RELAXED); /* Q1 takes the lock after its exchange */
    if (source->always_ready || skuai_readiness_has(readiness, direction_of(op)))
        return 0;
    if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&source->waiters[direction_of(op)], op);
    }
    return 1;
}

static void start_wait(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct skuai_source *source = source_of(op);
    int rc = -EBADF;
    if (skuai_source_enter(source)) {
        skuai_lock_acquire(&source->lock);
        rc = wait_locked(worker, source, op, may_wait);
        skuai_lock_release(&source->lock);
        skuai_source_leave(source);
    }
    if (rc <= 0 && skuai_op_claim_own(op))
        skuai_op_set_done(op, rc);
}

static bool withdraw_wait(skua_op *op)
{
    struct skuai_source *source = source_of(op);
    return skuai_waiters_withdraw(&source->lock, &source->waiters[direction_of(op)], op);
}

static const struct skuai_op_kind kinds[SKUAI_DIRECTIONS] = {
    { .name = "skua_readable", .start = start_wait, .withdraw = withdraw_wait },
    { .name = "skua_writable", .start = start_wait, .withdraw = withdraw_wait },
};

skua_op *skuai_source_wait_prepare(skua_op *op, struct skuai_source *source, enum skuai_direction direction)
{
    return skuai_op_prepare(op, &kinds[direction], (void *)((uintptr_t)source | (uintptr_t)direction));
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

/* Nobody uses the descriptor any more, and nobody will. */
void skuai_source_last_left(struct skuai_source *source)
{
    if (source->armed)
        skuai_driver_unwatch(source->driver, source->fd);
    if (!source->keeps_fd)
        skuai_driver_close_fd(source->fd);
    source->armed = source->always_ready = false;
    source->fd = -1;
    skuai_driver_recycle(source->driver, source);
}

void skuai_source_close(struct skuai_source *source)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    /* Q6: nobody enters from here on. The closer is a user meanwhile. Acquire-release: as in leave. */
    skuai_add_32(&source->users, SKUAI_SOURCE_CLOSED | 1, SKUAI_ACQ_REL);
    skuai_lock_acquire(&source->lock);
    uint64_t seen = skuai_load_64(&source->readiness, SKUAI_RELAXED); /* the exchange decides */
    /* Q7. Relaxed: events look again under the lock. */
    while (!skuai_cas_64(&source->readiness, &seen, (uint64_t)(generation_of(seen) + 1) << GENERATION_SHIFT,
                         SKUAI_RELAXED))
        ;
    for (int direction = 0; direction < SKUAI_DIRECTIONS; direction++)
        claim_locked(source, (enum skuai_direction)direction, -ECANCELED, &fires);
    skuai_lock_release(&source->lock);
    skuai_fires_finish(&fires);
    skuai_source_leave(source);
}
