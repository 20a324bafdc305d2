/* Rate limiters. A token bucket, kept as a time: `base` is the instant at which the bucket was, or will be, empty, if
 * nobody takes more than has been taken. At a later time so many tokens are there as fill in between, at most `burst`.
 *
 *   L1 turn     who takes n tokens has his turn at base + the time in which n and those of all who wait before him
 *               fill. So the turns of all who wait follow from base and from what each wants, and a waiter who goes
 *               away changes those after him without a word
 *   L2 take     nobody waits, and the turn has come: base moves on by n. Before, base is not left further back than a
 *               burst: a bucket does not hold more
 *   L3 wait     linked, with a timer for the turn. The timer's claim, under its wheel's lock, is what grants it (op.h,
 *               O2; a plain thread claims for itself)
 *   L4 granted  before it is finished: unlinked, and base moves on
 *   L5 leave    withdrawn from its timer and unlinked
 *   L6 hasten   after L4 and L5: the timer of the first who waits now may be late, if somebody before him has left: it
 *               is armed anew. The others' may be late as well, until they are first. So a waiter who leaves costs the
 *               same however many wait behind him
 * Locks: the limiter's, then a wheel's. Instants are exact, in nanoseconds and parts of 1/tokens of one, so that
 * rounding adds up to nothing. Model: tests/model/model_rate_limiter.c.
 */
#include "skua/rate_limiter.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/timers.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "skua/time.h"

_Static_assert(sizeof(struct skuai_timer) <= sizeof((skua_rate_limiter_op){ .tokens = 0 }.timer),
               "skua_rate_limiter_op has room for the timer");

/* 2^62 ns are 146 years. Instants are kept so much later than they are, so that a bucket can have been empty before the
 * clock began: one whose base is 0 is full. */
#define FAR (UINT64_C(1) << 62)

static struct skuai_lock *lock_of(skua_rate_limiter *limiter) { return skuai_lock_at(&limiter->lock); }
static skua_rate_limiter_op *whole(skua_op *op) { return (skua_rate_limiter_op *)(void *)op; }
static struct skuai_timer *timer_in(skua_op *op) { return (struct skuai_timer *)(void *)whole(op)->timer; }

/* ---- time and tokens --------------------------------------------------------------------------------------------- */

struct span {
    uint64_t ns, part; /* of `tokens` parts of a nanosecond */
};

static bool can_multiply(uint64_t a, uint64_t b) { return b <= FAR / a; }

static bool is_valid(uint64_t tokens, uint64_t per_ns, uint64_t burst)
{
    return tokens != 0 && per_ns != 0 && burst != 0 && can_multiply(tokens, per_ns) && can_multiply(burst, per_ns);
}

int skua_rate_limiter_init(skua_rate_limiter *limiter, uint64_t tokens, uint64_t per_ns, uint64_t burst)
{
    if (!is_valid(tokens, per_ns, burst))
        return -EINVAL;
    *limiter = (skua_rate_limiter)SKUA_RATE_LIMITER_INIT(tokens, per_ns, burst);
    return 0;
}

/* In which so many fill. */
static struct span time_of(const skua_rate_limiter *limiter, uint64_t count)
{
    uint64_t whole_periods = count / limiter->tokens, rest = count % limiter->tokens * limiter->per_ns;
    if (!can_multiply(limiter->per_ns, whole_periods))
        return (struct span){ FAR, 0 };
    return (struct span){ whole_periods * limiter->per_ns + rest / limiter->tokens, rest % limiter->tokens };
}

static struct span after_base(const skua_rate_limiter *limiter, struct span span)
{
    uint64_t part = limiter->base_part + span.part;
    bool carry = part >= limiter->tokens;
    return (struct span){ limiter->base_ns + span.ns + carry, carry ? part - limiter->tokens : part };
}

static uint64_t rounded_up(struct span span) { return span.ns + (span.part != 0); }

/* L1: not of now_ns, but kept as base is. */
static uint64_t turn_of(const skua_rate_limiter *limiter, uint64_t before, uint64_t count)
{
    uint64_t all = count <= UINT64_MAX - before ? before + count : UINT64_MAX;
    return rounded_up(after_base(limiter, time_of(limiter, all)));
}

static void move_base(skua_rate_limiter *limiter, uint64_t count)
{
    struct span base = after_base(limiter, time_of(limiter, count));
    limiter->base_ns = base.ns;
    limiter->base_part = base.part;
}

/* L2: the bucket is full at most. */
static void spill(skua_rate_limiter *limiter, uint64_t now_ns)
{
    struct span burst = time_of(limiter, limiter->burst), full = after_base(limiter, burst);
    if (full.ns >= FAR + now_ns)
        return;
    limiter->base_ns = FAR + now_ns - rounded_up(burst);
    limiter->base_part = burst.part != 0 ? limiter->tokens - burst.part : 0;
}

/* ---- the line ---------------------------------------------------------------------------------------------------- */

/* L6. Under the lock; skuai_sleep_hastened() after it. */
static void hasten_first(skua_rate_limiter *limiter, struct skuai_hastened *after)
{
    skua_op *op = SKUAI_READ(limiter->waiters.first);
    if (op == NULL)
        return;
    uint64_t turn = turn_of(limiter, 0, whole(op)->tokens) - FAR;
    if (turn >= skuai_load_64(&whole(op)->due, SKUAI_RELAXED)) /* the lock orders it */
        return;
    skuai_store_64(&whole(op)->due, turn, SKUAI_RELAXED);
    /* Release: pairs with the acquire of the thread that looks at `due` next. */
    skuai_add_32(&whole(op)->moved, 1, SKUAI_RELEASE);
    skuai_sleep_hasten(op, timer_in(op), turn, after);
    if (after->word != NULL && op->select == NULL)
        after->word = &whole(op)->moved;
}

