/* See source.h. */
#include "io/source.h"

#include <errno.h>

#include "sched/spawn.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum { GENERATION_SHIFT = 32, EVENT = 1 << 8 };

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

SKUAI_HOT void skuai_source_event(struct skuai_source *source, uint32_t generation, uint32_t ready)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    /* First of all: the kernel brings a token and orders no memory, but who has armed the source did so under the lock,
     * and closing raises the generation under it. So what is seen here is the token's life or a later one. */
    skuai_lock_acquire(&source->lock);
    uint64_t seen = skuai_load_64(&source->readiness, SKUAI_RELAXED);
    if (skuai_life_of(seen) == generation) {
        /* No model test needs the sequence: whoever waits does so under the lock. */
        while (!skuai_cas_64(&source->readiness, &seen, after_event(seen, ready), SKUAI_RELEASE)) /* Q2 */
            ;
        for (int direction = 0; direction < SKUAI_DIRECTIONS; direction++)
            if (ready & bit_of((enum skuai_direction)direction))
                claim_locked(source, (enum skuai_direction)direction, 0, &fires);
    }
    skuai_lock_release(&source->lock);
    skuai_fires_finish(&fires);
}

SKUAI_HOT void skuai_source_drained(struct skuai_source *source, uint64_t seen, enum skuai_direction direction)
{
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
static int arm_locked(const struct skuai_worker *worker, struct skuai_source *source)
{
    if (SKUAI_LIKELY(SKUAI_READ(source->armed)))
        return 0;
    /* The source is in use, so it is this life's generation. */
    uint32_t generation = skuai_life_of(skuai_load_64(&source->readiness, SKUAI_RELAXED));
    uint32_t shard = skuai_driver_shard(source->driver, worker, source->index);
    int rc = skuai_driver_watch(source->driver, shard, SKUAI_READ(source->fd),
                                (uint64_t)generation << GENERATION_SHIFT | source->index);
    SKUAI_WRITE(source->shard, shard);
    SKUAI_WRITE(source->armed, rc == 0);
    source->always_ready = rc == -EPERM;
    return rc == -EPERM ? 0 : rc;
}

/* Q3, of one that is armed. 1: it waits; 0: it is ready. */
static int link_waiter_locked(struct skuai_worker *worker, struct skuai_source *source, skua_op *op, bool may_wait)
{
    uint64_t readiness = skuai_load_64(&source->readiness, SKUAI_RELAXED); /* events come under the lock */
    if (SKUAI_UNLIKELY(source->always_ready) || skuai_readiness_has(readiness, direction_of(op)))
        return 0;
    if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&source->waiters[direction_of(op)], op);
    }
    return 1;
}

/* Q3, Q8. 1: it waits; 0: it is ready; -ECANCELED: that life is over; -EAGAIN: it must be armed first. Whoever closes
 * it says so, then takes the lock: who finds it open under the lock will be found there. So nobody need enter. */
static int wait_locked(struct skuai_worker *worker, struct skuai_source *source, skua_op *op, bool may_wait,
                       uint32_t life)
{
    if (skuai_source_is_closing_locked(source) ||
        skuai_life_of(skuai_load_64(&source->readiness, SKUAI_RELAXED)) != life) /* it ends under the lock */
        return -ECANCELED;
    return SKUAI_LIKELY(SKUAI_READ(source->armed)) ? link_waiter_locked(worker, source, op, may_wait) : -EAGAIN;
}

/* Q5: by a user, who calls the kernel. */
static __attribute__((noinline)) int arm_and_wait(struct skuai_worker *worker, struct skuai_source *source, skua_op *op,
                                                  bool may_wait, uint32_t life)
{
    if (!skuai_source_enter(source, life))
        return -ECANCELED;
    skuai_lock_acquire(&source->lock);
    int rc = skuai_source_is_closing_locked(source) ? -ECANCELED : arm_locked(worker, source);
    if (rc == 0)
        rc = link_waiter_locked(worker, source, op, may_wait);
    skuai_lock_release(&source->lock);
    skuai_source_leave(source);
    return rc;
}

SKUAI_HOT static int start_in(struct skuai_worker *worker, struct skuai_source *source, skua_op *op, bool may_wait,
                              uint32_t life)
{
    /* Q9: a thread that is none of the child's may hold the lock. No model test needs the sequence: none forks. */
    if (skuai_driver_is_childs(source->driver))
        return -ENOTSUP;
    skuai_lock_acquire(&source->lock);
    int rc = wait_locked(worker, source, op, may_wait, life);
    skuai_lock_release(&source->lock);
    return SKUAI_LIKELY(rc != -EAGAIN) ? rc : arm_and_wait(worker, source, op, may_wait, life);
}

static void set_over(skua_op *op, int rc)
{
    if (rc <= 0 && skuai_op_claim_own(op))
        skuai_op_set_done(op, rc);
}

