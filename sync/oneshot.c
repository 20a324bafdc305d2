/* Oneshots. The state changes under the lock; only TAKEN is also set by a receiver that has seen SENT, when the sender
 * is out.
 *
 *     OPEN ─ send ──────────▶ SENT ─ receive, close_receiver ─▶ TAKEN
 *          ─ send to a receiver that waits ───────────────────▶ TAKEN
 *          ─ close_sender ──▶ DROPPED
 *          ─ close_receiver ▶ UNWANTED
 *
 *   H1 send     under the lock: claims the receiver that waits, and copies to where it wants the value; else the value
 *               goes to its place
 *   H2 receive  without the lock if the state says that it need not wait (acquire: pairs with H1's release), once
 *               whoever has changed it has left the lock: then the oneshot may go (skuai_lock_pass()). Else it is
 *               linked
 *   H3 ends     on the heap, under the lock: who uses up the second end frees it, when it has left the lock. A receiver
 *               that waits still has its end, so neither a withdrawal nor the sender's way out meets freed memory
 * Model: tests/model/model_oneshot.c.
 */
#include "skua/oneshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum state { OPEN, SENT, TAKEN, DROPPED, UNWANTED };

static struct skuai_lock *lock_of(skua_oneshot *oneshot) { return skuai_lock_at(&oneshot->lock); }
static skua_oneshot_op *whole(skua_op *op) { return (skua_oneshot_op *)(void *)op; }

/* Under the lock, or for a look that it does not matter in. */
static enum state state_of(const skua_oneshot *oneshot)
{
    return (enum state)skuai_load_32(&oneshot->state, SKUAI_RELAXED);
}
/* Release: pairs with H2's acquire. */
static void set_state(skua_oneshot *oneshot, enum state state)
{
    skuai_store_32(&oneshot->state, (uint32_t)state, SKUAI_RELEASE);
}

/* A pointer is what most oneshots carry. */
static void copy(void *to, const void *from, size_t size)
{
    if (SKUAI_LIKELY(size == sizeof(void *)))
        memcpy(to, from, sizeof(void *));
    else if (size != 0 && to != from)
        memcpy(to, from, size);
}

void skua_oneshot_init(skua_oneshot *oneshot, void *place, size_t size)
{
    *oneshot = (skua_oneshot)SKUA_ONESHOT_INIT(place, size);
}

int skua_oneshot_create(skua_oneshot **oneshot, size_t size)
{
    *oneshot = size <= SIZE_MAX - sizeof **oneshot ? malloc(sizeof **oneshot + size) : NULL;
    if (*oneshot == NULL)
        return -ENOMEM;
    skua_oneshot_init(*oneshot, *oneshot + 1, size);
    (*oneshot)->on_heap = 1;
    return 0;
}

/* H3. Returns what is to be freed after the lock, or NULL. */
static skua_oneshot *use_up_end(skua_oneshot *oneshot)
{
    uint32_t left = SKUAI_READ(oneshot->ends) - 1;
    SKUAI_WRITE(oneshot->ends, left);
    return left == 0 && oneshot->on_heap ? oneshot : NULL;
}

/* The op that waits at an end, claimed; or NULL. Under the lock. */
static skua_op *claim_at(skua_op **end)
{
    skua_op *op = SKUAI_READ(*end);
    if (op == NULL)
        return NULL;
    SKUAI_WRITE(*end, NULL);
    return skuai_op_claim(op) ? op : NULL;
}

/* ---- the sender -------------------------------------------------------------------------------------------------- */

static int misused_sender(const char *call)
{
    return skuai_misuse(call, "was called when the sender's end was used up", "send or close once");
}

