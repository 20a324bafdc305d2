/* Channels: sending, receiving, closing. The store is channel.h's.
 *
 *   H1 send     under put_lock: if there is room, and nobody waits to receive, the value is put into the store. Else
 *               under both locks: closed, it fails; a receiver that waits gets the value; else it is put into the
 *               store; else, full, the sender is linked
 *   H2 receive  under take_lock: if something is stored, and nobody waits to send, the oldest value is taken. Else
 *               under both locks: the oldest value, whose place the oldest waiting sender's value takes at once;
 *               without a store, the oldest sender's value; else, closed, the end; else the receiver is linked
 *   H3 close    under both locks: no more sends; who waits to send is told, and, as then nothing is stored, who waits
 *               to receive
 *   H4 order    so receivers that can be claimed wait only while nothing is stored and nobody waits to send, senders
 *               only while the store is full: nobody waits in vain, and nobody overtakes. The exceptions are arms of
 *               one select at both ends, which do not meet, and arms of decided selects, which nobody can claim
 *   H5 claim    whoever completes an op of another's claims it before anything moves (op.h, O2), and its own, if it is
 *               an arm of a select, too: both or neither
 *   H6 flags    whoever is linked, or closes, holds both locks and says so in a flag on the other end's line, which the
 *               other end reads under its own lock: there is no moment at which one does not know of the other. It is
 *               cleared by who finds none
 *   H7 leave    after the locks a call that takes effect does not touch the channel; who destroys it waits for them
 * Where the store has one place or none, put_lock is both locks.
 * Model: tests/model/model_channel.c.
 */
#include <errno.h>

#include "sched/wait.h"
#include "skua/scope.h"
#include "sync/channel.h"

enum outcome {
    TOOK_EFFECT,
    MUST_WAIT,
    MUST_GROW, /* the store: without locks */
    LOST       /* an arm of a select that has been decided: its op says so */
};

struct move {
    int64_t result; /* if it took effect */
    skua_op *met;   /* who has been completed by it, or NULL; to be finished without locks, with what it is told */
};

/* H5. `own` is the caller's op, or NULL. */
SKUAI_INLINE bool claim_own(skua_op *own) { return own == NULL || skuai_op_claim_own(own); }

/* H5, H6: the oldest of the waiters that own, which may be NULL, can meet. */
SKUAI_INLINE enum skuai_meet meet(skua_waiters *waiters, skua_word32 *flags, uint32_t flag, skua_op *own, skua_op **met)
{
    enum skuai_meet how = SKUAI_MEET_NOBODY;
    if (own != NULL && own->select != NULL)
        how = skuai_waiters_meet(waiters, own, met);
    else if ((*met = skuai_waiters_claim(waiters)) != NULL)
        how = SKUAI_MEET_MET;
    /* No model test needs the check and step: a flag too many costs a look each time, no more. */
    if (SKUAI_READ(waiters->first) == NULL)
        skuai_channel_flag(flags, 0, flag);
    return how;
}

static void link_locked(struct skuai_worker *worker, skua_waiters *waiters, skua_word32 *flags, uint32_t flag,
                        skua_op *op)
{
    skuai_op_arm_here(worker, op);
    skuai_waiters_append(waiters, op); /* no model test needs the sequence: both locks are held */
    skuai_channel_flag(flags, flag, 0); /* H6 */
}

/* Without locks: H7. */
SKUAI_INLINE void tell_met(struct move *move, int64_t result)
{
    if (SKUAI_UNLIKELY(move->met != NULL))
        skuai_op_finish(move->met, result);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* H1, under put_lock. MUST_WAIT: it takes both to tell. */
SKUAI_INLINE enum outcome put_here(skua_channel *channel, skua_op *own, const void *value)
{
    if (SKUAI_UNLIKELY(skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED | SKUAI_CHANNEL_RECEIVERS)) ||
        SKUAI_UNLIKELY(!skuai_channel_has_room(channel)))
        return MUST_WAIT;
    if (!skuai_channel_has_place(channel))
        return MUST_GROW;
    if (!claim_own(own))
        return LOST;
    skuai_channel_put(channel, value);
    return TOOK_EFFECT;
}

