/* Wait groups: waiting until so many things are done.
 *
 *     skua_wait_group left = SKUA_WAIT_GROUP_INIT(0);
 *     for (…) {
 *         skua_wait_group_add(&left, 1);               // before it starts
 *         start(…);                                    // … at its end: skua_wait_group_done(&left);
 *     }
 *     skua_wait_group_wait(&left);
 *
 * Only a count: who wants results, failures and cancellation wants a group. Several may wait. When it has come to 0 it
 * may be used again, and who has waited may free it.
 */
#ifndef SKUA_WAIT_GROUP_H
#define SKUA_WAIT_GROUP_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* The most that can be left to be done at a time. */
#define SKUA_WAIT_GROUP_MAX (UINT64_MAX >> 1)

/* In the caller's memory, which must stay until nobody uses it: who has got 0 from a wait is the last, unless others
 * wait too. Fields belong to the runtime. */
typedef struct skua_wait_group {
    skua_word64 word;
    skua_word32 lock;
    skua_waiters waiters;
    void *reserved[2];
} skua_wait_group;

/* With so many to be done to begin with. */
#define SKUA_WAIT_GROUP_INIT(count) { { (uint64_t)(count) << 1 }, { 0 }, { 0, 0 }, { 0, 0 } }
/* Threads: by whoever has the memory. */
SKUA_API void skua_wait_group_init(skua_wait_group *group, uint64_t count);

/* So many more are to be done. Add before whoever is to be waited for can be done, and before a wait that is to wait
 * for them. Threads: any. Blocks: never. More than SKUA_WAIT_GROUP_MAX is misuse, and has no effect. */
SKUA_API void skua_wait_group_add(skua_wait_group *group, uint64_t count);
/* One is done; the last wakes who waits. What was done before is seen by who goes on because of it.
 * Threads: any. Blocks: never. More than were added is misuse, and has no effect. */
SKUA_API void skua_wait_group_done(skua_wait_group *group);
/* How many are to be done at the moment. Threads: any. */
SKUA_API uint64_t skua_wait_group_count(const skua_wait_group *group);

/* Waits until none is left to be done. Who waits goes on when that is so, even if more are added right after.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened; some may be left to be done, and will touch the group.
 * Returns: 0; -ECANCELED; -ETIMEDOUT (by the instant, or a deadline around it). */
SKUA_API int skua_wait_group_wait(skua_wait_group *group);
SKUA_API int skua_wait_group_wait_until(skua_wait_group *group, uint64_t instant_ns);
/* Without waiting: 0 as above, or -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_wait_group_try_wait(skua_wait_group *group);
SKUA_API skua_op *skua_wait_group_wait_start(skua_op *op, skua_wait_group *group);
SKUA_API skua_op *skua_wait_group_wait_prepare(skua_op *op, skua_wait_group *group);

SKUA_END_DECLS

#endif
