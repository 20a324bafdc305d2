/* The pool of threads for blocking calls. See skua/blocking.h.
 *
 *   B1 submit   under the lock: the op is queued. If a thread is idle it is taken off the idle list and unparked, for
 *               this call; else, if there are fewer than the limit, one is started, which looks into the queue first.
 *               Started without the lock, counted before: so no more than the limit are
 *   B2 take     under the lock a thread takes the oldest call that can be claimed (op.h, O2): from then on it cannot be
 *               withdrawn. It runs it and finishes the op, and looks again
 *   B3 idle     nothing being there, under the same lock, it enters the idle list, and sleeps until it is taken off, or
 *               for LINGER_NS: then it takes itself off and ends
 *   B4 end      who ends is put on the list of threads to be joined, which the next that starts one, or the destroyer,
 *               goes through
 *   B5 no thread  if one could not be started and there is no other, the call fails; others would take it
 *   B6 detached  a call that nobody waits for is queued as the others are; its op lies in memory that its function may
 *               give back, so it is not looked at any more once that has begun
 * An arm of a select is claimed by the thread that takes it, so the functions of losing arms are never called.
 */
#include "io/blocking.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/scheduler.h"
#include "sched/spawn.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum { THREADS_MAX = 256, SIM_DELAY_MAX_NS = 1000000 };
#define LINGER_NS (10 * SKUA_S) /* untuned; as tokio's */

struct pool_thread {
    struct skuai_thread thread;
    struct skuai_parker parker;
    struct pool *pool;
    struct pool_thread *next; /* guarded: in the idle list, or in the one of those to be joined */
    bool is_idle;             /* guarded: in the idle list */
};

struct pool {
    struct skuai_scheduler *sched;
    struct skuai_lock lock;
    /* guarded by lock */
    skua_waiters queue;
    struct pool_thread *idle; /* last in, first out: the others may end */
    struct pool_thread *ended;
    uint32_t threads;         /* started or about to be, and not ended */
    uint32_t nidle;           /* in `idle` */
    uint64_t queued, queued_max, calls; /* in `queue`; the most that were; taken from there, to be called */
    uint32_t number;          /* for names */
    bool stopping;
};

static struct pool *pool_of(const skua_op *op) { return op->owner; }

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static const struct skuai_op_kind detached_kind = { .name = "skua_blocking, detached" };

static void unlink_locked(struct pool *pool, skua_op *op)
{
    skuai_waiters_remove(&pool->queue, op);
    pool->queued--;
}

/* skuai_waiters_claim(), and counts. */
static skua_op *claim_locked(struct pool *pool)
{
    skua_op *op;
    while ((op = pool->queue.first) != NULL) {
        unlink_locked(pool, op);
        if (skuai_op_claim(op)) {
            pool->calls++;
            return op;
        }
    }
    return NULL;
}

/* B2, B6. */
static bool run_one(struct pool *pool)
{
    skuai_lock_acquire(&pool->lock);
    skua_op *op = claim_locked(pool);
    skuai_lock_release(&pool->lock);
    if (op == NULL)
        return false;
    skua_blocking_op *call = (skua_blocking_op *)(void *)op;
    bool is_detached = op->kind == &detached_kind;
    int64_t result = call->fn(call->arg);
    if (!is_detached)
        skuai_op_finish(op, result);
    return true;
}

static void take_off_idle_locked(struct pool *pool, struct pool_thread *thread)
{
    struct pool_thread **link = &pool->idle;
    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
    thread->is_idle = false;
    pool->nidle--;
}

/* B3. False: something is there, or it is to end. */
static bool enter_idle(struct pool_thread *self)
{
    struct pool *pool = self->pool;
    skuai_lock_acquire(&pool->lock);
    bool enters = !pool->stopping && pool->queue.first == NULL;
    if (enters) {
        self->is_idle = true;
        pool->nidle++;
        self->next = pool->idle;
        pool->idle = self;
    }
    skuai_lock_release(&pool->lock);
    return enters;
}

/* False: nothing has come for so long. A token may be left from a call that was found before it was given. */
static bool linger(struct pool_thread *self)
{
    struct pool *pool = self->pool;
    uint64_t until_ns = skuai_clock_now() + LINGER_NS;
    for (;;) {
        (void)skuai_park_real(&self->parker, until_ns);
        bool is_late = skuai_clock_now() >= until_ns;
        skuai_lock_acquire(&pool->lock);
        bool still_idle = self->is_idle;
        if (still_idle && is_late)
            take_off_idle_locked(pool, self);
        skuai_lock_release(&pool->lock);
        if (!still_idle || is_late)
            return !still_idle;
    }
}