static void unlink_op(skua_rate_limiter *limiter, skua_op *op)
{
    skuai_waiters_remove(&limiter->waiters, op);
    limiter->pending -= whole(op)->tokens;
}

/* L4 */
static void expired(skua_op *op)
{
    skua_rate_limiter *limiter = op->owner;
    struct skuai_hastened after = SKUAI_HASTENED_NONE;
    skuai_lock_acquire(lock_of(limiter));
    unlink_op(limiter, op);
    move_base(limiter, whole(op)->tokens);
    hasten_first(limiter, &after);
    skuai_lock_release(lock_of(limiter));
    skuai_sleep_hastened(&after);
}

/* L5 */
static bool withdraw(skua_op *op)
{
    skua_rate_limiter *limiter = op->owner;
    struct skuai_hastened after = SKUAI_HASTENED_NONE;
    skuai_lock_acquire(lock_of(limiter));
    bool withdrawn = skuai_op_state(op) == SKUAI_OP_ARMED && skuai_sleep_disarm(op, timer_in(op));
    if (withdrawn) {
        unlink_op(limiter, op);
        hasten_first(limiter, &after);
    }
    skuai_lock_release(lock_of(limiter));
    skuai_sleep_hastened(&after);
    return withdrawn;
}

/* L2, under the lock. */
static bool can_take(skua_rate_limiter *limiter, uint64_t tokens, uint64_t now_ns)
{
    if (SKUAI_READ(limiter->waiters.first) != NULL)
        return false;
    spill(limiter, now_ns);
    return turn_of(limiter, 0, tokens) <= FAR + now_ns;
}

static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_rate_limiter *limiter = op->owner;
    uint64_t tokens = whole(op)->tokens, now_ns = skua_now();
    bool is_done = false;
    int64_t result = tokens > limiter->burst ? -EINVAL : 0;
    skuai_lock_acquire(lock_of(limiter));
    if (result < 0 || can_take(limiter, tokens, now_ns)) {
        is_done = skuai_op_claim_own(op);
        if (is_done && result == 0)
            move_base(limiter, tokens);
    } else if (may_wait) {
        uint64_t turn = turn_of(limiter, limiter->pending, tokens) - FAR;
        skuai_store_64(&whole(op)->due, turn, SKUAI_RELAXED); /* published by the lock, as is the op */
        *timer_in(op) = (struct skuai_timer){ .deadline_ns = turn };
        limiter->pending += tokens;
        /* No model test needs the sequence: from the second on it may be claimed, and L4 wants the lock. */
        skuai_waiters_append(&limiter->waiters, op);
        skuai_sleep_arm(worker, op, timer_in(op));
    }
    skuai_lock_release(lock_of(limiter));
    if (is_done)
        skuai_op_set_done(op, result);
}

/* Relaxed: `moved`, read before, has brought it. */
static uint64_t due_ns(const skua_op *op)
{
    return skuai_load_64(&((const skua_rate_limiter_op *)(const void *)op)->due, SKUAI_RELAXED);
}

static skua_word32 *moved(skua_op *op) { return &whole(op)->moved; }

static const struct skuai_op_kind kind = { .name = "skua_rate_limiter_acquire",
                                           .start = start,
                                           .withdraw = withdraw,
                                           .due_ns = due_ns,
                                           .expired = expired,
                                           .moved = moved };

/* ---- the calls --------------------------------------------------------------------------------------------------- */

skua_op *skua_rate_limiter_acquire_prepare(skua_rate_limiter_op *op, skua_rate_limiter *limiter, uint64_t tokens)
{
    op->tokens = tokens;
    skuai_store_64(&op->due, SKUA_NEVER, SKUAI_RELAXED); /* nobody else knows the op */
    skuai_store_32(&op->moved, 0, SKUAI_RELAXED);
    return skuai_op_prepare(&op->op, &kind, limiter);
}

skua_op *skua_rate_limiter_acquire_start(skua_rate_limiter_op *op, skua_rate_limiter *limiter, uint64_t tokens)
{
    return skuai_op_start(skua_rate_limiter_acquire_prepare(op, limiter, tokens));
}

static bool take_now(skua_rate_limiter *limiter, uint64_t tokens)
{
    if (tokens > limiter->burst)
        return false;
    uint64_t now_ns = skua_now();
    skuai_lock_acquire(lock_of(limiter));
    bool taken = can_take(limiter, tokens, now_ns);
    if (taken)
        move_base(limiter, tokens);
    skuai_lock_release(lock_of(limiter));
    return taken;
}

int skua_rate_limiter_try_acquire(skua_rate_limiter *limiter, uint64_t tokens)
{
    if (take_now(limiter, tokens))
        return 0;
    return tokens > limiter->burst ? -EINVAL : -EAGAIN;
}

int skua_rate_limiter_acquire(skua_rate_limiter *limiter, uint64_t tokens)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (take_now(limiter, tokens))
        return (int)skuai_call_end(worker, 0);
    skua_rate_limiter_op op;
    return (int)skuai_call(skua_rate_limiter_acquire_prepare(&op, limiter, tokens));
}

int skua_rate_limiter_acquire_until(skua_rate_limiter *limiter, uint64_t tokens, uint64_t instant_ns)
{
    skua_rate_limiter_op op;
    return (int)skuai_call_until(skua_rate_limiter_acquire_prepare(&op, limiter, tokens), instant_ns);
}