/* H1, under both locks. */
static enum outcome send_locked(skua_channel *channel, skua_op *own, const void *value, struct move *move)
{
    if (skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED)) {
        move->result = -EPIPE;
        return claim_own(own) ? TOOK_EFFECT : LOST;
    }
    switch (meet(&channel->receivers, &channel->put_flags, SKUAI_CHANNEL_RECEIVERS, own, &move->met)) {
    case SKUAI_MEET_MET:
        skuai_channel_copy(skuai_channel_value_of(move->met), value, channel->value_size);
        return TOOK_EFFECT;
    case SKUAI_MEET_LOST:
        return LOST;
    case SKUAI_MEET_NOBODY:
        break;
    }
    if (!skuai_channel_has_room(channel))
        return MUST_WAIT;
    if (!skuai_channel_has_place(channel))
        return MUST_GROW;
    if (!claim_own(own))
        return LOST;
    skuai_channel_put(channel, value);
    return TOOK_EFFECT;
}

/* A send that is not done under put_lock alone. Comes with that, and leaves it. */
static __attribute__((noinline)) enum outcome send_further(struct skuai_worker *worker, skua_channel *channel,
                                                           skua_op *op, bool may_wait, struct move *move)
{
    skuai_channel_lock_other(channel);
    enum outcome outcome = send_locked(channel, op, skuai_channel_value_of(op), move);
    if (outcome == MUST_WAIT && may_wait)
        link_locked(worker, &channel->senders, &channel->take_flags, SKUAI_CHANNEL_SENDERS, op);
    skuai_channel_unlock_both(channel);
    return outcome;
}

static void start_send(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_channel *channel = op->owner;
    struct move move;
    enum outcome outcome;
    do {
        move = (struct move){ .result = 0 };
        skuai_channel_lock(&channel->put_lock);
        outcome = put_here(channel, op, skuai_channel_value_of(op));
        if (outcome == MUST_WAIT)
            outcome = send_further(worker, channel, op, may_wait, &move);
        else
            skuai_lock_release(&channel->put_lock);
        if (outcome == MUST_GROW && skuai_channel_grow(channel) < 0) {
            move.result = -ENOMEM;
            outcome = skuai_op_claim_own(op) ? TOOK_EFFECT : LOST;
        }
    } while (outcome == MUST_GROW);
    if (outcome == TOOK_EFFECT) {
        skuai_op_set_done(op, move.result);
        tell_met(&move, 1);
    }
}

static bool withdraw_from(skua_channel *channel, skua_waiters *waiters, skua_op *op)
{
    if (channel->one_lock)
        return skuai_waiters_withdraw(&channel->put_lock, waiters, op);
    skuai_channel_lock(&channel->put_lock);
    bool withdrawn = skuai_waiters_withdraw(&channel->take_lock, waiters, op);
    skuai_lock_release(&channel->put_lock);
    return withdrawn;
}