int skua_oneshot_send(skua_oneshot *oneshot, const void *value)
{
    skua_oneshot *garbage = NULL;
    skua_op *receiver = NULL;
    skuai_lock_acquire(lock_of(oneshot));
    enum state state = state_of(oneshot);
    if (state == OPEN) {
        receiver = claim_at(&oneshot->receiver);
        if (receiver == NULL)
            copy(oneshot->place, value, oneshot->size);
        set_state(oneshot, receiver == NULL ? SENT : TAKEN);
    }
    size_t size = oneshot->size;
    if (state == OPEN || state == UNWANTED)
        garbage = use_up_end(oneshot);
    skuai_lock_release(lock_of(oneshot));
    if (receiver != NULL) {
        copy(whole(receiver)->value, value, size);
        skuai_op_finish(receiver, 1);
    }
    free(garbage);
    return SKUAI_LIKELY(state == OPEN) ? 0 : state == UNWANTED ? -EPIPE : misused_sender("skua_oneshot_send");
}

void skua_oneshot_close_sender(skua_oneshot *oneshot)
{
    skua_oneshot *garbage = NULL;
    skua_op *receiver = NULL;
    skuai_lock_acquire(lock_of(oneshot));
    enum state state = state_of(oneshot);
    if (state == OPEN) {
        receiver = claim_at(&oneshot->receiver);
        set_state(oneshot, DROPPED);
    }
    if (state == OPEN || state == UNWANTED)
        garbage = use_up_end(oneshot);
    skuai_lock_release(lock_of(oneshot));
    if (receiver != NULL)
        skuai_op_finish(receiver, 0);
    free(garbage);
    if (state != OPEN && state != UNWANTED)
        (void)misused_sender("skua_oneshot_close_sender");
}

/* ---- the receiver ------------------------------------------------------------------------------------------------ */

/* By the only one who may, when the state is SENT. */
static void take(skua_oneshot *oneshot, void *value)
{
    copy(value, oneshot->place, oneshot->size);
    set_state(oneshot, TAKEN);
}

int skua_oneshot_try_receive(skua_oneshot *oneshot, void *value)
{
    enum state state = (enum state)skuai_load_32(&oneshot->state, SKUAI_ACQUIRE); /* H2 */
    if (state == OPEN)
        return -EAGAIN;
    skuai_lock_pass(lock_of(oneshot));
    if (state != SENT)
        return 0;
    take(oneshot, value);
    return 1;
}

int skua_oneshot_close_receiver(skua_oneshot *oneshot, void *value)
{
    skua_oneshot *garbage;
    skua_op *sender = NULL;
    skuai_lock_acquire(lock_of(oneshot));
    enum state state = state_of(oneshot);
    if (state == OPEN) {
        sender = claim_at(&oneshot->sender);
        set_state(oneshot, UNWANTED);
    } else if (state == SENT) {
        take(oneshot, value != NULL ? value : oneshot->place);
    }
    garbage = state != UNWANTED ? use_up_end(oneshot) : NULL;
    skuai_lock_release(lock_of(oneshot));
    if (sender != NULL)
        skuai_op_finish(sender, 0);
    free(garbage);
    if (state == UNWANTED)
        skuai_misuse("skua_oneshot_close_receiver", "was called a second time", "close once");
    return state == SENT;
}

/* ---- waiting, at either end -------------------------------------------------------------------------------------- */

/* Starts to wait at an end that is free. Under the lock. */
static void wait_at(skua_op **end, struct skuai_worker *worker, skua_op *op)
{
    skuai_op_arm_here(worker, op);
    SKUAI_WRITE(*end, op);
}

static bool withdraw_from(skua_oneshot *oneshot, skua_op **end, skua_op *op)
{
    skuai_lock_acquire(lock_of(oneshot));
    bool linked = SKUAI_READ(*end) == op;
    if (linked)
        SKUAI_WRITE(*end, NULL);
    bool withdrawn = linked || skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(lock_of(oneshot));
    return withdrawn;
}

static void start_receive(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_oneshot *oneshot = op->owner;
    int64_t result = -EAGAIN;
    skuai_lock_acquire(lock_of(oneshot));
    enum state state = state_of(oneshot);
    if (state != OPEN)
        result = state == SENT;
    else if (SKUAI_READ(oneshot->receiver) != NULL)
        result = -EBUSY;
    bool is_done = result != -EAGAIN && skuai_op_claim_own(op);
    if (is_done && result == 1)
        take(oneshot, whole(op)->value);
    else if (result == -EAGAIN && may_wait)
        wait_at(&oneshot->receiver, worker, op);
    skuai_lock_release(lock_of(oneshot));
    if (is_done)
        skuai_op_set_done(op, result);
}

