/* Watches: the latest value, and waiting for a later one.
 *
 *     skua_watch *settings;
 *     skua_watch_create(&settings, sizeof(struct settings), &initial);
 *     …                                                   uint64_t seen = 0;
 *     skua_watch_set(settings, &changed);                 while (skua_watch_changed(settings, &seen, &now) == 1)
 *     …                                                       apply(&now);
 *     skua_watch_close(settings);
 *
 * Each value that is set has a version, 1 more than that before it. A reader says which version it has seen; values
 * that were set and replaced in between it does not see. Readers need no handle, and take no lock.
 */
#ifndef SKUA_WATCH_H
#define SKUA_WATCH_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* On the heap; made by skua_watch_create(). */
typedef struct skua_watch skua_watch;

/* For values of this size, which may be 0. The initial one has version 1; NULL: there is none yet, and the version
 * is 0.
 * Threads: any. Returns: 0; -ENOMEM. */
SKUA_API SKUA_NODISCARD int skua_watch_create(skua_watch **watch, size_t value_size, const void *initial);
/* Threads: any, when nobody else uses it. NULL is fine. Returns: 0; -EBUSY (somebody waits: misuse, which is reported;
 * it is not freed). */
SKUA_API int skua_watch_destroy(skua_watch *watch);

/* Sets the value; who waits is woken, and has it.
 * Threads: any, also several at once. Blocks: never. Cancel: cannot be.
 * Returns: 0; -EPIPE (closed: nothing was set). */
SKUA_API int skua_watch_set(skua_watch *watch, const void *value);
/* The same if the version still is this one: for values that are made from those before them. Returns also: -EAGAIN (it
 * is another by now; nothing was set). */
SKUA_API int skua_watch_set_if(skua_watch *watch, uint64_t version, const void *value);
/* Ends it: nothing more is set, and who has seen the last version gets the end. Again is the same as once.
 * Threads: any.
 * Blocks: never. */
SKUA_API void skua_watch_close(skua_watch *watch);

/* Copies the value out. Threads: any. Blocks: never. Returns its version; 0: there is none yet, *value is as it was. */
SKUA_API uint64_t skua_watch_get(const skua_watch *watch, void *value);
/* The version of the value that it has now; 0: none yet. Threads: any. Blocks: never. */
SKUA_API uint64_t skua_watch_version(const skua_watch *watch);

/* A wait for a change; `result` is what skua_watch_changed() returns. Other fields belong to the runtime. */
typedef struct skua_watch_op {
    SKUA_OP_HEADER;
    uint64_t *seen;
    void *value;
} skua_watch_op;

/* Waits for a version later than *seen, which it sets to that, and copies the value out (NULL: does not).
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: *seen and *value are as they were.
 * Returns: 1; 0, the end: closed, and the last version was seen; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline
 *   around it). *seen and *value change with 1 only. */
SKUA_API int skua_watch_changed(skua_watch *watch, uint64_t *seen, void *value);
SKUA_API int skua_watch_changed_until(skua_watch *watch, uint64_t *seen, void *value, uint64_t instant_ns);
/* Without waiting: 1 or 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_watch_try_changed(skua_watch *watch, uint64_t *seen, void *value);
/* `seen` must stay until the op is done. */
SKUA_API skua_op *skua_watch_changed_start(skua_watch_op *op, skua_watch *watch, uint64_t *seen, void *value);
SKUA_API skua_op *skua_watch_changed_prepare(skua_watch_op *op, skua_watch *watch, uint64_t *seen, void *value);

SKUA_END_DECLS

#endif
