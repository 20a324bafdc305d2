/* Broadcasts: a ring that senders write one after the other, and that receivers read without a lock.
 *
 * Values have positions, counted from 0. `tail` is how many were sent, `begun` how many senders have begun to write:
 * the value at position p lies in slot p % capacity from tail > p until begun > p + capacity.
 *
 *   R1 send      under the lock: begun, the value's words, tail, in this order (words.h says why). Whoever waits, waits
 *                for just this position: he is claimed, and the value is copied to him after the lock, from the
 *                sender's memory
 *   R2 receive   without the lock: tail; the words; then begun. If that has come round meanwhile, what was read may be
 *                half a later value: it is discarded, and counts as missed
 *   R3 wait      under the lock: there is nothing new, so the receiver is linked
 *   R4 close     under the lock; no position is sent later. So who sees it closed, and looks at tail after that, sees
 *                the last one
 * Receivers share nothing that any of them writes, so each costs the others nothing; and the sender takes one lock for
 * all of them. Model: tests/model/model_broadcast.c.
 */
#include "skua/broadcast.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/kind.h"
#include "sched/scheduler.h"
#include "sched/wait.h"
#include "sched/waiters.h"
#include "sync/words.h"

struct skua_broadcast {
    /* fixed */
    size_t value_size;
    size_t value_words;
    uint64_t capacity; /* a power of two */
    uint32_t kind;     /* SKUAI_KIND_BROADCAST (sched/kind.h) */
    /* senders write, receivers read */
    skua_word64 begun __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_word64 tail;
    skua_word32 closed;
    /* under the lock */
    struct skuai_lock lock __attribute__((aligned(SKUAI_CACHE_LINE)));
    skua_waiters waiters;
    /* any thread */
    skua_word64 receivers;
    skua_word64 words[] __attribute__((aligned(SKUAI_CACHE_LINE)));
};

static skua_broadcast_op *whole(skua_op *op) { return (skua_broadcast_op *)(void *)op; }

static skua_word64 *slot_of(skua_broadcast *broadcast, uint64_t position)
{
    return &broadcast->words[(size_t)(position & (broadcast->capacity - 1)) * broadcast->value_words];
}

int skua_broadcast_create(skua_broadcast **broadcast, size_t value_size, size_t capacity)
{
    size_t rounded = 1, words = skuai_words_for(value_size), room = SIZE_MAX / 2 / sizeof(skua_word64);
    *broadcast = NULL;
    if (capacity == 0)
        return -EINVAL;
    while (rounded < capacity && rounded <= room)
        rounded *= 2;
    if (rounded > room || (words != 0 && rounded > room / words))
        return -ENOMEM;
    size_t size = sizeof **broadcast + rounded * words * sizeof(skua_word64);
    size = (size + SKUAI_CACHE_LINE - 1) / SKUAI_CACHE_LINE * SKUAI_CACHE_LINE;
    skua_broadcast *made = aligned_alloc(SKUAI_CACHE_LINE, size);
    if (made == NULL)
        return -ENOMEM;
    memset(made, 0, sizeof *made); /* no slot is read before it is written */
    made->kind = SKUAI_KIND_BROADCAST;
    made->value_size = value_size;
    made->value_words = words;
    made->capacity = rounded;
    *broadcast = made;
    return 0;
}

int skua_broadcast_destroy(skua_broadcast *broadcast)
{
    if (broadcast == NULL)
        return 0;
    if (!skuai_kind_check(&broadcast->kind, SKUAI_KIND_BROADCAST, "skua_broadcast_destroy"))
        return -EPERM;
    if (skua_broadcast_receivers(broadcast) != 0) {
        skuai_misuse("skua_broadcast_destroy", "was called while somebody is subscribed", "unsubscribe first");
        return -EBUSY;
    }
    skuai_kind_end(&broadcast->kind);
    free(broadcast);
    return 0;
}

uint64_t skua_broadcast_receivers(const skua_broadcast *broadcast)
{
    return skuai_load_64(&broadcast->receivers, SKUAI_RELAXED); /* a number, with nothing behind it */
}

/* ---- senders ----------------------------------------------------------------------------------------------------- */

static bool is_closed(const skua_broadcast *broadcast)
{
    return skuai_load_32(&broadcast->closed, SKUAI_ACQUIRE) != 0; /* R4: pairs with close's release */
}

