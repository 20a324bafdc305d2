/* Condition variables: wait inside a mutex for what others change there.
 *
 *     int rc = skua_mutex_lock(&guard);
 *     while (rc == 0 && list == NULL)
 *         rc = skua_cond_wait(&filled, &guard);     // locked again whatever it returns
 *     …
 *     skua_mutex_unlock(&guard);
 *
 * The mutex is left while waiting and is locked again before the call returns, always, also at an error, whether or not
 * the caller is cancelled meanwhile: who comes out holds it as he held it going in. Wait in a loop around your own
 * condition: others may have been there first. Not as an arm of a select, which would have to lock what it did not wait
 * for: use an event or a channel.
 */
#ifndef SKUA_COND_H
#define SKUA_COND_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/mutex.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* In the caller's memory, which must stay until nobody waits. Fields belong to the runtime. */
typedef struct skua_cond {
    skua_word32 lock;
    skua_waiters waiters;
    void *reserved[2];
} skua_cond;

/* That nobody waits for. */
#define SKUA_COND_INIT { { 0 }, { 0, 0 }, { 0, 0 } }

/* Threads: by whoever has the memory. */
SKUA_API void skua_cond_init(skua_cond *cond);
/* Before its memory goes away: reports misuse if somebody waits. Not needed otherwise. */
SKUA_API void skua_cond_fini(skua_cond *cond);

/* Leaves the mutex, which the caller holds, waits for a signal, and locks the mutex again. A signal that comes after
 * the mutex was left is not missed. Waiters of one condition may come with several mutexes.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT the mutex is locked (again), and no signal was used up by this call. If a signal
 *   and a cancellation meet, either the call returns 0 or the signal goes to another waiter.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). */
SKUA_API SKUA_NODISCARD int skua_cond_wait(skua_cond *cond, skua_mutex *mutex) SKUA_REQUIRES(*mutex);
SKUA_API SKUA_NODISCARD int skua_cond_wait_until(skua_cond *cond, skua_mutex *mutex, uint64_t instant_ns)
    SKUA_REQUIRES(*mutex);

/* Lets one waiter go on, the oldest, or all of them; nothing if nobody waits. Best called with the mutex held, or right
 * after it was left. Threads: any. Blocks: never. */
SKUA_API void skua_cond_signal(skua_cond *cond);
SKUA_API void skua_cond_broadcast(skua_cond *cond);

/* The wait as a future, as a member of the frame that awaits it. Fields belong to the runtime. */
typedef struct skua_cond_waiting {
    SKUA_FRAME;
    struct {
        skua_cond *cond;
        skua_mutex *mutex;
    } in;
    skua_op op;
    skua_scope shield;
    int64_t outcome;
    void *reserved[2];
} skua_cond_waiting;

/* For SKUA_AWAIT; SKUA_RESULT(&waiting) is what skua_cond_wait() returns. */
SKUA_API skua_frame *skua_cond_wait_start(skua_cond_waiting *waiting, skua_cond *cond, skua_mutex *mutex);

SKUA_END_DECLS

#endif
