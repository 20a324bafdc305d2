/* Once: something is done by the first who needs it, and everybody else waits until it is done.
 *
 *     static skua_once ready = SKUA_ONCE_INIT;
 *     if ((rc = skua_once_run(&ready, connect_to_database, NULL)) < 0)
 *         return rc;
 *
 * What is to be done may itself wait, and may fail: then it is the next one's, of those who wait or come. So it is when
 * whoever does it is cancelled: what it awaits fails, and it with that.
 *
 * Lazy values are the same with a value: made by the first who gets it.
 *
 *     static skua_lazy database = SKUA_LAZY_INIT;
 *     rc = skua_lazy_get(&database, connect_to_database, NULL, &connection);
 */
#ifndef SKUA_ONCE_H
#define SKUA_ONCE_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* Zero, static, or in the caller's memory, which must stay until nobody uses it. Fields belong to the runtime. */
typedef struct skua_once {
    skua_word32 lock;
    skua_word32 state;
    skua_waiters waiters;
    skua_wordptr runner;
    void *reserved[1];
} skua_once;

/* Not done. */
#define SKUA_ONCE_INIT { { 0 }, { 0 }, { 0, 0 }, { 0 }, { 0 } }

/* Calls fn(arg) unless it is done, or waits for whoever does. A result that is not negative makes it done for good.
 * What it has done is seen by all who get 0.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures skua_once_enter_start().
 * Cancel: at -ECANCELED or -ETIMEDOUT fn has not been called by this call, or has returned that: it is not done.
 * Returns: 0: it is done; the error that fn has returned here; -ECANCELED; -ETIMEDOUT; -EDEADLK (fn itself waits for
 *   its own end: misuse, which is reported). */
SKUA_API int skua_once_run(skua_once *once, int (*fn)(void *arg), void *arg);
/* Whether it is done. If so, what was done is seen. Threads: any. Blocks: never. */
SKUA_API bool skua_once_is_done(const skua_once *once);

/* The two halves, for futures and selects. Whoever gets 1 from entering does it, and must leave, and say whether it is
 * done; until then all others wait. 0: it is done already.
 * Threads, cancel: as skua_once_run(). At an error nothing has happened. Returns: 1; 0; -ECANCELED; -ETIMEDOUT. */
SKUA_API int skua_once_enter(skua_once *once);
SKUA_API int skua_once_enter_until(skua_once *once, uint64_t instant_ns);
/* Without waiting: 1 or 0 as above, or -EAGAIN: somebody does it. Also where nothing may wait. */
SKUA_API int skua_once_try_enter(skua_once *once);
SKUA_API skua_op *skua_once_enter_start(skua_op *op, skua_once *once);
SKUA_API skua_op *skua_once_enter_prepare(skua_op *op, skua_once *once);
/* Done: all go on. Not done: the next does it. By who has entered (misuse otherwise). Threads: any. Blocks: never. */
SKUA_API void skua_once_leave(skua_once *once, bool done);

/* A value that is made when it is first wanted. Zero, static, or in the caller's memory. Fields belong to the
 * runtime. */
typedef struct skua_lazy {
    skua_once once;
    void *value;
} skua_lazy;

/* Not made. */
#define SKUA_LAZY_INIT { SKUA_ONCE_INIT, 0 }

/* Gets the value, made by make(&value, arg) if nobody has made it. Otherwise as skua_once_run(); *value changes with 0
 * only. */
SKUA_API int skua_lazy_get(skua_lazy *lazy, int (*make)(void **value, void *arg), void *arg, void **value);
/* The value, or NULL if it is not made. Threads: any. Blocks: never. For destroying it at the end, too. */
SKUA_API void *skua_lazy_peek(const skua_lazy *lazy);

SKUA_END_DECLS

#endif
