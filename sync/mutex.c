/* Mutexes. One word says who may have it; the short lock guards the waiters, who is told to come, and those changes of
 * the word that concern them.
 *
 *   LOCKED    somebody holds it. Free is 0
 *   QUEUED    besides: the holder is to look at the list when he leaves. Set under the short lock
 *   turn      not in the word: a waiter was taken out of the list and told to come (op.h, O6). Nobody else is told, and
 *             QUEUED is not set, before he has come: so meanwhile all others lock and unlock it by one exchange each
 *
 *   M1 lock    whoever finds it free takes it (barging). Acquire: pairs with M3's release. Else, under the short lock,
 *              the op is linked, and QUEUED is set while it is LOCKED, unless it is somebody's turn, who will see to it
 *   M2 come    the waiter whose turn it is, which ends it: he takes it if it is free, with QUEUED if others wait. Else
 *              he is the first of the list again, and is owed, and QUEUED is set while it is LOCKED
 *   M3 unlock  without QUEUED: one exchange. Else (M4)
 *   M4 pass on under the short lock, still LOCKED, so that the word is the holder's: the oldest waiter is claimed. One
 *              who is owed, or an arm of a select, holds it now. Another one gets the turn, and it is free
 *   M5 leave   a waiter who is interrupted unlinks his op. If it is his turn and others wait, he takes it if it is
 *              free, and passes it on; or QUEUED is set while it is LOCKED
 *
 * So a list that is not empty is known to the holder, by QUEUED, or to him whose turn it is; and a waiter who is told
 * and comes in vain is overtaken no more.
 * Model: tests/model/model_mutex.c.
 */
#include "skua/mutex.h"

#include <errno.h>
#include <stdio.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "sync/lock_debug.h"

enum { LOCKED = 1, QUEUED = 2 };

/* In an op's `arm`, if it is no arm. */
enum { FRESH, HAS_TURN, OWED };

static struct skuai_lock *mutex_lock_of(skua_mutex *mutex) { return skuai_lock_at(&mutex->lock); }

static bool is_arm(const skua_op *op) { return op->select != NULL; }

void skua_mutex_init(skua_mutex *mutex) { *mutex = (skua_mutex)SKUA_MUTEX_INIT; }

bool skua_mutex_is_locked(const skua_mutex *mutex)
{
    return (skuai_load_32(&mutex->state, SKUAI_RELAXED) & LOCKED) != 0; /* a look */
}

void skua_mutex_fini(skua_mutex *mutex)
{
    char text[256], where[SKUAI_WHERE_BYTES];
    /* Looks: nobody should be there. */
    if (!skua_mutex_is_locked(mutex) && mutex->waiters.first == NULL && mutex->turn == 0)
        return;
    snprintf(text, sizeof text, "was given a mutex that somebody holds or waits for%s",
             skuai_lock_debug_where(&mutex->identity, where));
    skuai_misuse("skua_mutex_fini", text, "destroy it when all who use it have ended");
}

/* ---- locking --------------------------------------------------------------------------------------------------- */

/* M1. */
SKUAI_INLINE bool try_take(skua_mutex *mutex)
{
    uint32_t seen = 0;
    return SKUAI_LIKELY(skuai_cas_32(&mutex->state, &seen, LOCKED, SKUAI_ACQUIRE));
}

/* Under the short lock: takes it, if it is free, as `taken`; else marks it QUEUED. */
static bool take_or_mark(skua_mutex *mutex, uint32_t taken)
{
    uint32_t seen = skuai_load_32(&mutex->state, SKUAI_RELAXED); /* the exchange decides */
    for (;;) {
        /* Acquire: M1. No order is needed to mark: the list is the lock's. */
        if (skuai_cas_32(&mutex->state, &seen, seen == 0 ? taken : LOCKED | QUEUED, SKUAI_ACQUIRE))
            return seen == 0;
    }
}

static uint32_t others_queued(const skua_mutex *mutex)
{
    return SKUAI_READ(mutex->waiters.first) != NULL ? QUEUED : 0;
}

/* M1 and M2, under the short lock. False: it is LOCKED, and somebody knows that the op will wait, if it may. */
static bool take_or_queue(skua_mutex *mutex, bool has_turn, bool may_wait)
{
    if (has_turn) {
        SKUAI_WRITE(mutex->turn, 0);
        return take_or_mark(mutex, LOCKED | others_queued(mutex));
    }
    /* No model test needs the check: more than one would be told to come. */
    if (!may_wait || SKUAI_READ(mutex->turn) != 0)
        return try_take(mutex);
    /* It is free with a list only while it is somebody's turn. */
    return take_or_mark(mutex, LOCKED);
}

static void unlock(skua_mutex *mutex);

/* An error without having waited. No model test runs this: debug builds' errors. */
static void refuse_lock(skua_op *op, int error)
{
    if (skuai_op_claim_own(op))
        skuai_op_set_done(op, error);
}

