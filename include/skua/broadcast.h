/* Broadcasts: each value goes to every receiver.
 *
 *     skua_broadcast *news;
 *     skua_broadcast_create(&news, sizeof(struct event), 1024);
 *     …                                                  skua_broadcast_receiver mine;
 *     skua_broadcast_send(news, &event);                 skua_broadcast_subscribe(news, &mine);
 *     …                                                  while (skua_broadcast_receive(&mine, &event) == 1)
 *     skua_broadcast_close(news);                            handle(&event);
 *                                                        skua_broadcast_unsubscribe(&mine);
 *
 * A receiver gets every value that is sent after it has subscribed, in order. Senders never wait: the last so many
 * values are kept, and a receiver that falls further behind misses the oldest. It is told so, and exactly how many they
 * were, before it goes on with the oldest that is kept. Values are bytes, copied to each receiver; who sends pointers
 * sees to it that what they point to lives long enough for all, and for those who miss it.
 */
#ifndef SKUA_BROADCAST_H
#define SKUA_BROADCAST_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* On the heap; made by skua_broadcast_create(). */
typedef struct skua_broadcast skua_broadcast;

/* A place in the sequence of values, in the receiver's memory, used by one at a time. Nobody but its user touches it,
 * but for a sender while he waits. Fields belong to the runtime. */
typedef struct skua_broadcast_receiver {
    skua_broadcast *from;
    uint64_t next;
    uint64_t missed;
    void *reserved[1];
} skua_broadcast_receiver;

/* For values of this size, which may be 0, of which the last `capacity` are kept, or a few more: it is rounded up to a
 * power of two. All memory is taken here. Threads: any. Returns: 0; -ENOMEM; -EINVAL (no capacity). */
SKUA_API SKUA_NODISCARD int skua_broadcast_create(skua_broadcast **broadcast, size_t value_size, size_t capacity);
/* Threads: any, when nobody else uses it: who has got the end from the only receiver left may, for one. NULL is fine.
 * Returns: 0; -EBUSY (somebody is subscribed: misuse, which is reported; it is not freed). */
SKUA_API int skua_broadcast_destroy(skua_broadcast *broadcast);

/* Sends a value to all who are subscribed; those who wait are woken.
 * Threads: any, also several at once: all receivers get their values in the same order. Blocks: never. Cancel:
 *   cannot be.
 * Returns: 0; -EPIPE (closed: nothing was sent). */
SKUA_API int skua_broadcast_send(skua_broadcast *broadcast, const void *value);
/* Ends it: receivers get what was sent, and then the end. Again is the same as once. Threads: any. Blocks: never. */
SKUA_API void skua_broadcast_close(skua_broadcast *broadcast);
/* How many are subscribed at the moment. Threads: any. */
SKUA_API uint64_t skua_broadcast_receivers(const skua_broadcast *broadcast);

/* Begins, or ends, with the value that is sent next. Threads: any. Blocks: never. */
SKUA_API void skua_broadcast_subscribe(skua_broadcast *broadcast, skua_broadcast_receiver *receiver);
SKUA_API void skua_broadcast_unsubscribe(skua_broadcast_receiver *receiver);

/* A receive that waits; `result` is what skua_broadcast_receive() returns. Other fields belong to the runtime. */
typedef struct skua_broadcast_op {
    SKUA_OP_HEADER;
    void *value;
} skua_broadcast_op;

/* Receives the next value.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: no value was taken, and the place in the sequence is as
 *   it was.
 * Returns: 1, a value; 0, the end: closed, and all received; -EOVERFLOW: the receiver was too far behind, and the
 *   skua_broadcast_missed() next values are gone, the call after this one gets the first that is kept; -ECANCELED;
 *   -ETIMEDOUT (by the instant, or a deadline around it). After -EOVERFLOW *value is indeterminate, after all others
 *   but 1 it is as it was. */
SKUA_API int skua_broadcast_receive(skua_broadcast_receiver *receiver, void *value);
SKUA_API int skua_broadcast_receive_until(skua_broadcast_receiver *receiver, void *value, uint64_t instant_ns);
/* Without waiting: as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_broadcast_try_receive(skua_broadcast_receiver *receiver, void *value);
SKUA_API skua_op *skua_broadcast_receive_start(skua_broadcast_op *op, skua_broadcast_receiver *receiver, void *value);
SKUA_API skua_op *skua_broadcast_receive_prepare(skua_broadcast_op *op, skua_broadcast_receiver *receiver, void *value);
/* What is there, up to `max` values, one after the other; waits for the first only. Returns how many, or as above, with
 * the values indeterminate after -EOVERFLOW; -EINVAL if `max` is 0. */
SKUA_API int64_t skua_broadcast_receive_many(skua_broadcast_receiver *receiver, void *values, size_t max);
/* Without waiting: as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int64_t skua_broadcast_try_receive_many(skua_broadcast_receiver *receiver, void *values, size_t max);

/* How many values were missed when -EOVERFLOW was last returned. By the receiver's user. */
SKUA_API uint64_t skua_broadcast_missed(const skua_broadcast_receiver *receiver);
/* How many have been sent that it has not received; they may be more than are kept. By the receiver's user. */
SKUA_API uint64_t skua_broadcast_pending(const skua_broadcast_receiver *receiver);

SKUA_END_DECLS

#endif
