/* Oneshots: one value from one sender to one receiver. For replies.
 *
 *     struct reply reply;                                     // with the requester
 *     skua_oneshot answer = SKUA_ONESHOT_INIT(&reply, sizeof reply);
 *     skua_send(requests, &(struct request){ …, &answer });   // … skua_oneshot_send(request.answer, &reply);
 *     if (skua_oneshot_receive(&answer, &reply) == 1)
 *         …
 *
 * In the caller's memory, like this, or on the heap (skua_oneshot_create). There are two ends. The sender's is used up
 * by sending, and by closing; the receiver's by closing. On the heap each end is to be used up once, in any order, and
 * the later one frees it. In the caller's memory nothing needs closing: it may go when the receiver has got 1 or 0, or
 * when it has closed and the sender has been told.
 *
 * A value that was sent is never lost: it is received, or handed over by the receiver's close. One that was not sent,
 * because the receiver has gone, is still the sender's.
 */
#ifndef SKUA_ONESHOT_H
#define SKUA_ONESHOT_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, or made by skua_oneshot_create(). Fields belong to the runtime. */
typedef struct skua_oneshot {
    skua_word32 lock;
    skua_word32 state;
    void *place; /* where a value lies that was sent and is not received */
    size_t size;
    skua_op *receiver;
    skua_op *sender;
    uint32_t ends;
    uint32_t on_heap;
    void *reserved[2];
} skua_oneshot;

/* For a value of `size` bytes, which may be 0, that `place` has room for. */
#define SKUA_ONESHOT_INIT(place, size) { { 0 }, { 0 }, (place), (size), 0, 0, 2, 0, { 0, 0 } }
/* Threads: by whoever has the memory. */
SKUA_API void skua_oneshot_init(skua_oneshot *oneshot, void *place, size_t size);
/* On the heap, with room for the value. Threads: any. Returns: 0; -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_oneshot_create(skua_oneshot **oneshot, size_t size);

/* Sends the value, a copy of it, and uses up the sender's end, whatever the result.
 * Threads: any; one, once. Blocks: never. Cancel: cannot be.
 * Returns: 0: it is received, or will be handed over; -EPIPE: the receiver has closed, the value is still the sender's;
 *   -EPERM (its end was used up: misuse, which is reported). */
SKUA_API int skua_oneshot_send(skua_oneshot *oneshot, const void *value);
/* Uses up the sender's end without sending: the receiver gets 0. Threads, blocks, cancel: as sending. */
SKUA_API void skua_oneshot_close_sender(skua_oneshot *oneshot);
/* Waits until the receiver has closed: nobody wants the value any more. By the sender, as long as it has its end. One
 * call at a time.
 * Threads: as skua_oneshot_receive(). Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it); -EBUSY (another call waits). */
SKUA_API int skua_oneshot_unwanted(skua_oneshot *oneshot);
SKUA_API int skua_oneshot_unwanted_until(skua_oneshot *oneshot, uint64_t instant_ns);
/* Without waiting: 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_oneshot_try_unwanted(skua_oneshot *oneshot);
SKUA_API skua_op *skua_oneshot_unwanted_start(skua_op *op, skua_oneshot *oneshot);
SKUA_API skua_op *skua_oneshot_unwanted_prepare(skua_op *op, skua_oneshot *oneshot);

/* A receive that waits; `result` is what skua_oneshot_receive() returns. Other fields belong to the runtime. */
typedef struct skua_oneshot_op {
    SKUA_OP_HEADER;
    void *value;
} skua_oneshot_op;

/* Receives the value into `value`, which may be the oneshot's own place. One call at a time.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: the value, if one was sent, is still there to be received.
 * Returns: 1, the value; 0, the sender has closed and sent none, or it was received before; -ECANCELED; -ETIMEDOUT (by
 *   the instant, or a deadline around it); -EBUSY (another call waits). *value changes with 1 only. */
SKUA_API int skua_oneshot_receive(skua_oneshot *oneshot, void *value);
SKUA_API int skua_oneshot_receive_until(skua_oneshot *oneshot, void *value, uint64_t instant_ns);
/* Without waiting: 1 or 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_oneshot_try_receive(skua_oneshot *oneshot, void *value);
SKUA_API skua_op *skua_oneshot_receive_start(skua_oneshot_op *op, skua_oneshot *oneshot, void *value);
SKUA_API skua_op *skua_oneshot_receive_prepare(skua_oneshot_op *op, skua_oneshot *oneshot, void *value);
/* Uses up the receiver's end: a later send fails. If a value was sent that was not received it is handed over here.
 * Threads: any; one, when no receive is under way. Blocks: never. Cancel: cannot be.
 * Returns: 1, *value (NULL: it is dropped) is what was sent; 0: there was nothing. */
SKUA_API int skua_oneshot_close_receiver(skua_oneshot *oneshot, void *value);

SKUA_END_DECLS

#endif
