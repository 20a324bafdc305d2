/* Notifications: "look again". Nothing is carried but the fact.
 *
 *     for (;;) {
 *         while ((job = take_from(&queue)) != NULL)      put_into(&queue, job);
 *             work_on(job);                              skua_notify_one(&more);
 *         if (skua_notify_wait(&more) < 0)
 *             break;
 *     }
 *
 * skua_notify_one() is for one waiter; if nobody waits it is kept for the next who comes, but two of them are still
 * one. One that a waiter has got is his: a select takes it only with the arm that takes effect, and a wait that ends
 * with an error has left it to others. skua_notify_all() is for all who wait at that moment, and for nobody later.
 *
 * A wait counts from its start. So nothing is missed by who starts one, then looks, and then awaits it:
 *
 *     skua_notify_wait_start(&op, &changed);
 *     if (is_ready())
 *         skua_op_cancel(&op);                 // may be too late: then the result is 0, and a notify_one was got
 *     rc = skua_await(&op);
 */
#ifndef SKUA_NOTIFY_H
#define SKUA_NOTIFY_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, which must stay until nobody uses it: a wait that has returned is over, and so is the call
 * that ended it as far as this memory is concerned. Fields belong to the runtime. */
typedef struct skua_notify {
    skua_word32 lock;
    skua_word32 kept;
    skua_waiters waiters;
    void *reserved[2];
} skua_notify;

/* With nothing kept. */
#define SKUA_NOTIFY_INIT { { 0 }, { 0 }, { 0, 0 }, { 0, 0 } }
/* Threads: by whoever has the memory. */
SKUA_API void skua_notify_init(skua_notify *notify);

/* Notifies the waiter who has waited longest, or keeps it for the next; or all who wait: see above.
 * Threads: any. Blocks: never. What was done before is seen by who goes on because of it. */
SKUA_API void skua_notify_one(skua_notify *notify);
SKUA_API void skua_notify_all(skua_notify *notify);

/* Waits to be notified. Waiters get skua_notify_one() in order.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: no notification was got.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). */
SKUA_API int skua_notify_wait(skua_notify *notify);
SKUA_API int skua_notify_wait_until(skua_notify *notify, uint64_t instant_ns);
/* Without waiting: 0 if a notification was kept, which is got by this; or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_notify_try_wait(skua_notify *notify);
SKUA_API skua_op *skua_notify_wait_start(skua_op *op, skua_notify *notify);
SKUA_API skua_op *skua_notify_wait_prepare(skua_op *op, skua_notify *notify);

SKUA_END_DECLS

#endif
