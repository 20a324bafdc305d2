/* Select: waiting for several operations, of which exactly one takes effect.
 *
 *     skua_channel_op in;
 *     skua_sleep_op late;
 *     switch (SKUA_SELECT(skua_receive_prepare(&in, requests, &request), skua_sleep_prepare(&late, SKUA_S))) {
 *     case 0: … in.result == 1: a request; 0: no more will come …
 *     case 1: … a second has passed, and no request was taken …
 *     default: … cancelled …
 *     }
 *
 * An arm is any operation in its _prepare form: channel ends, locks, permits, events, joins, sleeps, accepting. The one
 * that takes effect is decided before anything moves, so the others have no effect at all: nothing was received, locked
 * or joined that would have to be given back. (Connecting is another matter: others may see it begin; socket.h.) Its
 * result is in its op; the others' results say nothing. Arms may be selected on again as they are (a sleep's end was
 * fixed when it was prepared). Hundreds of arms are fine; each costs a short lock. Nothing is allocated. An arm that
 * sends and one that receives, on one channel in one select, do not meet.
 */
#ifndef SKUA_SELECT_H
#define SKUA_SELECT_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* Waits until one arm takes effect. If several could at once, a random one does.
 * Threads: fibers and jobs (suspended); threads outside the runtime (blocked). In a future: skua_select_start().
 * Cancel: -ECANCELED or -ETIMEDOUT: no arm has taken effect.
 * Returns: the arm's index; -ECANCELED; -ETIMEDOUT; -EINVAL (no arms, or an op that cannot be one). */
SKUA_API int64_t skua_select(skua_op *const *arms, size_t count);

/* The same, but if several could take effect at once the first of them does. */
SKUA_API int64_t skua_select_biased(skua_op *const *arms, size_t count);

/* Does not wait: -EAGAIN if no arm could take effect at once. Otherwise as skua_select(), of which this is the form
 * with a default arm. Also in futures and wherever nothing may wait. */
SKUA_API int64_t skua_select_try(skua_op *const *arms, size_t count);

/* Waits until an instant at most. Returns also: -ETIMEDOUT. */
SKUA_API int64_t skua_select_until(skua_op *const *arms, size_t count, uint64_t instant_ns);

#ifndef __cplusplus
/* skua_select() of these ops. */
#define SKUA_SELECT(...) \
    skua_select((skua_op *const[]){ __VA_ARGS__ }, sizeof((skua_op *const[]){ __VA_ARGS__ }) / sizeof(skua_op *))
#endif

/* A select as a future, as a member of the frame that awaits it. Fields belong to the runtime. */
typedef struct skua_selection {
    SKUA_FRAME;
    skua_op *const *arms;
    uint32_t count;
    uint32_t started; /* so many arms, from `first` on */
    uint32_t first;
    uint32_t biased;
    skua_word32 decided; /* these two are what arms share (sched/op.h) */
    uint64_t number;
    uint32_t has_steps; /* some arm is one in steps (sched/steps.h) */
    uint32_t reserved32;
    void *reserved[1];
} skua_selection;

/* For SKUA_AWAIT; SKUA_RESULT(&selection) is what skua_select() returns. The array of arms must live as long. */
SKUA_API skua_frame *skua_select_start(skua_selection *selection, skua_op *const *arms, size_t count);
SKUA_API skua_frame *skua_select_biased_start(skua_selection *selection, skua_op *const *arms, size_t count);

SKUA_END_DECLS

#endif