/* R1, the end: outside of the lock. */
static void deliver(struct skuai_fires *fires, const void *value, size_t size, uint64_t next)
{
    for (skua_op *op = fires->first; op != NULL; op = SKUAI_READ(op->next)) {
        skua_broadcast_receiver *receiver = op->owner;
        if (size != 0)
            memcpy(whole(op)->value, value, size);
        SKUAI_WRITE(receiver->next, next);
    }
    skuai_fires_finish(fires);
}

int skua_broadcast_send(skua_broadcast *broadcast, const void *value)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(&broadcast->lock);
    if (SKUAI_UNLIKELY(is_closed(broadcast))) {
        skuai_lock_release(&broadcast->lock);
        return -EPIPE;
    }
    size_t size = broadcast->value_size;
    uint64_t position = skuai_load_64(&broadcast->tail, SKUAI_RELAXED); /* the lock orders it */
    skuai_store_64(&broadcast->begun, position + 1, SKUAI_RELAXED);     /* published by each word: words.h */
    skuai_words_put(slot_of(broadcast, position), value, size);
    /* Pairs with R2's acquire. No model test needs the sequence: whom it claims is told after the lock. */
    skuai_store_64(&broadcast->tail, position + 1, SKUAI_RELEASE);
    while ((op = skuai_waiters_claim(&broadcast->waiters)) != NULL)
        skuai_fires_add(&fires, op, 1);
    skuai_lock_release(&broadcast->lock);
    if (fires.first != NULL)
        deliver(&fires, value, size, position + 1);
    return 0;
}

void skua_broadcast_close(skua_broadcast *broadcast)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(&broadcast->lock);
    /* R4. No model test needs the sequence: as in send(). */
    skuai_store_32(&broadcast->closed, 1, SKUAI_RELEASE);
    while ((op = skuai_waiters_claim(&broadcast->waiters)) != NULL)
        skuai_fires_add(&fires, op, 0);
    skuai_lock_release(&broadcast->lock);
    skuai_fires_finish(&fires);
}

/* ---- receivers --------------------------------------------------------------------------------------------------- */

void skua_broadcast_subscribe(skua_broadcast *broadcast, skua_broadcast_receiver *receiver)
{
    skuai_add_64(&broadcast->receivers, 1, SKUAI_RELAXED);
    *receiver = (skua_broadcast_receiver){ .from = broadcast,
                                           .next = skuai_load_64(&broadcast->tail, SKUAI_RELAXED) };
}

void skua_broadcast_unsubscribe(skua_broadcast_receiver *receiver)
{
    skuai_sub_64(&receiver->from->receivers, 1, SKUAI_RELAXED);
    receiver->from = NULL;
}

uint64_t skua_broadcast_missed(const skua_broadcast_receiver *receiver) { return receiver->missed; }

/* How far `tail` is ahead of a place in the sequence. A receiver that has learned from `begun` that it has fallen
 * behind may know of later values than the tail that it sees. */
static uint64_t ahead(uint64_t tail, uint64_t next) { return tail > next ? tail - next : 0; }

uint64_t skua_broadcast_pending(const skua_broadcast_receiver *receiver)
{
    return ahead(skuai_load_64(&receiver->from->tail, SKUAI_RELAXED), SKUAI_READ(receiver->next)); /* a number */
}

/* It goes on at the oldest that is kept. */
static int fall_behind(skua_broadcast_receiver *receiver, uint64_t written)
{
    uint64_t oldest = written - receiver->from->capacity;
    receiver->missed = oldest - receiver->next;
    receiver->next = oldest;
    return -EOVERFLOW;
}

/* R2. How many, 0 at the end, -EAGAIN or -EOVERFLOW. */
static int64_t read_values(skua_broadcast_receiver *receiver, char *values, size_t max)
{
    skua_broadcast *broadcast = receiver->from;
    /* No model test needs the sequence: nobody else moves it meanwhile. */
    uint64_t next = SKUAI_READ(receiver->next);
    uint64_t tail = skuai_load_64(&broadcast->tail, SKUAI_ACQUIRE); /* pairs with R1's release */
    if (ahead(tail, next) == 0) {
        if (!is_closed(broadcast))
            return -EAGAIN;
        tail = skuai_load_64(&broadcast->tail, SKUAI_RELAXED); /* R4: `closed` has brought it, and the values */
        if (ahead(tail, next) == 0)
            return 0;
    }
    uint64_t count = ahead(tail, next);
    if (SKUAI_UNLIKELY(count > broadcast->capacity))
        return fall_behind(receiver, tail);
    count = count < max ? count : max;
    for (uint64_t i = 0; i < count; i++, values += broadcast->value_size)
        skuai_words_get(values, slot_of(broadcast, next + i), broadcast->value_size);
    /* Relaxed: what the words brought is seen, and no more is asked. */
    uint64_t begun = skuai_load_64(&broadcast->begun, SKUAI_RELAXED);
    if (SKUAI_UNLIKELY(begun - next > broadcast->capacity))
        return fall_behind(receiver, begun);
    receiver->next = next + count;
    return (int64_t)count;
}