/* B4. False: something came after it was looked for. */
static bool end_thread(struct pool_thread *self)
{
    struct pool *pool = self->pool;
    skuai_lock_acquire(&pool->lock);
    bool ends = pool->queue.first == NULL;
    if (ends) {
        pool->threads--;
        self->next = pool->ended;
        pool->ended = self;
    }
    skuai_lock_release(&pool->lock);
    return ends;
}

static void pool_thread_main(void *arg)
{
    struct pool_thread *self = arg;
    while (run_one(self->pool) || (enter_idle(self) && linger(self)) || !end_thread(self))
        ;
}

static void join_ended(struct pool *pool)
{
    skuai_lock_acquire(&pool->lock);
    struct pool_thread *ended = pool->ended, *next;
    pool->ended = NULL;
    skuai_lock_release(&pool->lock);
    for (; ended != NULL; ended = next) {
        next = ended->next;
        skuai_thread_join_real(&ended->thread);
        skuai_memory_put_lines(&pool->sched->memory, ended, sizeof *ended);
    }
}

/* One that has been counted. */
static int start_thread(struct pool *pool, uint32_t number)
{
    join_ended(pool);
    struct pool_thread *thread = skuai_memory_get_lines(&pool->sched->memory, sizeof *thread);
    if (thread == NULL)
        return -ENOMEM;
    thread->pool = pool;
    thread->thread = (struct skuai_thread){ .entry = pool_thread_main, .arg = thread, .env = &pool->sched->env };
    snprintf(thread->thread.name, sizeof thread->thread.name, "skua-b%u", number % 10000u);
    int rc = skuai_thread_start_real(&thread->thread);
    if (rc < 0)
        skuai_memory_put_lines(&pool->sched->memory, thread, sizeof *thread);
    return rc;
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static void destroy_pool(void *arg)
{
    struct pool *pool = arg;
    uint32_t left;
    do {
        skuai_lock_acquire(&pool->lock);
        pool->stopping = true;
        left = pool->threads;
        for (struct pool_thread *thread; (thread = pool->idle) != NULL;) {
            take_off_idle_locked(pool, thread);
            skuai_unpark_real(&thread->parker); /* only workers of a simulation may not wake in a lock */
        }
        skuai_lock_release(&pool->lock);
        join_ended(pool);
        if (left != 0)
            skuai_thread_yield();
    } while (left != 0);
    struct skuai_scheduler *sched = pool->sched;
    skuai_memory_put_lines(&sched->memory, pool, sizeof *pool);
}

static int get_pool(struct skuai_scheduler *sched, struct pool **out)
{
    void *none = NULL;
    if (skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0) /* a fork's child */
        return -ENOTSUP;
    *out = skuai_load_ptr(&sched->blocking.pool, SKUAI_ACQUIRE); /* pairs with the exchange below */
    if (SKUAI_LIKELY(*out != NULL))
        return 0;
    struct pool *pool = skuai_memory_get_lines(&sched->memory, sizeof *pool);
    if (pool == NULL)
        return -ENOMEM;
    pool->sched = sched;
    sched->blocking.destroy = destroy_pool; /* the same for all who come here */
    *out = pool;
    if (!skuai_cas_ptr(&sched->blocking.pool, &none, pool, SKUAI_ACQ_REL)) {
        skuai_memory_put_lines(&sched->memory, pool, sizeof *pool);
        *out = none;
    }
    return 0;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* B5. True: nobody will take it, and it is its owner's again. */
static bool give_up(struct pool *pool, skua_op *op)
{
    skuai_lock_acquire(&pool->lock);
    pool->threads--;
    bool gives_up = pool->threads == 0 && skuai_waiters_has(&pool->queue, op);
    if (gives_up)
        unlink_locked(pool, op);
    skuai_lock_release(&pool->lock);
    return gives_up;
}

/* B1. 0, or why there is no thread for it: then it is not queued. */
static int enqueue(struct pool *pool, skua_op *op)
{
    struct pool_thread *idle = NULL;
    bool starts = false;
    uint32_t number = 0;
    skuai_lock_acquire(&pool->lock);
    skuai_waiters_append(&pool->queue, op);
    if (++pool->queued > pool->queued_max)
        pool->queued_max = pool->queued;
    if ((idle = pool->idle) != NULL) {
        take_off_idle_locked(pool, idle);
    } else if (pool->threads < THREADS_MAX) {
        starts = true;
        pool->threads++;
        number = pool->number++;
    }
    skuai_lock_release(&pool->lock);
    if (idle != NULL)
        skuai_unpark_real(&idle->parker);
    int rc = starts ? start_thread(pool, number) : 0;
    return rc < 0 && give_up(pool, op) ? rc : 0;
}

static void submit(struct skuai_worker *worker, struct pool *pool, skua_op *op)
{
    skuai_op_arm_here(worker, op);
    int rc = enqueue(pool, op);
    if (rc < 0 && skuai_op_claim(op)) /* else an arm of a select that was decided meanwhile: it is its owner's alone */
        skuai_op_finish(op, rc);
}

/* In a simulation, and on a thread that may block as it likes. */
static void run_here(struct skuai_worker *worker, skua_op *op)
{
    skua_blocking_op *call = (skua_blocking_op *)(void *)op;
    if (!skuai_op_claim_own(op))
        return;
    if (worker != NULL)
        skua_sim_compute(skuai_random_below(&worker->random, SIM_DELAY_MAX_NS));
    skuai_op_set_done(op, call->fn(call->arg));
}

void skuai_blocking_begin(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct pool *pool = NULL;
    if (!may_wait) /* it never is done at once */
        return;
    if (worker == NULL || worker->sched->env.sim != NULL) {
        run_here(worker, op);
        return;
    }
    int rc = get_pool(worker->sched, &pool);
    if (rc < 0) {
        if (skuai_op_claim_own(op))
            skuai_op_set_done(op, rc);
        return;
    }
    op->owner = pool;
    submit(worker, pool, op);
}

bool skuai_blocking_withdraw(skua_op *op)
{
    struct pool *pool = pool_of(op);
    bool withdrawn = true; /* as skuai_waiters_withdraw() */
    skuai_lock_acquire(&pool->lock);
    if (skuai_waiters_has(&pool->queue, op))
        unlink_locked(pool, op);
    else
        withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(&pool->lock);
    return withdrawn;
}

static const struct skuai_op_kind blocking_kind = {
    .name = "skua_blocking", .start = skuai_blocking_begin, .withdraw = skuai_blocking_withdraw
};

skua_op *skua_blocking_prepare(skua_blocking_op *op, skua_blocking_fn *fn, void *arg)
{
    op->fn = fn;
    op->arg = arg;
    return skuai_op_prepare(&op->op, &blocking_kind, NULL);
}

skua_op *skua_blocking_start(skua_blocking_op *op, skua_blocking_fn *fn, void *arg)
{
    return skuai_op_start(skua_blocking_prepare(op, fn, arg));
}

int64_t skua_blocking(skua_blocking_fn *fn, void *arg)
{
    skua_blocking_op op;
    return skuai_call(skua_blocking_prepare(&op, fn, arg));
}

int skuai_blocking_detach(struct skuai_scheduler *sched, skua_blocking_op *op, skua_blocking_fn *fn, void *arg)
{
    struct pool *pool = NULL;
    int rc = get_pool(sched, &pool);
    if (rc < 0)
        return rc;
    op->fn = fn;
    op->arg = arg;
    return enqueue(pool, skuai_op_prepare(&op->op, &detached_kind, pool));
}

void skuai_blocking_stats(struct skuai_scheduler *sched, struct skuai_blocking_stats *stats)
{
    struct pool *pool = skuai_load_ptr(&sched->blocking.pool, SKUAI_ACQUIRE); /* as in get_pool() */
    *stats = (struct skuai_blocking_stats){ .threads = 0 };
    if (pool == NULL || skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0) /* whose lock may never be released */
        return;
    skuai_lock_acquire(&pool->lock);
    *stats = (struct skuai_blocking_stats){ .threads = pool->threads, .idle = pool->nidle, .queued = pool->queued,
                                            .queued_max = pool->queued_max, .calls = pool->calls };
    skuai_lock_release(&pool->lock);
}