static bool withdraw_receive(skua_op *op)
{
    skua_oneshot *oneshot = op->owner;
    return withdraw_from(oneshot, &oneshot->receiver, op);
}

static const struct skuai_op_kind receive_kind = {
    .name = "skua_oneshot_receive", .start = start_receive, .withdraw = withdraw_receive
};

skua_op *skua_oneshot_receive_prepare(skua_oneshot_op *op, skua_oneshot *oneshot, void *value)
{
    op->value = value;
    return skuai_op_prepare(&op->op, &receive_kind, oneshot);
}
skua_op *skua_oneshot_receive_start(skua_oneshot_op *op, skua_oneshot *oneshot, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_start_may_be_done(worker) ? skua_oneshot_try_receive(oneshot, value) : -EAGAIN;
    if (rc >= 0)
        return skuai_start_paid(worker, skuai_start_done(&op->op, &receive_kind, rc));
    return skuai_op_start(skua_oneshot_receive_prepare(op, oneshot, value));
}

int skua_oneshot_receive(skua_oneshot *oneshot, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_call_begin(worker, receive_kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    rc = skua_oneshot_try_receive(oneshot, value);
    if (rc >= 0)
        return (int)skuai_call_end(worker, rc);
    skua_oneshot_op op;
    return (int)skuai_call(skua_oneshot_receive_prepare(&op, oneshot, value));
}

int skua_oneshot_receive_until(skua_oneshot *oneshot, void *value, uint64_t instant_ns)
{
    skua_oneshot_op op;
    return (int)skuai_call_until(skua_oneshot_receive_prepare(&op, oneshot, value), instant_ns);
}

static void start_unwanted(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_oneshot *oneshot = op->owner;
    int64_t result = -EAGAIN;
    skuai_lock_acquire(lock_of(oneshot));
    if (state_of(oneshot) == UNWANTED)
        result = 0;
    else if (SKUAI_READ(oneshot->sender) != NULL)
        result = -EBUSY;
    bool is_done = result != -EAGAIN && skuai_op_claim_own(op);
    if (result == -EAGAIN && may_wait)
        wait_at(&oneshot->sender, worker, op);
    skuai_lock_release(lock_of(oneshot));
    if (is_done)
        skuai_op_set_done(op, result);
}

static bool withdraw_unwanted(skua_op *op)
{
    skua_oneshot *oneshot = op->owner;
    return withdraw_from(oneshot, &oneshot->sender, op);
}

static const struct skuai_op_kind unwanted_kind = {
    .name = "skua_oneshot_unwanted", .start = start_unwanted, .withdraw = withdraw_unwanted
};

skua_op *skua_oneshot_unwanted_prepare(skua_op *op, skua_oneshot *oneshot)
{
    return skuai_op_prepare(op, &unwanted_kind, oneshot);
}
skua_op *skua_oneshot_unwanted_start(skua_op *op, skua_oneshot *oneshot)
{
    return skuai_op_start(skua_oneshot_unwanted_prepare(op, oneshot));
}

int skua_oneshot_try_unwanted(skua_oneshot *oneshot)
{
    skuai_lock_acquire(lock_of(oneshot));
    bool unwanted = state_of(oneshot) == UNWANTED;
    skuai_lock_release(lock_of(oneshot));
    return unwanted ? 0 : -EAGAIN;
}

int skua_oneshot_unwanted(skua_oneshot *oneshot)
{
    skua_op op;
    return (int)skuai_call(skua_oneshot_unwanted_prepare(&op, oneshot));
}

int skua_oneshot_unwanted_until(skua_oneshot *oneshot, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_oneshot_unwanted_prepare(&op, oneshot), instant_ns);
}
