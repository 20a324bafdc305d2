/* Read-write locks. One word: how many readers hold it, or that a writer does, and whether anybody waits. The short
 * lock guards the two lists of waiters; while anybody waits nobody takes it but by a pass.
 *
 *   L1 take    readers while nobody writes or waits; a writer when it is free. Acquire: pairs with L2's and L3's
 *              release. Else, under the short lock, QUEUED is set while it is held, so that L2 sees it, and the op is
 *              linked
 *   L2 leave   not the last one, or nobody waits: one exchange. Else
 *   L3 pass    under the short lock, still holding it, so that the word is the leaver's: after a writer all readers
 *              that wait have it; after readers, or if no reader waits, the oldest writer
 *   L4 give up a waiter who is interrupted unlinks his op. If he was the last writer to wait, and readers are inside,
 *              those that wait come in
 *
 * So QUEUED means that somebody holds it and that the lists are not empty. The exchange, or the short lock, is the last
 * access of who leaves, as in mutex.c.
 * Model: tests/model/model_rwlock.c.
 */
#include "skua/rwlock.h"

#include <errno.h>
#include <stdio.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "sync/lock_debug.h"

enum { WRITER = 1, RW_QUEUED = 2, READER = 4 };

static enum skuai_lock_mode mode_of(uint32_t unit) { return unit == READER ? SKUAI_LOCK_SHARED : SKUAI_LOCK_EXCLUSIVE; }

static struct skuai_lock *rwlock_lock_of(skua_rwlock *rwlock) { return skuai_lock_at(&rwlock->lock); }

void skua_rwlock_init(skua_rwlock *rwlock) { *rwlock = (skua_rwlock)SKUA_RWLOCK_INIT; }

bool skua_rwlock_is_write_locked(const skua_rwlock *rwlock)
{
    return (skuai_load_32(&rwlock->state, SKUAI_RELAXED) & WRITER) != 0; /* a look */
}

bool skua_rwlock_is_locked(const skua_rwlock *rwlock)
{
    return skuai_load_32(&rwlock->state, SKUAI_RELAXED) != 0; /* a look */
}

void skua_rwlock_fini(skua_rwlock *rwlock)
{
    char text[256], where[SKUAI_WHERE_BYTES];
    if (!skua_rwlock_is_locked(rwlock))
        return;
    snprintf(text, sizeof text, "was given a lock that somebody holds or waits for%s",
             skuai_lock_debug_where(&rwlock->identity, where));
    skuai_misuse("skua_rwlock_fini", text, "destroy it when all who use it have ended");
}

static bool anybody_waits(const skua_rwlock *rwlock)
{
    return SKUAI_READ(rwlock->readers.first) != NULL || SKUAI_READ(rwlock->writers.first) != NULL;
}

/* ---- taking ---------------------------------------------------------------------------------------------------- */

/* Whether one who comes may have it, `unit` being READER or WRITER. */
static bool is_open(uint32_t state, uint32_t unit)
{
    return unit == READER ? (state & (WRITER | RW_QUEUED)) == 0 : state == 0;
}

/* L1. */
SKUAI_INLINE bool take(skua_rwlock *rwlock, uint32_t unit)
{
    uint32_t seen = unit == READER ? skuai_load_32(&rwlock->state, SKUAI_RELAXED) : 0; /* the exchange decides */
    while (SKUAI_LIKELY(is_open(seen, unit)))
        if (SKUAI_LIKELY(skuai_cas_32(&rwlock->state, &seen, seen + unit, SKUAI_ACQUIRE)))
            return true;
    return false;
}

/* L1, under the short lock. False: it is held, and knows that the op will wait, if it may. */
static bool take_or_wait(skua_rwlock *rwlock, uint32_t unit, bool may_wait)
{
    uint32_t seen = skuai_load_32(&rwlock->state, SKUAI_RELAXED); /* the exchange decides */
    for (;;) {
        bool takes = is_open(seen, unit);
        if (!takes && !may_wait)
            return false;
        if (skuai_cas_32(&rwlock->state, &seen, takes ? seen + unit : seen | RW_QUEUED, SKUAI_ACQUIRE))
            return takes;
    }
}

static void leave(skua_rwlock *rwlock, uint32_t unit);

static const struct skuai_op_kind reader_kind, writer_kind;
static const struct skuai_op_kind *kind_of(uint32_t unit) { return unit == READER ? &reader_kind : &writer_kind; }
static const char *name_of(uint32_t unit) { return kind_of(unit)->name; }

