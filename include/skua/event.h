/* Events: something has happened, or has not yet.
 *
 *     static skua_event ready = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL);
 *     …                                             skua_event_wait(&ready);
 *     skua_event_set(&ready);                       // all who wait go on, and all who come
 *
 * A manual one stays set until it is reset. An automatic one lets exactly one waiter go on for each time it is set, and
 * stays set if nobody waits: a set that nobody was there for is not lost, two of them are one.
 */
#ifndef SKUA_EVENT_H
#define SKUA_EVENT_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* Whom a set lets go on. */
enum skua_event_kind {
    SKUA_EVENT_MANUAL, /* stays set until it is reset */
    SKUA_EVENT_AUTO    /* lets one waiter go on for each time it is set */
};

/* In the caller's memory, which must stay until nobody uses it. Who has got 0 from a wait may free it if nobody else
 * will call: the set that let him go on is over as far as this memory is concerned. Fields belong to the runtime. */
typedef struct skua_event {
    skua_word32 lock;
    skua_word32 is_set;
    uint32_t kind;
    skua_waiters waiters;
    void *reserved[2];
} skua_event;

/* Not set. */
#define SKUA_EVENT_INIT(kind) { { 0 }, { 0 }, (kind), { 0, 0 }, { 0, 0 } }

/* Not set. Threads: by whoever has the memory. */
SKUA_API void skua_event_init(skua_event *event, enum skua_event_kind kind);

/* Sets it. Threads: any. Blocks: never. What was done before is seen by who goes on because of it. */
SKUA_API void skua_event_set(skua_event *event);
/* Takes back what was set and has not been waited for. Threads: any. Blocks: never. Returns whether it was set. */
SKUA_API bool skua_event_reset(skua_event *event);
/* Whether it is set at the moment. It may be, and the call that has set it be under way. Threads: any. Blocks:
 * never. */
SKUA_API bool skua_event_is_set(const skua_event *event);

/* Waits until it is set, and if it is automatic resets it. Waiters of an automatic one are served in order.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: an automatic event has not been reset by this call.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). */
SKUA_API int skua_event_wait(skua_event *event);
SKUA_API int skua_event_wait_until(skua_event *event, uint64_t instant_ns);
/* Without waiting: 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_event_try_wait(skua_event *event);
SKUA_API skua_op *skua_event_wait_start(skua_op *op, skua_event *event);
SKUA_API skua_op *skua_event_wait_prepare(skua_op *op, skua_event *event);

SKUA_END_DECLS

#endif