static void start_lock(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_mutex *mutex = op->owner;
    bool has_turn = !is_arm(op) && op->arm == HAS_TURN && skuai_op_state(op) == SKUAI_OP_AGAIN;
    skuai_place place = op->result;
    int rc = may_wait && !has_turn
                 ? skuai_lock_debug_wants(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, "skua_mutex_lock", place, op)
                 : 0;
    if (rc < 0) {
        refuse_lock(op, rc); /* no model test runs this: as there */
        return;
    }
    skuai_lock_acquire(mutex_lock_of(mutex));
    bool takes = take_or_queue(mutex, has_turn, may_wait);
    if (!takes && may_wait) {
        if (!has_turn)
            skuai_lock_debug_waits(op, &mutex->identity, SKUAI_LOCK_EXCLUSIVE);
        skuai_op_arm_here(worker, op);
        if (has_turn) {
            op->arm = OWED;
            skuai_waiters_prepend(&mutex->waiters, op);
        } else {
            skuai_waiters_append(&mutex->waiters, op);
        }
    }
    skuai_lock_release(mutex_lock_of(mutex));
    if (!takes)
        return;
    if (SKUAI_UNLIKELY(!skuai_op_claim_own(op))) {
        /* Another arm was decided meanwhile, and nobody can have seen more than a mutex that is locked. */
        unlock(mutex);
        return;
    }
    if (has_turn)
        skuai_lock_debug_granted(op);
    else
        skuai_lock_debug_acquired(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, place);
    skuai_op_set_done(op, 0);
}

/* ---- unlocking ------------------------------------------------------------------------------------------------- */

/* M4. False: nobody was there to have it, and it is still LOCKED: only then does freeing it come after the short lock,
 * as its last access. Otherwise somebody is to come who takes the short lock before he can leave. */
static bool pass_on(skua_mutex *mutex)
{
    skuai_lock_acquire(mutex_lock_of(mutex));
    skua_op *op = skuai_waiters_claim(&mutex->waiters);
    bool gives = op != NULL && (is_arm(op) || op->arm == OWED);
    uint32_t left = gives ? LOCKED | others_queued(mutex) : op == NULL ? LOCKED : 0;
    if (gives)
        skuai_lock_debug_granted(op);
    /* No model test needs the sequence: both are read under the short lock only. */
    if (op != NULL && !gives) {
        SKUAI_WRITE(op->arm, HAS_TURN);
        SKUAI_WRITE(mutex->turn, 1); /* no model test needs the step: as above, more would be told */
    }
    /* Release: M1. A store: while it is LOCKED and QUEUED others change it under the short lock only. */
    skuai_store_32(&mutex->state, left, SKUAI_RELEASE);
    skuai_lock_release(mutex_lock_of(mutex));
    if (op == NULL)
        return false;
    if (gives)
        skuai_op_finish(op, 0);
    else
        skuai_op_again(op);
    return true;
}

/* M3, if somebody waits. */
static __attribute__((noinline)) void unlock_waited(skua_mutex *mutex, uint32_t seen)
{
    do {
        if (SKUAI_UNLIKELY(seen == 0)) {
            skuai_misuse("skua_mutex_unlock", "was given a mutex that nobody holds", "unlock once for each lock");
            return;
        }
        /* No model test needs the check: the list says as much. */
        if ((seen & QUEUED) != 0 && pass_on(mutex))
            return;
        seen = LOCKED;
    } while (!skuai_cas_32(&mutex->state, &seen, 0, SKUAI_RELEASE)); /* M1 */
}

SKUAI_INLINE void unlock_inline(skua_mutex *mutex)
{
    uint32_t seen = LOCKED;
    /* The last access, here and in all that follows: whoever locks it next may be the last to need its memory. */
    if (SKUAI_UNLIKELY(!skuai_cas_32(&mutex->state, &seen, 0, SKUAI_RELEASE))) /* pairs with M1's acquire */
        unlock_waited(mutex, seen);
}

static __attribute__((noinline)) void unlock(skua_mutex *mutex) { unlock_inline(mutex); }

void skua_mutex_unlock(skua_mutex *mutex)
{
    if (skuai_lock_debug_releases(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, "skua_mutex_unlock"))
        unlock_inline(mutex);
}

/* M5, under the short lock. True: the caller holds it now and must unlock it. */
static bool give_turn_back(skua_mutex *mutex)
{
    SKUAI_WRITE(mutex->turn, 0);
    /* No model test needs the check: an unlock that finds an empty list goes on. */
    return others_queued(mutex) != 0 && take_or_mark(mutex, LOCKED | QUEUED);
}

