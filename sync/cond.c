/* Condition variables.
 *
 *   V1 wait    the op is linked under the short lock while the mutex is held, which is left after that. So a signal by
 *              anybody who has changed something in the mutex since comes after the link, and finds the op
 *   V2 signal  claims the oldest waiter, or all, under the short lock. A waiter who has been interrupted is not there
 *              any more; one who was claimed is not interrupted any more: no signal is lost with him
 *   V3 lock    in a shield, whatever became of the wait
 * Model: tests/model/model_cond.c.
 */
#include "skua/cond.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "sync/lock_debug.h"

static struct skuai_lock *cond_lock_of(skua_cond *cond) { return skuai_lock_at(&cond->lock); }

void skua_cond_init(skua_cond *cond) { *cond = (skua_cond)SKUA_COND_INIT; }

void skua_cond_fini(skua_cond *cond)
{
    skuai_lock_acquire(cond_lock_of(cond));
    bool waits = SKUAI_READ(cond->waiters.first) != NULL;
    skuai_lock_release(cond_lock_of(cond));
    if (waits)
        skuai_misuse("skua_cond_fini", "was given a condition that somebody waits for",
                     "destroy it when all who use it have ended");
}

/* V2. */
void skua_cond_signal(skua_cond *cond)
{
    skuai_lock_acquire(cond_lock_of(cond));
    skua_op *op = skuai_waiters_claim(&cond->waiters);
    skuai_lock_release(cond_lock_of(cond));
    if (op != NULL)
        skuai_op_finish(op, 0);
}

void skua_cond_broadcast(skua_cond *cond)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(cond_lock_of(cond));
    while ((op = skuai_waiters_claim(&cond->waiters)) != NULL)
        skuai_fires_add(&fires, op, 0);
    skuai_lock_release(cond_lock_of(cond));
    skuai_fires_finish(&fires);
}

/* V1, the first half. Never done at once. */
static void start_wait(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_cond *cond = op->owner;
    (void)may_wait; /* it is no arm of a select */
    skuai_lock_acquire(cond_lock_of(cond));
    skuai_op_arm_here(worker, op);
    skuai_waiters_append(&cond->waiters, op);
    skuai_lock_release(cond_lock_of(cond));
}

static bool withdraw_wait(skua_op *op)
{
    skua_cond *cond = op->owner;
    return skuai_waiters_withdraw(cond_lock_of(cond), &cond->waiters, op);
}

static const struct skuai_op_kind wait_kind = { .name = "skua_cond_wait", .start = start_wait,
                                                .withdraw = withdraw_wait };

/* V1. False: it is over, with op->result, and the mutex was not left. */
static bool begin_wait(skua_op *op, skua_cond *cond, skua_mutex *mutex)
{
    skuai_op_start(skuai_op_prepare(op, &wait_kind, cond));
    if (skuai_op_is_done(op))
        return false;
    skua_mutex_unlock(mutex);
    return true;
}

/* In debug builds by the caller. */
static bool is_held(const skua_mutex *mutex)
{
    if (skua_mutex_is_locked(mutex) && skuai_lock_debug_holds(&mutex->identity, SKUAI_LOCK_EXCLUSIVE))
        return true;
    skuai_misuse("skua_cond_wait", "was given a mutex that the caller does not hold", "lock it first");
    return false;
}

static int wait_until(skua_cond *cond, skua_mutex *mutex, uint64_t instant_ns)
{
    skua_op op;
    int rc = skuai_call_begin(skuai_worker_self(), "skua_cond_wait");
    if (rc == 0 && !is_held(mutex))
        rc = -EPERM;
    if (rc < 0)
        return rc;
    if (!begin_wait(&op, cond, mutex))
        return (int)op.result;
    rc = (int)(instant_ns == SKUA_NEVER ? skua_await(&op) : skua_await_until(&op, instant_ns));
    skua_mutex_lock_shielded(mutex); /* V3 */
    return rc;
}

int skua_cond_wait(skua_cond *cond, skua_mutex *mutex) { return wait_until(cond, mutex, SKUA_NEVER); }

int skua_cond_wait_until(skua_cond *cond, skua_mutex *mutex, uint64_t instant_ns)
{
    return wait_until(cond, mutex, instant_ns);
}

SKUA_ASYNC(skua_cond_waiting)
{
    SKUA_BEGIN(self);
    if (!is_held(self->in.mutex))
        SKUA_RETURN(-EPERM);
    if (!begin_wait(&self->op, self->in.cond, self->in.mutex))
        SKUA_RETURN(self->op.result);
    SKUA_AWAIT(&self->op);
    self->outcome = self->op.result;
    skua_shield_enter(&self->shield); /* V3 */
    SKUA_AWAIT(skua_mutex_lock_start(&self->op, self->in.mutex));
    skua_scope_leave(&self->shield);
    SKUA_END(self->outcome);
}

skua_frame *skua_cond_wait_start(skua_cond_waiting *waiting, skua_cond *cond, skua_mutex *mutex)
{
    return &SKUA_FUTURE(waiting, skua_cond_waiting, .cond = cond, .mutex = mutex)->frame;
}