static void start_rwlock(struct skuai_worker *worker, skua_op *op, bool may_wait, uint32_t unit)
{
    skua_rwlock *rwlock = op->owner;
    skuai_place place = op->result;
    int rc = may_wait ? skuai_lock_debug_wants(&rwlock->identity, mode_of(unit), name_of(unit), place, op) : 0;
    bool takes = rc < 0;
    if (rc == 0) {
        skuai_lock_acquire(rwlock_lock_of(rwlock));
        takes = take_or_wait(rwlock, unit, may_wait);
        if (!takes && may_wait) {
            skuai_lock_debug_waits(op, &rwlock->identity, mode_of(unit));
            skuai_op_arm_here(worker, op);
            skuai_waiters_append(unit == READER ? &rwlock->readers : &rwlock->writers, op);
        }
        skuai_lock_release(rwlock_lock_of(rwlock));
    }
    if (!takes)
        return;
    if (SKUAI_UNLIKELY(!skuai_op_claim_own(op))) {
        if (rc == 0) /* another arm was decided meanwhile: it was locked for a moment */
            leave(rwlock, unit);
        return;
    }
    if (rc == 0)
        skuai_lock_debug_acquired(&rwlock->identity, mode_of(unit), place);
    skuai_op_set_done(op, rc);
}

/* ---- leaving --------------------------------------------------------------------------------------------------- */

/* All readers that wait and can be claimed; their number. Under the short lock. */
static uint32_t claim_readers(skua_rwlock *rwlock, struct skuai_fires *fires)
{
    uint32_t count = 0;
    for (skua_op *op; (op = skuai_waiters_claim(&rwlock->readers)) != NULL; count++) {
        skuai_lock_debug_granted(op);
        skuai_fires_add(fires, op, 0);
    }
    return count;
}

static bool claim_writer(skua_rwlock *rwlock, struct skuai_fires *fires)
{
    skua_op *op = skuai_waiters_claim(&rwlock->writers);
    if (op == NULL)
        return false;
    skuai_lock_debug_granted(op);
    skuai_fires_add(fires, op, 0);
    return true;
}

/* L3. False: it was not passed, and the caller, who still holds it, is to look at it anew. */
static __attribute__((noinline)) bool pass(skua_rwlock *rwlock, uint32_t unit)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(rwlock_lock_of(rwlock));
    /* Acquire: what the readers before us have read is read before whoever comes next, by us, changes it. */
    bool passes = skuai_load_32(&rwlock->state, SKUAI_ACQUIRE) == (unit | RW_QUEUED);
    if (passes) {
        uint32_t next = 0;
        if (unit == WRITER)
            next = claim_readers(rwlock, &fires) * READER;
        if (next == 0 && claim_writer(rwlock, &fires))
            next = WRITER;
        if (next == 0)
            next = claim_readers(rwlock, &fires) * READER;
        passes = next != 0;
        if (!passes)
            next = unit; /* only arms that had been decided were there */
        if (anybody_waits(rwlock))
            next |= RW_QUEUED;
        /* Release: L1. A store: while QUEUED and one holder are there, others change it under the short lock only. */
        skuai_store_32(&rwlock->state, next, SKUAI_RELEASE);
    }
    skuai_lock_release(rwlock_lock_of(rwlock));
    skuai_fires_finish(&fires);
    return passes;
}

/* L2. */
SKUAI_INLINE void leave_inline(skua_rwlock *rwlock, uint32_t unit)
{
    uint32_t seen = skuai_load_32(&rwlock->state, SKUAI_RELAXED); /* the exchange decides */
    for (;;) {
        if (SKUAI_UNLIKELY(seen == (unit | RW_QUEUED))) {
            if (pass(rwlock, unit))
                return;
            seen = skuai_load_32(&rwlock->state, SKUAI_RELAXED); /* as above */
        } else if (SKUAI_LIKELY(skuai_cas_32(&rwlock->state, &seen, seen - unit, SKUAI_RELEASE))) { /* L1 */
            return;
        }
    }
}

static __attribute__((noinline)) void leave(skua_rwlock *rwlock, uint32_t unit) { leave_inline(rwlock, unit); }

/* Whether the caller may leave it so. */
static bool may_leave(skua_rwlock *rwlock, uint32_t unit, const char *call)
{
    uint32_t state = skuai_load_32(&rwlock->state, SKUAI_RELAXED); /* the caller's share of it does not change */
    if (SKUAI_LIKELY(unit == WRITER ? (state & WRITER) != 0 : state >= READER))
        return skuai_lock_debug_releases(&rwlock->identity, mode_of(unit), call);
    skuai_misuse(call, "was given a lock that nobody holds so", "unlock once for each lock, as it was locked");
    return false;
}