static bool withdraw_lock(skua_op *op)
{
    skua_mutex *mutex = op->owner;
    bool withdrawn = true, holds = false;
    skuai_lock_acquire(mutex_lock_of(mutex));
    enum skuai_op_state state = skuai_op_state(op);
    if (skuai_waiters_has(&mutex->waiters, op)) {
        skuai_waiters_remove(&mutex->waiters, op);
        /* The list is the lock's. No model test needs the step: an unlock that finds an empty list clears it, too. */
        if (SKUAI_READ(mutex->waiters.first) == NULL)
            skuai_and_32(&mutex->state, ~(uint32_t)QUEUED, SKUAI_RELAXED);
    } else if (state == SKUAI_OP_AGAIN) {
        holds = op->arm == HAS_TURN && give_turn_back(mutex);
    } else {
        withdrawn = state == SKUAI_OP_ARMED;
    }
    if (withdrawn && (state != SKUAI_OP_AGAIN || op->arm == HAS_TURN))
        skuai_lock_debug_gave_up(op);
    skuai_lock_release(mutex_lock_of(mutex));
    if (holds)
        unlock(mutex);
    return withdrawn;
}

/* ---- the public calls ------------------------------------------------------------------------------------------ */

static const struct skuai_op_kind lock_kind = { .name = "skua_mutex_lock", .start = start_lock,
                                                .withdraw = withdraw_lock, .holds = true };

static skua_op *prepare_lock(skua_op *op, skua_mutex *mutex, skuai_place place)
{
    skuai_op_prepare(op, &lock_kind, mutex)->result = place;
    return op;
}

skua_op *skua_mutex_lock_prepare(skua_op *op, skua_mutex *mutex) { return prepare_lock(op, mutex, SKUAI_LOCK_PLACE()); }

int skua_mutex_try_lock(skua_mutex *mutex)
{
    skuai_place place = SKUAI_LOCK_PLACE();
    if (!try_take(mutex))
        return -EAGAIN;
    skuai_lock_debug_acquired(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, place);
    return 0;
}

/* 0: it is locked. -EAGAIN: it could not be had at once. The task's budget is asked first: it must not yield with the
 * lock. */
static int lock_at_once(skua_mutex *mutex, skuai_place place)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, "skua_mutex_lock");
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skuai_lock_debug_wants(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, "skua_mutex_lock", place, NULL);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    (void)skuai_call_end(worker, 0); /* no model test needs the step: budgets are for tasks, of which none has any */
    if (!try_take(mutex))
        return -EAGAIN;
    skuai_lock_debug_acquired(&mutex->identity, SKUAI_LOCK_EXCLUSIVE, place);
    return 0;
}

skua_op *skua_mutex_lock_start(skua_op *op, skua_mutex *mutex)
{
    struct skuai_worker *worker = skuai_worker_self();
    skuai_place place = SKUAI_LOCK_PLACE();
    if (!SKUAI_LOCK_WATCHED && skuai_start_may_be_done(worker) && try_take(mutex))
        return skuai_start_paid(worker, skuai_start_done(op, &lock_kind, 0));
    return skuai_op_start(prepare_lock(op, mutex, place));
}

static __attribute__((noinline)) int lock_otherwise(skua_mutex *mutex, skuai_place place)
{
    skua_op op;
    int rc = lock_at_once(mutex, place);
    return rc != -EAGAIN ? rc : (int)skuai_call(prepare_lock(&op, mutex, place));
}

int skua_mutex_lock(skua_mutex *mutex)
{
    struct skuai_worker *worker = skuai_worker_self();
    skuai_place place = SKUAI_LOCK_PLACE();
    if (SKUAI_LOCK_WATCHED || !skuai_call_may_be_short(worker) || !try_take(mutex))
        return lock_otherwise(mutex, place);
    skuai_call_paid(worker);
    return 0;
}

int skua_mutex_lock_until(skua_mutex *mutex, uint64_t instant_ns)
{
    skua_op op;
    skuai_place place = SKUAI_LOCK_PLACE();
    int rc = lock_at_once(mutex, place);
    return rc != -EAGAIN ? rc : (int)skuai_call_until(prepare_lock(&op, mutex, place), instant_ns);
}

void skua_mutex_lock_shielded(skua_mutex *mutex)
{
    skua_op op;
    skua_scope shield;
    skuai_place place = SKUAI_LOCK_PLACE();
    int rc = lock_at_once(mutex, place);
    if (rc == 0 || rc == -EDEADLK || rc == -EPERM) /* the last two have been reported */
        return;
    skua_shield_enter(&shield);
    (void)skuai_call(prepare_lock(&op, mutex, place));
    skua_scope_leave(&shield);
}

void skua_mutex_assert_held(const skua_mutex *mutex)
{
    if (!skua_mutex_is_locked(mutex) || !skuai_lock_debug_holds(&mutex->identity, SKUAI_LOCK_EXCLUSIVE))
        skuai_misuse("skua_mutex_assert_held", "was given a mutex that the caller does not hold", "lock it first");
}