static bool withdraw_sender(skua_op *op)
{
    skua_channel *channel = op->owner;
    return withdraw_from(channel, &channel->senders, op);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* H2, under take_lock. MUST_WAIT: it takes both to tell. */
SKUAI_INLINE enum outcome take_here(skua_channel *channel, skua_op *own, void *value)
{
    if (SKUAI_UNLIKELY(skuai_channel_has(&channel->take_flags, SKUAI_CHANNEL_SENDERS)) ||
        SKUAI_UNLIKELY(!skuai_channel_has_value(channel)))
        return MUST_WAIT;
    if (!claim_own(own))
        return LOST;
    skuai_channel_take(channel, value);
    return TOOK_EFFECT;
}

/* H2: the place that was taken from is the oldest sender's. */
static void refill_store(skua_channel *channel, struct move *move)
{
    /* No model test needs the sequence: a flag too many costs a look. */
    move->met = skuai_waiters_claim(&channel->senders);
    /* H6. No model test needs the check and step: as in meet(). */
    if (SKUAI_READ(channel->senders.first) == NULL)
        skuai_channel_flag(&channel->take_flags, 0, SKUAI_CHANNEL_SENDERS);
    if (move->met == NULL)
        return;
    (void)skuai_channel_has_place(channel); /* an unbounded one has no waiting senders */
    skuai_channel_put(channel, skuai_channel_value_of(move->met));
}

/* H2, under both locks. */
static enum outcome receive_locked(skua_channel *channel, skua_op *own, void *value, struct move *move)
{
    if (skuai_channel_has_value(channel)) {
        if (!claim_own(own))
            return LOST;
        skuai_channel_take(channel, value);
        refill_store(channel, move);
        move->result = 1;
        return TOOK_EFFECT;
    }
    switch (meet(&channel->senders, &channel->take_flags, SKUAI_CHANNEL_SENDERS, own, &move->met)) {
    case SKUAI_MEET_MET:
        skuai_channel_copy(value, skuai_channel_value_of(move->met), channel->value_size);
        move->result = 1;
        return TOOK_EFFECT;
    case SKUAI_MEET_LOST:
        return LOST;
    case SKUAI_MEET_NOBODY:
        break;
    }
    if (!skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED))
        return MUST_WAIT;
    move->result = 0;
    return claim_own(own) ? TOOK_EFFECT : LOST;
}

/* Comes with take_lock, which it may leave for a moment. No model test needs the check: a try that spares that. */
SKUAI_INLINE void lock_puts_too(skua_channel *channel)
{
    if (!channel->one_lock && !skuai_lock_try(&channel->put_lock)) {
        skuai_lock_release(&channel->take_lock); /* put_lock comes first */
        skuai_channel_lock_both(channel);
    }
}

SKUAI_INLINE void unlock_both_taken(skua_channel *channel)
{
    struct skuai_channel_segment *drained = skuai_channel_take_drained(channel);
    skuai_channel_unlock_both(channel);
    skuai_channel_free_drained(drained);
}

/* A receive that is not done under take_lock alone. Comes with that, and leaves it. */
static __attribute__((noinline)) enum outcome receive_further(struct skuai_worker *worker, skua_channel *channel,
                                                              skua_op *op, bool may_wait, struct move *move)
{
    lock_puts_too(channel);
    enum outcome outcome = receive_locked(channel, op, skuai_channel_value_of(op), move);
    if (outcome == MUST_WAIT && may_wait)
        link_locked(worker, &channel->receivers, &channel->put_flags, SKUAI_CHANNEL_RECEIVERS, op);
    unlock_both_taken(channel);
    return outcome;
}

/* Leaves the receivers' end's lock. */
SKUAI_INLINE void unlock_taken(skua_channel *channel, struct skuai_lock *lock)
{
    struct skuai_channel_segment *drained = skuai_channel_take_drained(channel);
    skuai_lock_release(lock);
    skuai_channel_free_drained(drained);
}

/* Without locks: there was a moment at which it was open and empty, so that (H4) nobody waited to send. Both counts
 * only grow, and `sent` is never the lesser one: if what `sent` is seen to be is what `received` was before, it was
 * empty all the time in between. */
SKUAI_INLINE bool was_empty(const skua_channel *channel)
{
    /* Acquire: pairs with count_received()'s release: what had been sent by then, and a closing before, are seen. */
    uint64_t received = skuai_load_64(&channel->received, SKUAI_ACQUIRE);
    /* A look, at the receivers' own line: mostly there is something, and the senders' line is left to them. No model
     * test needs the check: it only says earlier that it may not be empty. */
    if (received < skuai_load_64(&channel->sent_seen, SKUAI_RELAXED))
        return false;
    return channel->capacity != 0 && skuai_load_64(&channel->sent, SKUAI_RELAXED) == received && /* as above */
           !skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED);
}

