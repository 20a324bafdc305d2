/* Mutexes: one at a time.
 *
 *     static skua_mutex guard = SKUA_MUTEX_INIT;
 *     int rc = skua_mutex_lock(&guard);
 *     if (rc != 0)
 *         return rc;                                // cancelled, or too late: not locked
 *     … waiting in here is fine, and may go on on another thread …
 *     skua_mutex_unlock(&guard);
 *
 * For fibers, jobs, futures and threads outside of any runtime alike, also for several at one mutex. Whoever waits is
 * suspended or blocked and costs nothing.
 *
 * Who comes to a free mutex takes it, even if others wait: a waiter is woken and has to come by itself, and a lock that
 * went through its hands each time would cost a switch each time. But nobody is overtaken for ever: a waiter who was
 * woken and came in vain gets the mutex from the next unlock. Waiters are woken in order, one at a time. Selects wait
 * in the same order and always get it from an unlock.
 *
 * A mutex may be unlocked by another thread than it was locked on, as fibers move, but belongs to the task (the child
 * of a set, the thread) that locked it. Built with SKUA_DEBUG the library checks this and more: lock_debug.h.
 */
#ifndef SKUA_MUTEX_H
#define SKUA_MUTEX_H

#include "skua/base.h"
#include "skua/lock_debug.h"
#include "skua/op.h"
#include "skua/thread_safety.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, which must stay until nobody holds it or waits. Fields belong to the runtime. */
typedef struct SKUA_CAPABILITY("mutex") skua_mutex {
    skua_word32 state;
    skua_word32 lock;
    skua_waiters waiters;
    skua_lock_identity identity;
    uint32_t turn;
    uint32_t reserved;
} skua_mutex;

/* Unlocked. */
#define SKUA_MUTEX_INIT { { 0 }, { 0 }, { 0, 0 }, SKUAI_LOCK_IDENTITY_INIT, 0, 0 }

/* Unlocked. Threads: by whoever has the memory. */
SKUA_API void skua_mutex_init(skua_mutex *mutex);
/* Before its memory goes away: reports misuse if somebody holds it or waits. Not needed otherwise. */
SKUA_API void skua_mutex_fini(skua_mutex *mutex);

/* Locks it, waiting until it can be had.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT it is not locked.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). Locking it twice in one task is a wait
 *   without end; debug builds report it, and return -EDEADLK. */
SKUA_API SKUA_NODISCARD int skua_mutex_lock(skua_mutex *mutex) SKUA_ACQUIRES_TRY(*mutex);
SKUA_API SKUA_NODISCARD int skua_mutex_lock_until(skua_mutex *mutex, uint64_t instant_ns) SKUA_ACQUIRES_TRY(*mutex);
/* Locks it whether or not the caller is cancelled, as in a shield. For short sections that must be run. */
SKUA_API void skua_mutex_lock_shielded(skua_mutex *mutex) SKUA_ACQUIRES(*mutex);
/* Without waiting: 0, or -EAGAIN: somebody holds it, or it is on its way to somebody who waits for it. Also where
 * nothing may wait, and in a cancelled task. */
SKUA_API SKUA_NODISCARD int skua_mutex_try_lock(skua_mutex *mutex) SKUA_ACQUIRES_TRY(*mutex);
/* For SKUA_AWAIT and select. The result is as of skua_mutex_lock(). As long as the op is not awaited others may have to
 * wait for it: await it at once. */
SKUA_API skua_op *skua_mutex_lock_start(skua_op *op, skua_mutex *mutex);
SKUA_API skua_op *skua_mutex_lock_prepare(skua_op *op, skua_mutex *mutex);

/* Unlocks it. What was done before is seen by whoever locks it next.
 * Threads: whoever has locked it, on any thread; also in futures, callbacks and cancelled tasks. Blocks: never. */
SKUA_API void skua_mutex_unlock(skua_mutex *mutex) SKUA_RELEASES(*mutex);

/* Whether somebody holds it at the moment, for assertions. */
SKUA_API bool skua_mutex_is_locked(const skua_mutex *mutex);
/* Tells clang's analysis that the caller holds it, which a future or a select has locked; debug builds check it. */
SKUA_API void skua_mutex_assert_held(const skua_mutex *mutex) SKUA_ASSERTS(*mutex);

#if defined(SKUAI_LOCK_PLACES)
#define skua_mutex_lock(mutex) SKUAI_PLACED(skua_mutex_lock(mutex))
#define skua_mutex_lock_until(mutex, instant_ns) SKUAI_PLACED(skua_mutex_lock_until(mutex, instant_ns))
#define skua_mutex_lock_shielded(mutex) SKUAI_PLACED(skua_mutex_lock_shielded(mutex))
#define skua_mutex_try_lock(mutex) SKUAI_PLACED(skua_mutex_try_lock(mutex))
#define skua_mutex_lock_start(op, mutex) SKUAI_PLACED(skua_mutex_lock_start(op, mutex))
#define skua_mutex_lock_prepare(op, mutex) SKUAI_PLACED(skua_mutex_lock_prepare(op, mutex))
#endif

SKUA_END_DECLS

#endif
