/* Channels: values go in at one end and come out at the other, in order.
 *
 *     skua_channel *jobs;
 *     skua_channel_create(&jobs, sizeof(struct job), 128);
 *     …                                              struct job job;
 *     skua_send(jobs, &job);                         while (skua_receive(jobs, &job) == 1)
 *     skua_channel_close(jobs);                          work_on(&job);
 *
 * Any number may send and receive: fibers, futures, jobs, threads outside the runtime. A value is so many bytes, copied
 * in and out; each is received exactly once, and those of one sender in the order in which it sent them. Pointers are
 * values like others: what they point to goes with them (SKUA_SEND_OWNED takes the sender's away). Types are checked at
 * compile time by skua/typed_channel.h.
 *
 * The capacity says how far senders may be ahead: n values; SKUA_UNBOUNDED, as far as there is memory; 0, not at all: a
 * send waits for its receiver (rendezvous). Waiting senders are served in order, and so are waiting receivers.
 *
 * Either end may close it. What it holds by then is still received; after that receivers get the end. Senders get
 * -EPIPE, those that wait, too, and keep their value.
 *
 * A call that has returned, or an op that is done, does not touch the channel any more. So whoever knows that nobody
 * will call again may destroy it: a receiver, for one, that has got the last value of the last sender.
 */
#ifndef SKUA_CHANNEL_H
#define SKUA_CHANNEL_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* On the heap; made by skua_channel_create(). */
typedef struct skua_channel skua_channel;

/* As a capacity: as far as there is memory. */
#define SKUA_UNBOUNDED SIZE_MAX

/* A channel for values of this size, which may be 0: then only their number matters. A bounded channel's memory is
 * taken here, and nothing later; an unbounded one's as it grows, and given back as it is drained, but for some KiB.
 * Threads: any. Blocks: never. Returns: 0; -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_channel_create(skua_channel **channel, size_t value_size, size_t capacity);

/* Frees it. Values that it still holds are gone: receive them first if they own something. NULL is fine.
 * Threads: any, when nobody else uses it. Blocks: never.
 * Returns: 0; -EBUSY (somebody waits in it: misuse, which is reported; it is not freed). */
SKUA_API int skua_channel_destroy(skua_channel *channel);

/* From now on nothing more can be sent; see above. A second close does nothing: whichever end is done first may close.
 * Threads: any. Blocks: never. Cancel: cannot be. */
SKUA_API void skua_channel_close(skua_channel *channel);
/* Whether somebody has closed it. It may still hold values. Threads: any. Blocks: never. */
SKUA_API bool skua_channel_is_closed(const skua_channel *channel);

/* How many values it holds: those of waiting senders do not count. While others use it that is an estimate, of 0 to its
 * capacity. Threads: any. Blocks: never. */
SKUA_API size_t skua_channel_length(const skua_channel *channel);
/* As given to create. */
SKUA_API size_t skua_channel_capacity(const skua_channel *channel);
/* How large a value is, as given to create. */
SKUA_API size_t skua_channel_value_size(const skua_channel *channel);

/* A send or a receive that waits; `op.result` (or `result`) is what the straight-line call returns. Other fields belong
 * to the runtime. */
typedef struct skua_channel_op {
    SKUA_OP_HEADER;
    void *value; /* where the value is, or goes */
    void *reserved[1];
} skua_channel_op;

/* Sends a value: copies it to a waiting receiver or into the channel; waits while the channel is full (of capacity 0:
 * until a receiver comes).
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: the value was not sent, and nobody will receive it.
 * Returns: 0; -EPIPE (closed); -ENOMEM (unbounded, and it could not grow): after both the value was not sent;
 *   -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). */
SKUA_API int skua_send(skua_channel *channel, const void *value);
SKUA_API int skua_send_until(skua_channel *channel, const void *value, uint64_t instant_ns);
/* Without waiting: 0, -EPIPE or -ENOMEM as above, or -EAGAIN (full, or nobody to receive it). Also where nothing may
 * wait. */
SKUA_API int skua_try_send(skua_channel *channel, const void *value);
/* The value must stay until the op is done: nothing is copied before. */
SKUA_API skua_op *skua_send_start(skua_channel_op *op, skua_channel *channel, const void *value);
SKUA_API skua_op *skua_send_prepare(skua_channel_op *op, skua_channel *channel, const void *value);

/* Receives the next value into `value`; waits while there is none.
 * Threads: as skua_send().
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: no value was taken.
 * Returns: 1, a value; 0, the end: it is closed and empty; -ECANCELED; -ETIMEDOUT. *value changes with 1 only. */
SKUA_API int skua_receive(skua_channel *channel, void *value);
SKUA_API int skua_receive_until(skua_channel *channel, void *value, uint64_t instant_ns);
/* Without waiting: 1 or 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_try_receive(skua_channel *channel, void *value);
SKUA_API skua_op *skua_receive_start(skua_channel_op *op, skua_channel *channel, void *value);
SKUA_API skua_op *skua_receive_prepare(skua_channel_op *op, skua_channel *channel, void *value);

/* Sends `count` values that lie one after the other, in order, and waits as skua_send() does. Others' may come between.
 * Threads: as skua_send().
 * Cancel: what has been sent is sent: the values after it were not.
 * Returns: how many were sent: less than `count` if it was closed, cancelled, late or without memory meanwhile, which
 *   the next call then returns; if none was, -EPIPE, -ENOMEM, -ECANCELED or -ETIMEDOUT. */
SKUA_API int64_t skua_send_many(skua_channel *channel, const void *values, size_t count);
/* Without waiting: likewise, or -EAGAIN if none could be sent. Also where nothing may wait. */
SKUA_API int64_t skua_try_send_many(skua_channel *channel, const void *values, size_t count);

/* Receives what is there, up to `max` values; waits for the first only.
 * Threads: as skua_receive(). Cancel: as skua_receive().
 * Returns: how many, at least 1 (if `max` is); 0, the end; -ECANCELED; -ETIMEDOUT. */
SKUA_API int64_t skua_receive_many(skua_channel *channel, void *values, size_t max);
/* Without waiting: likewise, or -EAGAIN. Also where nothing may wait. In a future: skua_receive_start() for the first,
 * and this for the others. */
SKUA_API int64_t skua_try_receive_many(skua_channel *channel, void *values, size_t max);

/* One after the other until the end, or until the task is cancelled or late; `break` and `continue` are fine. Which it
 * was is in `rc`, an int: 0, -ECANCELED or -ETIMEDOUT (1 after a break).
 *
 *     int rc;
 *     SKUA_RECEIVE_EACH(rc, jobs, &job)
 *         work_on(&job);
 */
#define SKUA_RECEIVE_EACH(rc, channel, value) while (((rc) = skua_receive((channel), (value))) == 1)

SKUA_END_DECLS

#endif
