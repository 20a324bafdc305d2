/* Events. `is_set` changes under the lock only; it is read without for the case that it is set already.
 *
 *   E1 set    under the lock: a manual event becomes set and claims all waiters; an automatic one claims the oldest, or
 *             becomes set if there is none. So an automatic event that is set has no waiters
 *   E2 wait   under the lock: if it is set the waiter has it, else it is linked. Without the lock: a manual event that
 *             is seen set is enough (acquire: pairs with E1's release), once whoever set it has left the lock: then the
 *             event may go (skuai_lock_pass())
 * Model: tests/model/model_event.c.
 */
#include "skua/event.h"

#include <errno.h>

#include "sched/wait.h"
#include "sched/waiters.h"

static struct skuai_lock *lock_of(skua_event *event) { return skuai_lock_at(&event->lock); }

void skua_event_init(skua_event *event, enum skua_event_kind kind) { *event = (skua_event)SKUA_EVENT_INIT(kind); }

bool skua_event_is_set(const skua_event *event)
{
    return skuai_load_32(&event->is_set, SKUAI_ACQUIRE) != 0; /* E2 */
}

static bool is_manual(const skua_event *event) { return event->kind == SKUA_EVENT_MANUAL; }

/* E2, under the lock. */
static bool take_locked(skua_event *event)
{
    if (skuai_load_32(&event->is_set, SKUAI_RELAXED) == 0) /* the lock orders it */
        return false;
    if (!is_manual(event))
        skuai_store_32(&event->is_set, 0, SKUAI_RELAXED);
    return true;
}

void skua_event_set(skua_event *event)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(lock_of(event));
    while ((op = skuai_waiters_claim(&event->waiters)) != NULL) {
        skuai_fires_add(&fires, op, 0);
        if (!is_manual(event))
            break;
    }
    if (is_manual(event) || op == NULL)
        skuai_store_32(&event->is_set, 1, SKUAI_RELEASE); /* E2 */
    skuai_lock_release(lock_of(event));
    skuai_fires_finish(&fires);
}

bool skua_event_reset(skua_event *event)
{
    skuai_lock_acquire(lock_of(event));
    bool was_set = skuai_load_32(&event->is_set, SKUAI_RELAXED) != 0;
    skuai_store_32(&event->is_set, 0, SKUAI_RELAXED);
    skuai_lock_release(lock_of(event));
    return was_set;
}

static bool withdraw(skua_op *op)
{
    skua_event *event = op->owner;
    return skuai_waiters_withdraw(lock_of(event), &event->waiters, op);
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_event *event = op->owner;
    bool is_done = false;
    skuai_lock_acquire(lock_of(event));
    if (skuai_load_32(&event->is_set, SKUAI_RELAXED) != 0) {
        is_done = skuai_op_claim_own(op) && take_locked(event);
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&event->waiters, op);
    }
    skuai_lock_release(lock_of(event));
    if (is_done)
        skuai_op_set_done(op, 0);
}

static const struct skuai_op_kind kind = { .name = "skua_event_wait", .start = start, .withdraw = withdraw };

skua_op *skua_event_wait_prepare(skua_op *op, skua_event *event) { return skuai_op_prepare(op, &kind, event); }
skua_op *skua_event_wait_start(skua_op *op, skua_event *event)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (skuai_start_may_be_done(worker) && skua_event_try_wait(event) == 0)
        return skuai_start_paid(worker, skuai_start_done(op, &kind, 0));
    return skuai_op_start(skua_event_wait_prepare(op, event));
}

int skua_event_try_wait(skua_event *event)
{
    if (!skua_event_is_set(event))
        return -EAGAIN;
    if (is_manual(event)) {
        skuai_lock_pass(lock_of(event));
        return 0;
    }
    skuai_lock_acquire(lock_of(event));
    bool taken = take_locked(event);
    skuai_lock_release(lock_of(event));
    return taken ? 0 : -EAGAIN;
}

int skua_event_wait(skua_event *event)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (skua_event_try_wait(event) == 0)
        return (int)skuai_call_end(worker, 0);
    skua_op op;
    return (int)skuai_call(skua_event_wait_prepare(&op, event));
}

int skua_event_wait_until(skua_event *event, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_event_wait_prepare(&op, event), instant_ns);
}