static void start_receive(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_channel *channel = op->owner;
    if (!may_wait && was_empty(channel))
        return;
    struct skuai_lock *lock = skuai_channel_take_lock(channel);
    struct move move = { .result = 1 };
    skuai_channel_lock(lock);
    enum outcome outcome = take_here(channel, op, skuai_channel_value_of(op));
    if (outcome == MUST_WAIT)
        outcome = receive_further(worker, channel, op, may_wait, &move);
    else
        unlock_taken(channel, lock);
    if (outcome == TOOK_EFFECT) {
        skuai_op_set_done(op, move.result);
        tell_met(&move, 0);
    }
}

static bool withdraw_receiver(skua_op *op)
{
    skua_channel *channel = op->owner;
    return withdraw_from(channel, &channel->receivers, op);
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static const struct skuai_op_kind send_kind = { .name = "skua_send", .start = start_send, .withdraw = withdraw_sender };
static const struct skuai_op_kind receive_kind = { .name = "skua_receive", .start = start_receive,
                                                   .withdraw = withdraw_receiver };

SKUAI_INLINE skua_op *prepare_op(skua_channel_op *op, const struct skuai_op_kind *kind, skua_channel *channel,
                                 void *value)
{
    op->value = value;
    return skuai_op_prepare(&op->op, kind, channel);
}

SKUAI_INLINE skua_op *prepare_send(skua_channel_op *op, skua_channel *channel, const void *value)
{
    return prepare_op(op, &send_kind, channel, (void *)(uintptr_t)value); /* a sender's is only read */
}

SKUAI_INLINE skua_op *prepare_receive(skua_channel_op *op, skua_channel *channel, void *value)
{
    return prepare_op(op, &receive_kind, channel, value);
}

skua_op *skua_send_prepare(skua_channel_op *op, skua_channel *channel, const void *value)
{
    return prepare_send(op, channel, value);
}

skua_op *skua_receive_prepare(skua_channel_op *op, skua_channel *channel, void *value)
{
    return prepare_receive(op, channel, value);
}

#if defined(SKUAI_MODEL)
enum { LINGERS = 1, LINGER_PAUSES = 1, LINGER_MIN = 1, LINGER_PART = 1 };
#else
enum {
    LINGERS = 4,       /* looks: each takes the receiver's line away */
    LINGER_PAUSES = 8, /* before each: 1 µs in all, about what it takes to wait and be woken */
    LINGER_MIN = 16,   /* places, in a store that this is for */
    LINGER_PART = 8    /* so large a part of it is waited for */
};
#endif

/* The store is full, and its receiver may be at work on another processor: waits a little for some room, without locks.
 * Else each value that is taken wakes the sender for one more: four senders and a select on two workers took 60 ns a
 * value, with a look at each pause 42 (each look is a miss of the receiver's next access), so 27. No model test needs
 * the check and step: it only waits. */
static __attribute__((noinline)) void linger_for_room(struct skuai_worker *worker, const skua_channel *channel)
{
    uint64_t full = channel->capacity - channel->capacity / LINGER_PART;
    for (uint32_t i = 0; i < LINGERS && skuai_may_linger(worker); i++) {
        for (uint32_t k = 0; k < LINGER_PAUSES; k++)
            skuai_pause();
        /* Looks. */
        if (skuai_load_64(&channel->sent, SKUAI_RELAXED) - skuai_load_64(&channel->received, SKUAI_RELAXED) <= full)
            return;
    }
}

/* With put_lock, for a while without it: whether it has been put after that. No model test needs the check: it spares
 * the wait. */
static bool put_after_lingering(struct skuai_worker *worker, skua_channel *channel, const void *value,
                                enum outcome *outcome)
{
    if (channel->capacity < LINGER_MIN || !skuai_may_linger(worker) ||
        skuai_channel_has(&channel->put_flags, SKUAI_CHANNEL_CLOSED | SKUAI_CHANNEL_RECEIVERS))
        return false;
    skuai_lock_release(&channel->put_lock);
    /* No model test needs the step: as there. */
    linger_for_room(worker, channel);
    skuai_channel_lock(&channel->put_lock);
    /* No model test needs the step: what is not put here is put, or waits, under both locks. */
    *outcome = put_here(channel, NULL, value);
    return *outcome == TOOK_EFFECT;
}

/* With put_lock, which it leaves: put_here() has not done it. */
static __attribute__((noinline)) skua_op *start_send_further(struct skuai_worker *worker, skua_channel *channel,
                                                             skua_channel_op *op, const void *value,
                                                             enum outcome outcome)
{
    struct move move = { .result = 0, .met = NULL };
    /* No model test needs the check: to linger only spares the wait. */
    if (outcome == MUST_WAIT && !put_after_lingering(worker, channel, value, &outcome)) {
        skuai_channel_lock_other(channel);
        outcome = send_locked(channel, NULL, value, &move);
        if (outcome == MUST_WAIT)
            link_locked(worker, &channel->senders, &channel->take_flags, SKUAI_CHANNEL_SENDERS,
                        prepare_send(op, channel, value));
        skuai_channel_unlock_both(channel);
    } else {
        skuai_lock_release(&channel->put_lock);
    }
    if (outcome == TOOK_EFFECT) {
        skuai_start_done(&op->op, &send_kind, move.result);
        tell_met(&move, 1);
    } else if (outcome == MUST_GROW) {
        start_send(worker, prepare_send(op, channel, value), true);
    }
    return &op->op;
}

/* With the receivers' end's lock, which it leaves: take_here() has not done it. */
static __attribute__((noinline)) skua_op *start_receive_further(struct skuai_worker *worker, skua_channel *channel,
                                                                skua_channel_op *op, void *value)
{
    struct move move = { .result = 1, .met = NULL };
    lock_puts_too(channel);
    enum outcome outcome = receive_locked(channel, NULL, value, &move);
    if (outcome == MUST_WAIT)
        link_locked(worker, &channel->receivers, &channel->put_flags, SKUAI_CHANNEL_RECEIVERS,
                    prepare_receive(op, channel, value));
    unlock_both_taken(channel);
    if (outcome == TOOK_EFFECT) {
        skuai_start_done(&op->op, &receive_kind, move.result);
        tell_met(&move, 0);
    }
    return &op->op;
}

skua_op *skua_send_start(skua_channel_op *op, skua_channel *channel, const void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (!skuai_start_may_be_done(worker))
        return skuai_op_start(skua_send_prepare(op, channel, value));
    skuai_channel_lock(&channel->put_lock);
    enum outcome outcome = put_here(channel, NULL, value);
    if (SKUAI_UNLIKELY(outcome != TOOK_EFFECT))
        return skuai_start_paid(worker, start_send_further(worker, channel, op, value, outcome));
    skuai_lock_release(&channel->put_lock);
    return skuai_start_paid_short(worker, skuai_start_done(&op->op, &send_kind, 0));
}

skua_op *skua_receive_start(skua_channel_op *op, skua_channel *channel, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (!skuai_start_may_be_done(worker))
        return skuai_op_start(skua_receive_prepare(op, channel, value));
    struct skuai_lock *lock = skuai_channel_take_lock(channel);
    skuai_channel_lock(lock);
    if (SKUAI_UNLIKELY(take_here(channel, NULL, value) != TOOK_EFFECT))
        return skuai_start_paid(worker, start_receive_further(worker, channel, op, value));
    unlock_taken(channel, lock);
    return skuai_start_paid_short(worker, skuai_start_done(&op->op, &receive_kind, 1));
}

/* ---- straight-line calls ----------------------------------------------------------------------------------------- */

static int64_t await_here(skua_op *op, uint64_t instant_ns)
{
    return instant_ns == SKUA_NEVER ? skua_await(op) : skua_await_until(op, instant_ns);
}

/* With put_lock, which it leaves: put_here() has not done it. */
static __attribute__((noinline)) int64_t send_slowly(struct skuai_worker *worker, skua_channel *channel,
                                                     const void *value, enum outcome outcome, uint64_t instant_ns)
{
    skua_channel_op op;
    skua_op *started = start_send_further(worker, channel, &op, value, outcome);
    return skuai_start_is_done(started) ? skuai_call_end(worker, started->result) : await_here(started, instant_ns);
}

SKUAI_INLINE int64_t send_here(skua_channel *channel, const void *value, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, "skua_send");
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    skuai_channel_lock(&channel->put_lock);
    enum outcome outcome = put_here(channel, NULL, value);
    if (SKUAI_UNLIKELY(outcome != TOOK_EFFECT))
        return send_slowly(worker, channel, value, outcome, instant_ns);
    skuai_lock_release(&channel->put_lock);
    return skuai_call_end_short(worker, 0);
}

