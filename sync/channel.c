/* Channels: sending, receiving, closing. The store is channel.h's.
 *
 *   H1 send     under the lock: closed, it fails; a receiver that waits gets the value; else there is room and it is
 *               put into the store; else the sender is linked
 *   H2 receive  under the lock: the oldest value of the store, whose place the oldest waiting sender's value takes at
 *               once; without a store, the oldest sender's value; else, closed, the end; else the receiver is linked
 *   H3 close    under the lock: no more sends; who waits to send is told, and, as then nothing is stored, who waits to
 *               receive
 *   H4 order    so receivers that can be claimed wait only while nothing is stored and nobody waits to send, senders
 *               only while the store is full: nobody waits in vain, and nobody overtakes. The exceptions are arms of
 *               one select at both ends, which do not meet, and arms of decided selects, which nobody can claim
 *   H5 claim    whoever completes an op of another's claims it before anything moves (op.h, O2), and its own, if it is
 *               an arm of a select, too: both or neither
 *   H6 flags    SENDERS and RECEIVERS are set with the first that waits and cleared by who finds none, so that a call
 *               which need not wait looks at one line of memory
 *   H7 leave    the release of the lock is the last access to the channel of a call that takes effect: who it wakes may
 *               destroy the channel
 * Model: tests/model/model_channel.c.
 */
#include <errno.h>

#include "sched/wait.h"
#include "skua/scope.h"
#include "sync/channel.h"

enum outcome {
    TOOK_EFFECT,
    MUST_WAIT,
    MUST_GROW, /* the store: without the lock */
    LOST       /* an arm of a select that has been decided: its op says so */
};

struct move {
    int64_t result; /* if it took effect */
    skua_op *met;   /* who has been completed by it, or NULL; to be finished without the lock, with what it is told */
};

/* H5. `own` is the caller's op, or NULL. */
SKUAI_INLINE bool claim_own(skua_op *own) { return own == NULL || skuai_op_claim_own(own); }

/* H5, H6: the oldest of the waiters that own can meet. */
static enum skuai_meet meet(skua_channel *channel, skua_waiters *waiters, uint32_t flag, skua_op *own, skua_op **met)
{
    enum skuai_meet how = SKUAI_MEET_NOBODY;
    if (own != NULL && own->select != NULL)
        how = skuai_waiters_meet(waiters, own, met);
    else if ((*met = skuai_waiters_claim(waiters)) != NULL)
        how = SKUAI_MEET_MET;
    if (SKUAI_READ(waiters->first) == NULL)
        skuai_channel_flag(channel, 0, flag);
    return how;
}

/* H1 where somebody waits, or it is closed. TOOK_EFFECT, LOST, or MUST_WAIT: then there may still be room. */
static __attribute__((noinline)) enum outcome send_to_waiting(skua_channel *channel, skua_op *own, const void *value,
                                                              struct move *move)
{
    if (skuai_channel_has(channel, SKUAI_CHANNEL_CLOSED)) {
        move->result = -EPIPE;
        return claim_own(own) ? TOOK_EFFECT : LOST;
    }
    switch (meet(channel, &channel->receivers, SKUAI_CHANNEL_RECEIVERS, own, &move->met)) {
    case SKUAI_MEET_MET:
        skuai_channel_copy(skuai_channel_value_of(move->met), value, channel->value_size);
        move->result = 0;
        return TOOK_EFFECT;
    case SKUAI_MEET_LOST:
        return LOST;
    case SKUAI_MEET_NOBODY:
        break;
    }
    return MUST_WAIT;
}

/* H1. */
SKUAI_INLINE enum outcome send_locked(skua_channel *channel, skua_op *own, const void *value, struct move *move)
{
    move->met = NULL;
    if (SKUAI_UNLIKELY(skuai_channel_has(channel, SKUAI_CHANNEL_CLOSED | SKUAI_CHANNEL_RECEIVERS))) {
        enum outcome outcome = send_to_waiting(channel, own, value, move);
        if (outcome != MUST_WAIT)
            return outcome;
    }
    if (SKUAI_UNLIKELY(skuai_channel_length(channel) >= channel->capacity))
        return MUST_WAIT;
    if (SKUAI_UNLIKELY(!skuai_channel_has_place(channel)))
        return MUST_GROW;
    if (!claim_own(own))
        return LOST;
    skuai_channel_put(channel, value);
    move->result = 0;
    return TOOK_EFFECT;
}

/* H2: the place that was taken from is the oldest sender's. */
static __attribute__((noinline)) void refill_store(skua_channel *channel, struct move *move)
{
    if (meet(channel, &channel->senders, SKUAI_CHANNEL_SENDERS, NULL, &move->met) != SKUAI_MEET_MET)
        return;
    (void)skuai_channel_has_place(channel); /* an unbounded one has no waiting senders */
    skuai_channel_put(channel, skuai_channel_value_of(move->met));
}

