/* Notifications. `kept` changes under the lock only.
 *
 *   N1 one    under the lock: claims the oldest waiter, or is kept if there is none. So while one is kept nobody waits
 *   N2 all    under the lock: claims all who wait
 *   N3 wait   under the lock: takes what is kept, or is linked
 * Model: tests/model/model_notify.c.
 */
#include "skua/notify.h"

#include <errno.h>

#include "sched/wait.h"
#include "sched/waiters.h"

static struct skuai_lock *lock_of(skua_notify *notify) { return skuai_lock_at(&notify->lock); }

void skua_notify_init(skua_notify *notify) { *notify = (skua_notify)SKUA_NOTIFY_INIT; }

void skua_notify_one(skua_notify *notify)
{
    skuai_lock_acquire(lock_of(notify));
    skua_op *op = skuai_waiters_claim(&notify->waiters);
    if (op == NULL)
        skuai_store_32(&notify->kept, 1, SKUAI_RELAXED); /* the lock publishes it, and what was done before */
    skuai_lock_release(lock_of(notify));
    if (op != NULL)
        skuai_op_finish(op, 0);
}

void skua_notify_all(skua_notify *notify)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(lock_of(notify));
    while ((op = skuai_waiters_claim(&notify->waiters)) != NULL)
        skuai_fires_add(&fires, op, 0);
    skuai_lock_release(lock_of(notify));
    skuai_fires_finish(&fires);
}

static bool is_kept(const skua_notify *notify)
{
    return skuai_load_32(&notify->kept, SKUAI_RELAXED) != 0; /* the lock orders it; without, it is a hint */
}

static void take_locked(skua_notify *notify) { skuai_store_32(&notify->kept, 0, SKUAI_RELAXED); }

static bool withdraw(skua_op *op)
{
    skua_notify *notify = op->owner;
    return skuai_waiters_withdraw(lock_of(notify), &notify->waiters, op);
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_notify *notify = op->owner;
    bool is_done = false;
    skuai_lock_acquire(lock_of(notify));
    if (is_kept(notify)) {
        is_done = skuai_op_claim_own(op);
        if (is_done)
            take_locked(notify);
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&notify->waiters, op);
    }
    skuai_lock_release(lock_of(notify));
    if (is_done)
        skuai_op_set_done(op, 0);
}

static const struct skuai_op_kind kind = { .name = "skua_notify_wait", .start = start, .withdraw = withdraw };

skua_op *skua_notify_wait_prepare(skua_op *op, skua_notify *notify) { return skuai_op_prepare(op, &kind, notify); }
skua_op *skua_notify_wait_start(skua_op *op, skua_notify *notify)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (skuai_start_may_be_done(worker) && skua_notify_try_wait(notify) == 0)
        return skuai_start_paid(worker, skuai_start_done(op, &kind, 0));
    return skuai_op_start(skua_notify_wait_prepare(op, notify));
}

int skua_notify_try_wait(skua_notify *notify)
{
    if (!is_kept(notify))
        return -EAGAIN;
    skuai_lock_acquire(lock_of(notify));
    bool taken = is_kept(notify);
    if (taken)
        take_locked(notify);
    skuai_lock_release(lock_of(notify));
    return taken ? 0 : -EAGAIN;
}

int skua_notify_wait(skua_notify *notify)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (skua_notify_try_wait(notify) == 0)
        return (int)skuai_call_end(worker, 0);
    skua_op op;
    return (int)skuai_call(skua_notify_wait_prepare(&op, notify));
}

int skua_notify_wait_until(skua_notify *notify, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_notify_wait_prepare(&op, notify), instant_ns);
}