/* With the receivers' end's lock, which it leaves: take_here() has not done it. */
static __attribute__((noinline)) int64_t receive_slowly(struct skuai_worker *worker, skua_channel *channel, void *value,
                                                        uint64_t instant_ns)
{
    skua_channel_op op;
    skua_op *started = start_receive_further(worker, channel, &op, value);
    return skuai_start_is_done(started) ? skuai_call_end(worker, started->result) : await_here(started, instant_ns);
}

SKUAI_INLINE int64_t receive_here(skua_channel *channel, void *value, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, "skua_receive");
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    struct skuai_lock *lock = skuai_channel_take_lock(channel);
    skuai_channel_lock(lock);
    if (SKUAI_UNLIKELY(take_here(channel, NULL, value) != TOOK_EFFECT))
        return receive_slowly(worker, channel, value, instant_ns);
    unlock_taken(channel, lock);
    return skuai_call_end_short(worker, 1);
}

int skua_send(skua_channel *channel, const void *value) { return (int)send_here(channel, value, SKUA_NEVER); }
int skua_send_until(skua_channel *channel, const void *value, uint64_t instant_ns)
{
    return (int)send_here(channel, value, instant_ns);
}

int skua_receive(skua_channel *channel, void *value) { return (int)receive_here(channel, value, SKUA_NEVER); }
int skua_receive_until(skua_channel *channel, void *value, uint64_t instant_ns)
{
    return (int)receive_here(channel, value, instant_ns);
}

