/* Read-write locks: many readers, or one writer.
 *
 *     static skua_rwlock table_lock = SKUA_RWLOCK_INIT;
 *     int rc = skua_rwlock_read_lock(&table_lock);
 *     if (rc != 0)
 *         return rc;
 *     … reads …
 *     skua_rwlock_read_unlock(&table_lock);
 *
 * Phase-fair: while a writer waits, readers who come wait too, and when a writer leaves all readers who wait by then go
 * before the next writer. So a writer waits for the readers that are inside and, per writer ahead of him, for one lot
 * of readers more; a reader waits for one writer at most after those inside have left. Nobody overtakes who waits. (A
 * lock that is mostly written wants a mutex, which passes through fewer hands.)
 *
 * For fibers, jobs, futures and threads alike. A reader who reads again while a writer waits, waits for the writer, who
 * waits for him: take it once.
 */
#ifndef SKUA_RWLOCK_H
#define SKUA_RWLOCK_H

#include "skua/base.h"
#include "skua/lock_debug.h"
#include "skua/op.h"
#include "skua/thread_safety.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, which must stay until nobody holds it or waits. Fields belong to the runtime. */
typedef struct SKUA_CAPABILITY("rwlock") skua_rwlock {
    skua_word32 state;
    skua_word32 lock;
    skua_waiters readers, writers;
    skua_lock_identity identity;
    void *reserved[1];
} skua_rwlock;

/* Free. */
#define SKUA_RWLOCK_INIT { { 0 }, { 0 }, { 0, 0 }, { 0, 0 }, SKUAI_LOCK_IDENTITY_INIT, { 0 } }

/* Free. Threads: by whoever has the memory. */
SKUA_API void skua_rwlock_init(skua_rwlock *rwlock);
/* Before its memory goes away: reports misuse if somebody holds it or waits. Not needed otherwise. */
SKUA_API void skua_rwlock_fini(skua_rwlock *rwlock);

/* Wait until it can be had. A billion readers at once are the limit.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start forms.
 * Cancel: at -ECANCELED or -ETIMEDOUT it is not locked.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it); -EDEADLK (debug builds, after a report:
 *   the caller holds it, and not both for reading). */
SKUA_API SKUA_NODISCARD int skua_rwlock_read_lock(skua_rwlock *rwlock) SKUA_ACQUIRES_SHARED_TRY(*rwlock);
SKUA_API SKUA_NODISCARD int skua_rwlock_read_lock_until(skua_rwlock *rwlock, uint64_t instant_ns)
    SKUA_ACQUIRES_SHARED_TRY(*rwlock);
SKUA_API SKUA_NODISCARD int skua_rwlock_write_lock(skua_rwlock *rwlock) SKUA_ACQUIRES_TRY(*rwlock);
SKUA_API SKUA_NODISCARD int skua_rwlock_write_lock_until(skua_rwlock *rwlock, uint64_t instant_ns)
    SKUA_ACQUIRES_TRY(*rwlock);
/* Whether or not the caller is cancelled, as in a shield. */
SKUA_API void skua_rwlock_read_lock_shielded(skua_rwlock *rwlock) SKUA_ACQUIRES_SHARED(*rwlock);
SKUA_API void skua_rwlock_write_lock_shielded(skua_rwlock *rwlock) SKUA_ACQUIRES(*rwlock);
/* Without waiting: 0 or -EAGAIN. Also where nothing may wait, and in a cancelled task. */
SKUA_API SKUA_NODISCARD int skua_rwlock_try_read_lock(skua_rwlock *rwlock) SKUA_ACQUIRES_SHARED_TRY(*rwlock);
SKUA_API SKUA_NODISCARD int skua_rwlock_try_write_lock(skua_rwlock *rwlock) SKUA_ACQUIRES_TRY(*rwlock);
/* For SKUA_AWAIT and select. Results as above. An op that waits makes others wait: await it at once. */
SKUA_API skua_op *skua_rwlock_read_lock_start(skua_op *op, skua_rwlock *rwlock);
SKUA_API skua_op *skua_rwlock_read_lock_prepare(skua_op *op, skua_rwlock *rwlock);
SKUA_API skua_op *skua_rwlock_write_lock_start(skua_op *op, skua_rwlock *rwlock);
SKUA_API skua_op *skua_rwlock_write_lock_prepare(skua_op *op, skua_rwlock *rwlock);

/* Leave it. What a writer did before is seen by all who come after him; what a reader read, writers after him do not
 * change under him. Threads: whoever has locked it, on any thread; also in futures, callbacks and cancelled tasks.
 * Blocks: never. */
SKUA_API void skua_rwlock_read_unlock(skua_rwlock *rwlock) SKUA_RELEASES_SHARED(*rwlock);
SKUA_API void skua_rwlock_write_unlock(skua_rwlock *rwlock) SKUA_RELEASES(*rwlock);
/* From writer to reader, with nobody in between; readers who wait come in, too. Threads and Blocks: as unlocking.
 * (clang's analysis cannot say this: it goes on to take the caller for a writer. Leave by read_unlock, in a function
 * that is marked SKUA_NO_THREAD_SAFETY.) */
SKUA_API void skua_rwlock_downgrade(skua_rwlock *rwlock);

/* Whether somebody writes, or anybody holds it, at the moment. For assertions. */
SKUA_API bool skua_rwlock_is_write_locked(const skua_rwlock *rwlock);
SKUA_API bool skua_rwlock_is_locked(const skua_rwlock *rwlock);
/* Tell clang's analysis that the caller holds it, which a future or a select has locked; misuse if nobody does, or, in
 * debug builds, the caller does not. */
SKUA_API void skua_rwlock_assert_read_held(const skua_rwlock *rwlock) SKUA_ASSERTS_SHARED(*rwlock);
SKUA_API void skua_rwlock_assert_write_held(const skua_rwlock *rwlock) SKUA_ASSERTS(*rwlock);

#if defined(SKUAI_LOCK_PLACES)
#define skua_rwlock_read_lock(rwlock) SKUAI_PLACED(skua_rwlock_read_lock(rwlock))
#define skua_rwlock_read_lock_until(rwlock, instant_ns) SKUAI_PLACED(skua_rwlock_read_lock_until(rwlock, instant_ns))
#define skua_rwlock_read_lock_shielded(rwlock) SKUAI_PLACED(skua_rwlock_read_lock_shielded(rwlock))
#define skua_rwlock_try_read_lock(rwlock) SKUAI_PLACED(skua_rwlock_try_read_lock(rwlock))
#define skua_rwlock_read_lock_start(op, rwlock) SKUAI_PLACED(skua_rwlock_read_lock_start(op, rwlock))
#define skua_rwlock_write_lock(rwlock) SKUAI_PLACED(skua_rwlock_write_lock(rwlock))
#define skua_rwlock_write_lock_until(rwlock, instant_ns) SKUAI_PLACED(skua_rwlock_write_lock_until(rwlock, instant_ns))
#define skua_rwlock_write_lock_shielded(rwlock) SKUAI_PLACED(skua_rwlock_write_lock_shielded(rwlock))
#define skua_rwlock_try_write_lock(rwlock) SKUAI_PLACED(skua_rwlock_try_write_lock(rwlock))
#define skua_rwlock_write_lock_start(op, rwlock) SKUAI_PLACED(skua_rwlock_write_lock_start(op, rwlock))
#endif

SKUA_END_DECLS

#endif
