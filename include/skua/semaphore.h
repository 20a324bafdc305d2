/* Semaphores: so many permits, taken and given back by anybody.
 *
 *     static skua_semaphore connections = SKUA_SEMAPHORE_INIT(100);
 *     …
 *     if ((rc = skua_semaphore_acquire(&connections, 1)) == 0) {
 *         …
 *         skua_semaphore_release(&connections, 1);
 *     }
 *
 * Fair: who comes first is served first, and a large request at the head is not overtaken by small ones behind it. Who
 * has acquired every permit that the other users will ever release may free the memory: their calls are over by then.
 */
#ifndef SKUA_SEMAPHORE_H
#define SKUA_SEMAPHORE_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* The most permits there can be at a time. */
#define SKUA_SEMAPHORE_MAX (UINT64_MAX >> 2)

/* In the caller's memory, which must stay until nobody uses it. Fields belong to the runtime. */
typedef struct skua_semaphore {
    skua_word64 word;
    skua_word32 lock;
    skua_waiters waiters;
    void *reserved[2];
} skua_semaphore;

/* An acquisition that waits; `result` is what skua_semaphore_acquire() returns. Other fields belong to the runtime. */
typedef struct skua_semaphore_op {
    SKUA_OP_HEADER;
    uint64_t permits;
} skua_semaphore_op;

/* With so many permits to begin with, at most SKUA_SEMAPHORE_MAX. */
#define SKUA_SEMAPHORE_INIT(permits) { { (uint64_t)(permits) << 2 }, { 0 }, { 0, 0 }, { 0, 0 } }
/* Threads: by whoever has the memory. */
SKUA_API void skua_semaphore_init(skua_semaphore *semaphore, uint64_t permits);

/* Takes `permits` at once, all or none. What was done before they were released is seen.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened: no permit was taken, and the place in the line is given up,
 *   so that who waits behind it goes on if there is enough for him.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it); -EPIPE (closed); -EINVAL (more than
 *   there can be). */
SKUA_API SKUA_NODISCARD int skua_semaphore_acquire(skua_semaphore *semaphore, uint64_t permits);
SKUA_API SKUA_NODISCARD int skua_semaphore_acquire_until(skua_semaphore *semaphore, uint64_t permits,
                                                         uint64_t instant_ns);
/* Without waiting: 0, -EPIPE or -EINVAL as above, or -EAGAIN: there are too few, or others wait. Also where nothing may
 * wait. */
SKUA_API SKUA_NODISCARD int skua_semaphore_try_acquire(skua_semaphore *semaphore, uint64_t permits);
SKUA_API skua_op *skua_semaphore_acquire_start(skua_semaphore_op *op, skua_semaphore *semaphore, uint64_t permits);
SKUA_API skua_op *skua_semaphore_acquire_prepare(skua_semaphore_op *op, skua_semaphore *semaphore, uint64_t permits);

/* Gives back permits, or adds new ones; not necessarily by who took them. Threads: any. Blocks: never. More than there
 * can be is misuse, and has no effect. */
SKUA_API void skua_semaphore_release(skua_semaphore *semaphore, uint64_t permits);
/* Takes up to `permits` of those that are free for good, before those who wait. Threads: any. Blocks: never.
 * Returns how many. */
SKUA_API uint64_t skua_semaphore_forget(skua_semaphore *semaphore, uint64_t permits);
/* How many are free at the moment. They may be too few for who waits. Threads: any. */
SKUA_API uint64_t skua_semaphore_available(const skua_semaphore *semaphore);

/* From now on nobody gets a permit: who waits, and who comes, gets -EPIPE. Releasing still works.
 * Threads: any. Blocks: never. Again is the same as once. */
SKUA_API void skua_semaphore_close(skua_semaphore *semaphore);

SKUA_END_DECLS

#endif
