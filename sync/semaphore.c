/* Semaphores. One word has all that a call needs to know which nobody must wait for:
 *
 *     permits << 2 | CLOSED | QUEUED
 *
 *   P1 fast   without QUEUED anybody takes and gives permits by compare-and-swap
 *   P2 slow   with QUEUED the word changes under the lock only. Who comes under the lock sets it first (hold), and at
 *             the end leaves it set if somebody waits (settle). So what is decided under the lock stays true until then
 *   P3 serve  under the lock: the oldest waiter is claimed as long as there is enough for him; if there is not, nobody
 *             behind him is. Whoever changes what is enough serves: a release, and a withdrawal of the oldest
 *   P4 leave  who has taken permits without the lock lets its holder leave before he goes on, so that a semaphore can
 *             be freed by who has taken all that will ever be released: see skuai_lock_pass()
 * Model: tests/model/model_semaphore.c.
 */
#include "skua/semaphore.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum { QUEUED = 1, CLOSED = 2, SHIFT = 2 };

static struct skuai_lock *lock_of(skua_semaphore *semaphore) { return skuai_lock_at(&semaphore->lock); }
static uint64_t permits_in(uint64_t word) { return word >> SHIFT; }

static skua_semaphore_op *whole(skua_op *op) { return (skua_semaphore_op *)(void *)op; }

void skua_semaphore_init(skua_semaphore *semaphore, uint64_t permits)
{
    if (permits > SKUA_SEMAPHORE_MAX) {
        skuai_misuse("skua_semaphore_init", "was given more permits than there can be", "give SKUA_SEMAPHORE_MAX");
        permits = SKUA_SEMAPHORE_MAX;
    }
    *semaphore = (skua_semaphore)SKUA_SEMAPHORE_INIT(permits);
}

uint64_t skua_semaphore_available(const skua_semaphore *semaphore)
{
    return permits_in(skuai_load_64(&semaphore->word, SKUAI_RELAXED)); /* a number, with nothing behind it */
}

/* ---- P1 ---------------------------------------------------------------------------------------------------------- */

static bool take_fast(skua_semaphore *semaphore, uint64_t permits)
{
    uint64_t word = skuai_load_64(&semaphore->word, SKUAI_RELAXED); /* the exchange decides */
    do {
        if ((word & (QUEUED | CLOSED)) != 0 || permits_in(word) < permits)
            return false;
        /* Acquire: pairs with give_fast's release, and settle's. */
    } while (!skuai_cas_64(&semaphore->word, &word, word - (permits << SHIFT), SKUAI_ACQUIRE));
    skuai_lock_pass(lock_of(semaphore)); /* P4 */
    return true;
}

static bool has_room(uint64_t word, uint64_t permits) { return permits <= SKUA_SEMAPHORE_MAX - permits_in(word); }

static bool give_fast(skua_semaphore *semaphore, uint64_t permits)
{
    uint64_t word = skuai_load_64(&semaphore->word, SKUAI_RELAXED); /* the exchange decides */
    do {
        if ((word & QUEUED) != 0 || !has_room(word, permits))
            return false;
        /* Release: pairs with the taker's acquire: what was done under the permit is seen by who has it next. */
    } while (!skuai_cas_64(&semaphore->word, &word, word + (permits << SHIFT), SKUAI_RELEASE));
    return true;
}

/* ---- P2, P3 ------------------------------------------------------------------------------------------------------ */

/* The word as it is from here on, until settle(). Acquire: pairs with give_fast's release: who is served sees what the
 * giver did. */
static uint64_t hold(skua_semaphore *semaphore)
{
    skuai_lock_acquire(lock_of(semaphore));
    return skuai_or_64(&semaphore->word, QUEUED, SKUAI_ACQUIRE);
}

static void settle(skua_semaphore *semaphore, uint64_t word)
{
    bool queued = SKUAI_READ(semaphore->waiters.first) != NULL;
    /* Release: what hold() acquired goes on to who takes by P1. */
    skuai_store_64(&semaphore->word, queued ? word | QUEUED : word & ~(uint64_t)QUEUED, SKUAI_RELEASE);
    skuai_lock_release(lock_of(semaphore));
}

