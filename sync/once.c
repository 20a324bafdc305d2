/* Once. The state changes under the lock.
 *
 *     NEW ─ enter ─▶ ENTERED ─ leave, done ──────────────────────────▶ DONE
 *      ▲                │  ▲
 *      └─ leave, nobody ┘  └─ leave, not done, to the oldest who waits
 *
 *   N1 enter   without the lock if it is DONE (acquire: pairs with N2's release), once whoever has done it has left the
 *              lock; under it: takes over, or is linked
 *   N2 leave   under the lock: done, all who wait are claimed; else one of them, who is told to do it; else NEW
 * Model: tests/model/model_once.c.
 */
#include "skua/once.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum state { NEW, ENTERED, DONE };

static struct skuai_lock *lock_of(skua_once *once) { return skuai_lock_at(&once->lock); }

/* Under the lock. */
static enum state state_of(const skua_once *once) { return (enum state)skuai_load_32(&once->state, SKUAI_RELAXED); }

bool skua_once_is_done(const skua_once *once)
{
    return skuai_load_32(&once->state, SKUAI_ACQUIRE) == DONE; /* N1 */
}

static bool withdraw(skua_op *op)
{
    skua_once *once = op->owner;
    return skuai_waiters_withdraw(lock_of(once), &once->waiters, op);
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_once *once = op->owner;
    bool is_done = false;
    skuai_lock_acquire(lock_of(once));
    enum state state = state_of(once);
    if (state != ENTERED) {
        is_done = skuai_op_claim_own(op);
        if (is_done && state == NEW)
            skuai_store_32(&once->state, ENTERED, SKUAI_RELAXED); /* the lock publishes it */
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&once->waiters, op);
    }
    skuai_lock_release(lock_of(once));
    if (is_done)
        skuai_op_set_done(op, state == NEW);
}

static const struct skuai_op_kind kind = { .name = "skua_once_enter", .start = start, .withdraw = withdraw };

void skua_once_leave(skua_once *once, bool done)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op = NULL;
    skuai_lock_acquire(lock_of(once));
    bool entered = state_of(once) == ENTERED;
    if (entered && done) {
        /* N1. No model test needs the sequence: who goes on without the lock lets us leave it first. */
        skuai_store_32(&once->state, DONE, SKUAI_RELEASE);
        while ((op = skuai_waiters_claim(&once->waiters)) != NULL)
            skuai_fires_add(&fires, op, 0);
    } else if (entered && (op = skuai_waiters_claim(&once->waiters)) != NULL) {
        skuai_fires_add(&fires, op, 1);
    } else if (entered) {
        skuai_store_32(&once->state, NEW, SKUAI_RELAXED); /* the lock publishes it */
    }
    skuai_lock_release(lock_of(once));
    skuai_fires_finish(&fires);
    if (!entered)
        skuai_misuse("skua_once_leave", "was called by somebody who has not entered", "enter first, and leave once");
}

/* ---- the calls that wait ----------------------------------------------------------------------------------------- */

skua_op *skua_once_enter_prepare(skua_op *op, skua_once *once) { return skuai_op_prepare(op, &kind, once); }
skua_op *skua_once_enter_start(skua_op *op, skua_once *once)
{
    return skuai_op_start(skua_once_enter_prepare(op, once));
}

static bool is_done_for_good(skua_once *once)
{
    if (!skua_once_is_done(once))
        return false;
    skuai_lock_pass(lock_of(once));
    return true;
}

int skua_once_try_enter(skua_once *once)
{
    if (is_done_for_good(once))
        return 0;
    skua_op op;
    (void)skua_once_enter_prepare(&op, once);
    start(NULL, &op, false);
    return skuai_op_is_done(&op) ? (int)op.result : -EAGAIN;
}

int skua_once_enter(skua_once *once)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (is_done_for_good(once))
        return (int)skuai_call_end(worker, 0);
    skua_op op;
    return (int)skuai_call(skua_once_enter_prepare(&op, once));
}

int skua_once_enter_until(skua_once *once, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_once_enter_prepare(&op, once), instant_ns);
}

/* Who calls: a task, or a thread. */
static void *caller(void)
{
    skua_task *task = skua_self();
    return task != NULL ? (void *)task : (void *)skuai_thread_scopes();
}

/* Relaxed, here and below: the only runner that a caller asks for is himself. */
static bool waits_for_itself(const skua_once *once)
{
    return skuai_load_ptr(&once->runner, SKUAI_RELAXED) == caller();
}

int skua_once_run(skua_once *once, int (*fn)(void *arg), void *arg)
{
    /* No model test needs the check: what is done has no runner. */
    if (!skua_once_is_done(once) && SKUAI_UNLIKELY(waits_for_itself(once))) {
        skuai_misuse("skua_once_run", "waits for its own caller, which is doing it", "do not need it to do it");
        return -EDEADLK;
    }
    int rc = skua_once_enter(once);
    if (SKUAI_LIKELY(rc != 1))
        return rc;
    skuai_store_ptr(&once->runner, caller(), SKUAI_RELAXED);
    rc = fn(arg);
    skuai_store_ptr(&once->runner, NULL, SKUAI_RELAXED);
    skua_once_leave(once, rc >= 0);
    return rc < 0 ? rc : 0;
}

/* ---- lazy values ------------------------------------------------------------------------------------------------- */

struct making {
    skua_lazy *lazy;
    int (*make)(void **value, void *arg);
    void *arg;
};

static int make_value(void *arg)
{
    const struct making *making = arg;
    return making->make(&making->lazy->value, making->arg);
}

int skua_lazy_get(skua_lazy *lazy, int (*make)(void **value, void *arg), void *arg, void **value)
{
    struct making making = { lazy, make, arg };
    int rc = skua_once_run(&lazy->once, make_value, &making);
    if (rc == 0)
        *value = lazy->value;
    return rc;
}

void *skua_lazy_peek(const skua_lazy *lazy) { return skua_once_is_done(&lazy->once) ? lazy->value : NULL; }