/* H2 where nothing is stored. TOOK_EFFECT, LOST or MUST_WAIT. */
static __attribute__((noinline)) enum outcome receive_from_waiting(skua_channel *channel, skua_op *own, void *value,
                                                                   struct move *move)
{
    switch (meet(channel, &channel->senders, SKUAI_CHANNEL_SENDERS, own, &move->met)) {
    case SKUAI_MEET_MET:
        skuai_channel_copy(value, skuai_channel_value_of(move->met), channel->value_size);
        move->result = 1;
        return TOOK_EFFECT;
    case SKUAI_MEET_LOST:
        return LOST;
    case SKUAI_MEET_NOBODY:
        break;
    }
    if (!skuai_channel_has(channel, SKUAI_CHANNEL_CLOSED))
        return MUST_WAIT;
    move->result = 0;
    return claim_own(own) ? TOOK_EFFECT : LOST;
}

/* H2. */
SKUAI_INLINE enum outcome receive_locked(skua_channel *channel, skua_op *own, void *value, struct move *move)
{
    move->met = NULL;
    if (SKUAI_LIKELY(skuai_channel_length(channel) != 0)) {
        if (!claim_own(own))
            return LOST;
        skuai_channel_take(channel, value);
        if (SKUAI_UNLIKELY(skuai_channel_has(channel, SKUAI_CHANNEL_SENDERS)))
            refill_store(channel, move);
        move->result = 1;
        return TOOK_EFFECT;
    }
    if (SKUAI_LIKELY(!skuai_channel_has(channel, SKUAI_CHANNEL_CLOSED | SKUAI_CHANNEL_SENDERS)))
        return MUST_WAIT;
    return receive_from_waiting(channel, own, value, move);
}

/* ---- ops ------------------------------------------------------------------------------------------------------- */

static void link_locked(struct skuai_worker *worker, skua_channel *channel, skua_waiters *waiters, uint32_t flag,
                        skua_op *op)
{
    skuai_op_arm_here(worker, op);
    skuai_waiters_append(waiters, op);
    skuai_channel_flag(channel, flag, 0); /* H6 */
}

static void link_sender(struct skuai_worker *worker, skua_channel *channel, skua_op *op)
{
    link_locked(worker, channel, &channel->senders, SKUAI_CHANNEL_SENDERS, op);
}

static void link_receiver(struct skuai_worker *worker, skua_channel *channel, skua_op *op)
{
    link_locked(worker, channel, &channel->receivers, SKUAI_CHANNEL_RECEIVERS, op);
}

/* Without the lock: H7. */
SKUAI_INLINE void tell_met(struct move *move, int64_t result)
{
    if (SKUAI_UNLIKELY(move->met != NULL))
        skuai_op_finish(move->met, result);
}

static void start_send(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_channel *channel = op->owner;
    struct move move;
    enum outcome outcome;
    for (;;) {
        skuai_lock_acquire(&channel->lock);
        outcome = send_locked(channel, op, skuai_channel_value_of(op), &move);
        if (outcome == MUST_WAIT && may_wait)
            link_sender(worker, channel, op);
        skuai_lock_release(&channel->lock);
        if (outcome != MUST_GROW)
            break;
        if (skuai_channel_grow(channel) < 0) {
            if (skuai_op_claim_own(op))
                skuai_op_set_done(op, -ENOMEM);
            return;
        }
    }
    if (outcome == TOOK_EFFECT) {
        skuai_op_set_done(op, move.result);
        tell_met(&move, 1);
    }
}

static bool withdraw_sender(skua_op *op)
{
    skua_channel *channel = op->owner;
    return skuai_waiters_withdraw(&channel->lock, &channel->senders, op);
}

static void start_receive(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_channel *channel = op->owner;
    struct move move;
    skuai_lock_acquire(&channel->lock);
    enum outcome outcome = receive_locked(channel, op, skuai_channel_value_of(op), &move);
    if (outcome == MUST_WAIT && may_wait)
        link_receiver(worker, channel, op);
    skuai_channel_unlock_taken(channel);
    if (outcome == TOOK_EFFECT) {
        skuai_op_set_done(op, move.result);
        tell_met(&move, 0);
    }
}

static bool withdraw_receiver(skua_op *op)
{
    skua_channel *channel = op->owner;
    return skuai_waiters_withdraw(&channel->lock, &channel->receivers, op);
}

static const struct skuai_op_kind send_kind = { .name = "skua_send", .start = start_send, .withdraw = withdraw_sender };
static const struct skuai_op_kind receive_kind = { .name = "skua_receive", .start = start_receive,
                                                   .withdraw = withdraw_receiver };

static skua_op *prepare_op(skua_channel_op *op, const struct skuai_op_kind *kind, skua_channel *channel, void *value)
{
    op->value = value;
    return skuai_op_prepare(&op->op, kind, channel);
}

skua_op *skua_send_prepare(skua_channel_op *op, skua_channel *channel, const void *value)
{
    return prepare_op(op, &send_kind, channel, (void *)(uintptr_t)value); /* a sender's is only read */
}