/* The same, by who has not the lock. After the end the broadcast may go, if whoever has closed it is out. */
static int64_t read_fast(skua_broadcast_receiver *receiver, void *values, size_t max)
{
    int64_t rc = read_values(receiver, values, max);
    if (SKUAI_UNLIKELY(rc == 0))
        skuai_lock_pass(&receiver->from->lock);
    return rc;
}

static bool withdraw(skua_op *op)
{
    skua_broadcast *broadcast = ((skua_broadcast_receiver *)op->owner)->from;
    return skuai_waiters_withdraw(&broadcast->lock, &broadcast->waiters, op);
}

/* R3. Under the lock nothing is sent, so what can be read now can still be read when the op is claimed. */
static void start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_broadcast_receiver *receiver = op->owner;
    skua_broadcast *broadcast = receiver->from;
    int64_t result = -EAGAIN;
    if (op->select == NULL) { /* nobody to be claimed from */
        result = read_fast(receiver, whole(op)->value, 1); /* no model test needs the step: it spares the lock */
        if (result != -EAGAIN || !may_wait) {
            if (result != -EAGAIN)
                skuai_op_set_done(op, result);
            return;
        }
    }
    skuai_lock_acquire(&broadcast->lock);
    bool is_new = skua_broadcast_pending(receiver) != 0 || is_closed(broadcast);
    bool is_done = is_new && skuai_op_claim_own(op);
    if (is_done) {
        result = read_values(receiver, whole(op)->value, 1);
    } else if (!is_new && may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&broadcast->waiters, op);
    }
    skuai_lock_release(&broadcast->lock);
    if (is_done)
        skuai_op_set_done(op, result);
}

static const struct skuai_op_kind kind = { .name = "skua_broadcast_receive", .start = start, .withdraw = withdraw };

skua_op *skua_broadcast_receive_prepare(skua_broadcast_op *op, skua_broadcast_receiver *receiver, void *value)
{
    op->value = value;
    return skuai_op_prepare(&op->op, &kind, receiver);
}
skua_op *skua_broadcast_receive_start(skua_broadcast_op *op, skua_broadcast_receiver *receiver, void *value)
{
    struct skuai_worker *worker = skuai_worker_self();
    int64_t rc = skuai_start_may_be_done(worker) ? read_fast(receiver, value, 1) : -EAGAIN;
    if (rc != -EAGAIN)
        return skuai_start_paid(worker, skuai_start_done(&op->op, &kind, rc));
    return skuai_op_start(skua_broadcast_receive_prepare(op, receiver, value));
}

int64_t skua_broadcast_try_receive_many(skua_broadcast_receiver *receiver, void *values, size_t max)
{
    return max != 0 ? read_fast(receiver, values, max) : -EINVAL;
}
int skua_broadcast_try_receive(skua_broadcast_receiver *receiver, void *value)
{
    return (int)read_fast(receiver, value, 1);
}

int64_t skua_broadcast_receive_many(skua_broadcast_receiver *receiver, void *values, size_t max)
{
    struct skuai_worker *worker = skuai_worker_self();
    int64_t rc = skuai_call_begin(worker, kind.name);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (SKUAI_UNLIKELY(max == 0))
        return -EINVAL;
    rc = read_fast(receiver, values, max);
    if (SKUAI_LIKELY(rc != -EAGAIN))
        return skuai_call_end(worker, rc);
    skua_broadcast_op op;
    return skuai_call(skua_broadcast_receive_prepare(&op, receiver, values));
}

int skua_broadcast_receive(skua_broadcast_receiver *receiver, void *value)
{
    return (int)skua_broadcast_receive_many(receiver, value, 1);
}

int skua_broadcast_receive_until(skua_broadcast_receiver *receiver, void *value, uint64_t instant_ns)
{
    skua_broadcast_op op;
    return (int)skuai_call_until(skua_broadcast_receive_prepare(&op, receiver, value), instant_ns);
}