void skua_rwlock_read_unlock(skua_rwlock *rwlock)
{
    if (may_leave(rwlock, READER, "skua_rwlock_read_unlock"))
        leave_inline(rwlock, READER);
}

void skua_rwlock_write_unlock(skua_rwlock *rwlock)
{
    if (may_leave(rwlock, WRITER, "skua_rwlock_write_unlock"))
        leave_inline(rwlock, WRITER);
}

/* Under the short lock: while readers are inside, or the caller is to be one of them, those that wait come in. */
static void admit_readers(skua_rwlock *rwlock, struct skuai_fires *fires, uint32_t from, uint32_t to)
{
    uint32_t count = claim_readers(rwlock, fires);
    uint32_t queued = anybody_waits(rwlock) ? RW_QUEUED : 0;
    uint32_t seen = skuai_load_32(&rwlock->state, SKUAI_RELAXED); /* the exchange decides */
    /* Release: who comes while it is open has what we wrote, if we are the writer. Those that wait have it from us, or
     * came when readers were inside, by an acquire that saw the writer before those. */
    while (!skuai_cas_32(&rwlock->state, &seen, ((seen - from + to + count * READER) & ~(uint32_t)RW_QUEUED) | queued,
                         SKUAI_RELEASE))
        ;
}

void skua_rwlock_downgrade(skua_rwlock *rwlock)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_place place = SKUAI_LOCK_PLACE();
    if (!may_leave(rwlock, WRITER, "skua_rwlock_downgrade"))
        return;
    skuai_lock_debug_acquired(&rwlock->identity, SKUAI_LOCK_SHARED, place);
    skuai_lock_acquire(rwlock_lock_of(rwlock));
    admit_readers(rwlock, &fires, WRITER, READER);
    skuai_lock_release(rwlock_lock_of(rwlock));
    skuai_fires_finish(&fires);
}

/* L4. */
static bool withdraw_from(skua_op *op, bool reads)
{
    skua_rwlock *rwlock = op->owner;
    skua_waiters *waiters = reads ? &rwlock->readers : &rwlock->writers;
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(rwlock_lock_of(rwlock));
    bool withdrawn = true;
    if (!skuai_waiters_has(waiters, op))
        withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED || skuai_op_state(op) == SKUAI_OP_AGAIN;
    else {
        skuai_waiters_remove(waiters, op);
        if (!anybody_waits(rwlock))
            skuai_and_32(&rwlock->state, ~(uint32_t)RW_QUEUED, SKUAI_RELAXED); /* the lists are the lock's */
        else if (SKUAI_READ(rwlock->writers.first) == NULL && !skua_rwlock_is_write_locked(rwlock))
            admit_readers(rwlock, &fires, 0, 0);
    }
    /* No model test runs this: debug builds'. */
    if (withdrawn && skuai_op_state(op) == SKUAI_OP_ARMED)
        skuai_lock_debug_gave_up(op);
    skuai_lock_release(rwlock_lock_of(rwlock));
    skuai_fires_finish(&fires);
    return withdrawn;
}

/* ---- the public calls ------------------------------------------------------------------------------------------ */

static void start_reader(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    start_rwlock(worker, op, may_wait, READER);
}
static void start_writer(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    start_rwlock(worker, op, may_wait, WRITER);
}
static bool withdraw_reader(skua_op *op) { return withdraw_from(op, true); }
static bool withdraw_writer(skua_op *op) { return withdraw_from(op, false); }

static const struct skuai_op_kind reader_kind = { .name = "skua_rwlock_read_lock", .start = start_reader,
                                                  .withdraw = withdraw_reader, .holds = true };
static const struct skuai_op_kind writer_kind = { .name = "skua_rwlock_write_lock", .start = start_writer,
                                                  .withdraw = withdraw_writer, .holds = true };

static skua_op *prepare(skua_op *op, skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    skuai_op_prepare(op, kind_of(unit), rwlock)->result = place;
    return op;
}

skua_op *skua_rwlock_read_lock_prepare(skua_op *op, skua_rwlock *rwlock)
{
    return prepare(op, rwlock, READER, SKUAI_LOCK_PLACE());
}
skua_op *skua_rwlock_write_lock_prepare(skua_op *op, skua_rwlock *rwlock)
{
    return prepare(op, rwlock, WRITER, SKUAI_LOCK_PLACE());
}