skua_op *skua_receive_prepare(skua_channel_op *op, skua_channel *channel, void *value)
{
    return prepare_op(op, &receive_kind, channel, value);
}

skua_op *skua_send_start(skua_channel_op *op, skua_channel *channel, const void *value)
{
    return skuai_op_start(skua_send_prepare(op, channel, value));
}

skua_op *skua_receive_start(skua_channel_op *op, skua_channel *channel, void *value)
{
    return skuai_op_start(skua_receive_prepare(op, channel, value));
}

/* ---- straight-line calls --------------------------------------------------------------------------------------- */

static int64_t await_here(skua_op *op, uint64_t instant_ns)
{
    return instant_ns == SKUA_NEVER ? skua_await(op) : skua_await_until(op, instant_ns);
}

/* With the lock, which it leaves: it could not be done at once. */
static __attribute__((noinline)) int64_t send_slowly(struct skuai_worker *worker, skua_channel *channel,
                                                     const void *value, enum outcome outcome, uint64_t instant_ns)
{
    skua_channel_op op;
    skua_send_prepare(&op, channel, value);
    if (outcome == MUST_WAIT)
        link_sender(worker, channel, &op.op);
    skuai_lock_release(&channel->lock);
    if (outcome == MUST_GROW)
        start_send(worker, &op.op, true);
    return await_here(&op.op, instant_ns);
}

SKUAI_INLINE int64_t send_here(const char *call, skua_channel *channel, const void *value, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, call);
    struct move move;
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    skuai_lock_acquire(&channel->lock);
    enum outcome outcome = send_locked(channel, NULL, value, &move);
    if (SKUAI_UNLIKELY(outcome != TOOK_EFFECT))
        return send_slowly(worker, channel, value, outcome, instant_ns);
    skuai_lock_release(&channel->lock);
    tell_met(&move, 1);
    return skuai_call_end(worker, move.result);
}

static __attribute__((noinline)) int64_t receive_slowly(struct skuai_worker *worker, skua_channel *channel, void *value,
                                                        uint64_t instant_ns)
{
    skua_channel_op op;
    skua_receive_prepare(&op, channel, value);
    link_receiver(worker, channel, &op.op);
    skuai_lock_release(&channel->lock);
    return await_here(&op.op, instant_ns);
}

SKUAI_INLINE int64_t receive_here(const char *call, skua_channel *channel, void *value, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, call);
    struct move move;
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    skuai_lock_acquire(&channel->lock);
    if (SKUAI_UNLIKELY(receive_locked(channel, NULL, value, &move) != TOOK_EFFECT))
        return receive_slowly(worker, channel, value, instant_ns);
    skuai_channel_unlock_taken(channel);
    tell_met(&move, 0);
    return skuai_call_end(worker, move.result);
}

int skua_send(skua_channel *channel, const void *value)
{
    return (int)send_here("skua_send", channel, value, SKUA_NEVER);
}

int skua_send_until(skua_channel *channel, const void *value, uint64_t instant_ns)
{
    return (int)send_here("skua_send", channel, value, instant_ns);
}

int skua_receive(skua_channel *channel, void *value)
{
    return (int)receive_here("skua_receive", channel, value, SKUA_NEVER);
}

int skua_receive_until(skua_channel *channel, void *value, uint64_t instant_ns)
{
    return (int)receive_here("skua_receive", channel, value, instant_ns);
}

int skua_try_send(skua_channel *channel, const void *value)
{
    struct move move;
    enum outcome outcome;
    do {
        skuai_lock_acquire(&channel->lock);
        outcome = send_locked(channel, NULL, value, &move);
        skuai_lock_release(&channel->lock);
        if (outcome == MUST_GROW && skuai_channel_grow(channel) < 0)
            return -ENOMEM;
    } while (outcome == MUST_GROW);
    if (outcome == MUST_WAIT)
        return -EAGAIN;
    tell_met(&move, 1);
    return (int)move.result;
}

int skua_try_receive(skua_channel *channel, void *value)
{
    struct move move;
    skuai_lock_acquire(&channel->lock);
    enum outcome outcome = receive_locked(channel, NULL, value, &move);
    skuai_channel_unlock_taken(channel);
    if (outcome == MUST_WAIT)
        return -EAGAIN;
    tell_met(&move, 0);
    return (int)move.result;
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

void skua_channel_close(skua_channel *channel)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(&channel->lock);
    skuai_channel_flag(channel, SKUAI_CHANNEL_CLOSED, 0);
    while ((op = skuai_waiters_claim(&channel->senders)) != NULL)
        skuai_fires_add(&fires, op, -EPIPE);
    while ((op = skuai_waiters_claim(&channel->receivers)) != NULL) /* H4: nothing is stored */
        skuai_fires_add(&fires, op, 0);
    skuai_channel_flag(channel, 0, SKUAI_CHANNEL_SENDERS | SKUAI_CHANNEL_RECEIVERS);
    skuai_lock_release(&channel->lock);
    skuai_fires_finish(&fires);
}