/* P3. Returns the word that is left. */
static uint64_t serve(skua_semaphore *semaphore, uint64_t word, struct skuai_fires *fires)
{
    skua_op *op;
    while ((op = SKUAI_READ(semaphore->waiters.first)) != NULL && whole(op)->permits <= permits_in(word)) {
        skuai_waiters_remove(&semaphore->waiters, op);
        if (!skuai_op_claim(op))
            continue;
        word -= whole(op)->permits << SHIFT;
        skuai_fires_add(fires, op, 0);
    }
    return word;
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_semaphore *semaphore = op->owner;
    uint64_t permits = whole(op)->permits;
    int64_t result = -EAGAIN;
    bool is_done = false;
    uint64_t word = hold(semaphore);
    if (permits > SKUA_SEMAPHORE_MAX)
        result = -EINVAL;
    else if ((word & CLOSED) != 0)
        result = -EPIPE;
    else if (SKUAI_READ(semaphore->waiters.first) == NULL && permits <= permits_in(word))
        result = 0;
    if (result != -EAGAIN) {
        is_done = skuai_op_claim_own(op);
        word -= is_done && result == 0 ? permits << SHIFT : 0;
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&semaphore->waiters, op);
    }
    settle(semaphore, word);
    if (is_done)
        skuai_op_set_done(op, result);
}

static bool withdraw(skua_op *op)
{
    skua_semaphore *semaphore = op->owner;
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    bool withdrawn = true;
    uint64_t word = hold(semaphore);
    if (skuai_waiters_has(&semaphore->waiters, op)) {
        skuai_waiters_remove(&semaphore->waiters, op);
        word = serve(semaphore, word, &fires); /* he may have been in the way */
    } else {
        withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED;
    }
    settle(semaphore, word);
    skuai_fires_finish(&fires);
    return withdrawn;
}

static const struct skuai_op_kind kind = {
    .name = "skua_semaphore_acquire", .start = start, .withdraw = withdraw
};

void skua_semaphore_release(skua_semaphore *semaphore, uint64_t permits)
{
    if (SKUAI_LIKELY(give_fast(semaphore, permits)))
        return;
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    uint64_t word = hold(semaphore);
    bool fits = has_room(word, permits);
    if (fits)
        word = serve(semaphore, word + (permits << SHIFT), &fires);
    settle(semaphore, word);
    skuai_fires_finish(&fires);
    if (!fits)
        skuai_misuse("skua_semaphore_release", "would have made more permits than there can be",
                     "release what was acquired, once");
}

uint64_t skua_semaphore_forget(skua_semaphore *semaphore, uint64_t permits)
{
    uint64_t word = hold(semaphore);
    uint64_t forgotten = permits < permits_in(word) ? permits : permits_in(word);
    settle(semaphore, word - (forgotten << SHIFT));
    return forgotten;
}

void skua_semaphore_close(skua_semaphore *semaphore)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    uint64_t word = hold(semaphore);
    while ((op = skuai_waiters_claim(&semaphore->waiters)) != NULL)
        skuai_fires_add(&fires, op, -EPIPE);
    settle(semaphore, word | CLOSED);
    skuai_fires_finish(&fires);
}

/* ---- the calls that wait ----------------------------------------------------------------------------------------- */

skua_op *skua_semaphore_acquire_prepare(skua_semaphore_op *op, skua_semaphore *semaphore, uint64_t permits)
{
    op->permits = permits;
    return skuai_op_prepare(&op->op, &kind, semaphore);
}

skua_op *skua_semaphore_acquire_start(skua_semaphore_op *op, skua_semaphore *semaphore, uint64_t permits)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (skuai_start_may_be_done(worker) && take_fast(semaphore, permits))
        return skuai_start_paid(worker, skuai_start_done(&op->op, &kind, 0));
    return skuai_op_start(skua_semaphore_acquire_prepare(op, semaphore, permits));
}

int skua_semaphore_try_acquire(skua_semaphore *semaphore, uint64_t permits)
{
    if (take_fast(semaphore, permits))
        return 0;
    uint64_t word = skuai_load_64(&semaphore->word, SKUAI_RELAXED); /* as good as any moment during the call */
    if ((word & CLOSED) == 0 && permits_in(word) < permits && permits <= SKUA_SEMAPHORE_MAX)
        return -EAGAIN;
    skua_semaphore_op op;
    (void)skua_semaphore_acquire_prepare(&op, semaphore, permits);
    start(NULL, &op.op, false);
    return skuai_op_is_done(&op.op) ? (int)op.result : -EAGAIN;
}

int skua_semaphore_acquire(skua_semaphore *semaphore, uint64_t permits)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (SKUAI_LIKELY(take_fast(semaphore, permits)))
        return (int)skuai_call_end(worker, 0);
    skua_semaphore_op op;
    return (int)skuai_call(skua_semaphore_acquire_prepare(&op, semaphore, permits));
}

int skua_semaphore_acquire_until(skua_semaphore *semaphore, uint64_t permits, uint64_t instant_ns)
{
    skua_semaphore_op op;
    return (int)skuai_call_until(skua_semaphore_acquire_prepare(&op, semaphore, permits), instant_ns);
}