SKUAI_INLINE skua_op *start_lock(skua_op *op, skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (!SKUAI_LOCK_WATCHED && skuai_start_may_be_done(worker) && take(rwlock, unit))
        return skuai_start_paid(worker, skuai_start_done(op, kind_of(unit), 0));
    return skuai_op_start(prepare(op, rwlock, unit, place));
}
skua_op *skua_rwlock_read_lock_start(skua_op *op, skua_rwlock *rwlock)
{
    return start_lock(op, rwlock, READER, SKUAI_LOCK_PLACE());
}
skua_op *skua_rwlock_write_lock_start(skua_op *op, skua_rwlock *rwlock)
{
    return start_lock(op, rwlock, WRITER, SKUAI_LOCK_PLACE());
}

SKUAI_INLINE int try_lock(skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    if (!take(rwlock, unit))
        return -EAGAIN;
    skuai_lock_debug_acquired(&rwlock->identity, mode_of(unit), place);
    return 0;
}
int skua_rwlock_try_read_lock(skua_rwlock *rwlock) { return try_lock(rwlock, READER, SKUAI_LOCK_PLACE()); }
int skua_rwlock_try_write_lock(skua_rwlock *rwlock) { return try_lock(rwlock, WRITER, SKUAI_LOCK_PLACE()); }

/* As lock_at_once() in mutex.c. */
SKUAI_INLINE int take_at_once(skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, name_of(unit));
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skuai_lock_debug_wants(&rwlock->identity, mode_of(unit), name_of(unit), place, NULL);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    (void)skuai_call_end(worker, 0); /* no model test needs the step: budgets are for tasks, of which none has any */
    return try_lock(rwlock, unit, place);
}

SKUAI_INLINE int lock(skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    skua_op op;
    int rc = take_at_once(rwlock, unit, place);
    return SKUAI_LIKELY(rc != -EAGAIN) ? rc : (int)skuai_call(prepare(&op, rwlock, unit, place));
}
int skua_rwlock_read_lock(skua_rwlock *rwlock) { return lock(rwlock, READER, SKUAI_LOCK_PLACE()); }
int skua_rwlock_write_lock(skua_rwlock *rwlock) { return lock(rwlock, WRITER, SKUAI_LOCK_PLACE()); }

static int lock_until(skua_rwlock *rwlock, uint32_t unit, skuai_place place, uint64_t instant_ns)
{
    skua_op op;
    int rc = take_at_once(rwlock, unit, place);
    return rc != -EAGAIN ? rc : (int)skuai_call_until(prepare(&op, rwlock, unit, place), instant_ns);
}
int skua_rwlock_read_lock_until(skua_rwlock *rwlock, uint64_t instant_ns)
{
    return lock_until(rwlock, READER, SKUAI_LOCK_PLACE(), instant_ns);
}
int skua_rwlock_write_lock_until(skua_rwlock *rwlock, uint64_t instant_ns)
{
    return lock_until(rwlock, WRITER, SKUAI_LOCK_PLACE(), instant_ns);
}

static void lock_shielded(skua_rwlock *rwlock, uint32_t unit, skuai_place place)
{
    skua_op op;
    skua_scope shield;
    int rc = take_at_once(rwlock, unit, place);
    if (rc == 0 || rc == -EDEADLK || rc == -EPERM) /* the last two have been reported */
        return;
    skua_shield_enter(&shield);
    (void)skuai_call(prepare(&op, rwlock, unit, place));
    skua_scope_leave(&shield);
}
void skua_rwlock_read_lock_shielded(skua_rwlock *rwlock) { lock_shielded(rwlock, READER, SKUAI_LOCK_PLACE()); }
void skua_rwlock_write_lock_shielded(skua_rwlock *rwlock) { lock_shielded(rwlock, WRITER, SKUAI_LOCK_PLACE()); }

void skua_rwlock_assert_read_held(const skua_rwlock *rwlock)
{
    if (!skua_rwlock_is_locked(rwlock) || !skuai_lock_debug_holds(&rwlock->identity, SKUAI_LOCK_SHARED))
        skuai_misuse("skua_rwlock_assert_read_held", "was given a lock that the caller does not hold", "lock it first");
}
void skua_rwlock_assert_write_held(const skua_rwlock *rwlock)
{
    if (!skua_rwlock_is_write_locked(rwlock) || !skuai_lock_debug_holds(&rwlock->identity, SKUAI_LOCK_EXCLUSIVE))
        skuai_misuse("skua_rwlock_assert_write_held", "was given a lock that the caller does not write under",
                     "lock it first");
}