static void start_wait(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    uint32_t life;
    bool is_open = skuai_source_begin(source_of(op), &life);
    set_over(op, is_open ? start_in(worker, source_of(op), op, may_wait, life) : -EBADF);
}

/* Which life is meant is where its result will be. */
SKUAI_HOT static void start_wait_in(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    set_over(op, start_in(worker, source_of(op), op, may_wait, (uint32_t)op->result));
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
static const struct skuai_op_kind kinds_in[SKUAI_DIRECTIONS] = {
    { .name = "skua_read", .start = start_wait_in, .withdraw = withdraw_wait },
    { .name = "skua_write", .start = start_wait_in, .withdraw = withdraw_wait },
};

static void *owner_of(struct skuai_source *source, enum skuai_direction direction)
{
    return (void *)((uintptr_t)source | (uintptr_t)direction);
}

skua_op *skuai_source_wait_prepare(skua_op *op, struct skuai_source *source, enum skuai_direction direction)
{
    return skuai_op_prepare(op, &kinds[direction], owner_of(source, direction));
}

SKUAI_HOT skua_op *skuai_source_wait_in_prepare(skua_op *op, struct skuai_source *source,
                                                enum skuai_direction direction, uint32_t life)
{
    skuai_op_prepare(op, &kinds_in[direction], owner_of(source, direction));
    op->result = life;
    return op;
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

/* Nobody uses the descriptor any more, and nobody will. */
void skuai_source_last_left(struct skuai_source *source)
{
    int fd = SKUAI_READ(source->fd);
    bool is_ours = !SKUAI_READ(source->armed) ||
                   skuai_driver_unwatch(source->driver, SKUAI_READ(source->shard), fd);
    skuai_driver_let_go(source->driver, fd, is_ours && !source->keeps_fd);
    source->always_ready = false;
    SKUAI_WRITE(source->armed, false);
    /* No model test needs the step: by this the driver's end knows what is still open. */
    SKUAI_WRITE(source->fd, -1);
    struct skuai_driver *driver = source->driver;
    skuai_driver_recycle(driver, source);
    /* No model test needs the step: nobody closes behind anybody's back there. */
    if (SKUAI_UNLIKELY(!is_ours))
        skuai_driver_lost(driver, fd);
}

/* Q6: nobody enters from here on. The closer is a user meanwhile. Relaxed: it is the leaving that orders. False: it is
 * closed. */
static bool begin_close(struct skuai_source *source)
{
    uint32_t seen = skuai_load_32(&source->users, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (SKUAI_UNLIKELY(seen & SKUAI_SOURCE_CLOSED))
            return false;
    } while (!skuai_cas_32(&source->users, &seen, (seen | SKUAI_SOURCE_CLOSED) + 1, SKUAI_RELAXED));
    return true;
}

/* Others are in for a system call that does not wait. */
static void let_others_leave(struct skuai_source *source)
{
    /* Relaxed: the closer is the last one out then, and orders. No model test runs this: it has no watches. */
    while (skuai_load_32(&source->users, SKUAI_RELAXED) != (SKUAI_SOURCE_CLOSED | 1))
        skuai_thread_yield();
}

bool skuai_source_close(struct skuai_source *source)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    if (!begin_close(source)) /* no model test needs the sequence: none forks, here and below */
        return false;
    /* No model test needs the sequence: likewise. */
    if (SKUAI_UNLIKELY(skuai_driver_is_childs(source->driver))) {
        /* Q9: whoever else was in there is not in the child. The closer stays in, so that nobody is the last. */
        skuai_driver_let_go(source->driver, source->fd, !source->keeps_fd);
        source->fd = -1;
        return true;
    }
    skuai_lock_acquire(&source->lock);
    uint64_t seen = skuai_load_64(&source->readiness, SKUAI_RELAXED); /* the exchange decides */
    /* Q7. Relaxed: events look under the lock. No model test needs the sequence: who waits does so under it, too. */
    while (!skuai_cas_64(&source->readiness, &seen, (uint64_t)(skuai_life_of(seen) + 1) << GENERATION_SHIFT,
                         SKUAI_RELAXED))
        ;
    for (int direction = 0; direction < SKUAI_DIRECTIONS; direction++)
        claim_locked(source, (enum skuai_direction)direction, -ECANCELED, &fires);
    skuai_lock_release(&source->lock);
    skuai_fires_finish(&fires);
    if (SKUAI_UNLIKELY(source->keeps_fd))
        let_others_leave(source);
    skuai_source_leave(source);
    return true;
}

bool skuai_source_close_once(struct skuai_source *source, const char *call)
{
    bool was_open = skuai_source_close(source);
    if (SKUAI_UNLIKELY(!was_open) && !skuai_driver_is_childs(source->driver))
        skuai_driver_closed_twice(source->driver, call);
    return was_open;
}