/* What was started and may not wait is over, or has had no effect. */
static int result_of(const skua_op *op) { return skuai_op_is_done(op) ? (int)op->result : -EAGAIN; }

int skua_try_send(skua_channel *channel, const void *value)
{
    skua_channel_op op;
    start_send(NULL, skua_send_prepare(&op, channel, value), false);
    return result_of(&op.op);
}

int skua_try_receive(skua_channel *channel, void *value)
{
    skua_channel_op op;
    start_receive(NULL, skua_receive_prepare(&op, channel, value), false);
    return result_of(&op.op);
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

void skua_channel_close(skua_channel *channel)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_channel_lock_both(channel);
    skuai_channel_flag(&channel->put_flags, SKUAI_CHANNEL_CLOSED, SKUAI_CHANNEL_RECEIVERS);
    /* No model test needs the step: as in meet(). */
    skuai_channel_flag(&channel->take_flags, 0, SKUAI_CHANNEL_SENDERS);
    /* No model test needs the sequence: an arm at both ends may be told by either. */
    while ((op = skuai_waiters_claim(&channel->senders)) != NULL)
        skuai_fires_add(&fires, op, -EPIPE);
    while ((op = skuai_waiters_claim(&channel->receivers)) != NULL) /* H4: nothing is stored */
        skuai_fires_add(&fires, op, 0);
    skuai_channel_unlock_both(channel);
    skuai_fires_finish(&fires);
}
