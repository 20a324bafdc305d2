/* Groups: structured concurrency. Tasks that are started together, fail together, and are waited for together.
 *
 *     {
 *         SKUA_GROUP(g);                                // a declaration: nothing outlives this block
 *         rc = skua_group_go(&g, fetch, &a);            // fibers
 *         rc = rc < 0 ? rc : SKUA_GROUP_GO(&g, fetch2, .url = b);   // futures
 *         rc = rc < 0 ? rc : (int)skua_group_wait(&g);  // 0, or the first error
 *     }
 *
 * The first member whose result is negative has failed: the others are cancelled, no more are started, and the wait
 * gives its error, when the last of them has ended. Members may start further members, and so may anybody else as long
 * as the group is there. When a wait has returned the group is empty, and as new.
 *
 * A group with members in it must not go away. SKUA_GROUP sees to that: at the end of its block, however that is left,
 * members that have not been waited for are cancelled and waited for. Without it: skua_group_init(), and a wait or
 * skua_group_fini() at the end.
 *
 * A cancelled wait, or one whose deadline has passed, cancels the members, still waits for all of them, and only then
 * returns -ECANCELED or -ETIMEDOUT. So a cancellation goes down a tree of groups, and comes up again when all is over.
 *
 * A *collecting* group (SKUA_GROUP_COLLECT) keeps the results, which skua_group_next() gives in the order of the
 * ends. A *limited* one has so many members at a time, and starting one more waits for a place.
 *
 * A member costs no more memory than another task: nothing is allocated for its membership. Members have no handles;
 * skua_self(), wakers, names and task-locals are theirs as any task's. What a member does is nobody's business before
 * the wait, so what it is given may lie on the waiter's stack.
 *
 * At a runtime's shutdown members are cancelled like all tasks. Those that a shutdown gives up fail with -ESHUTDOWN.
 * Results that a collecting group keeps lie in the runtime's memory: take them before that is destroyed. A thread
 * outside of a simulation cannot wait for members in it, as it is what runs them (-EPERM):
 * skua_block_on() a fiber that does.
 */
#ifndef SKUA_GROUP_H
#define SKUA_GROUP_H

#include "skua/base.h"
#include "skua/future.h"
#include "skua/op.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

/* For skua_group_attr.flags. */
enum skua_group_flag {
    SKUA_GROUP_KEEP_GOING = 1, /* a failure cancels nobody; the wait still gives the first error */
    SKUA_GROUP_COLLECT = 2     /* results are kept for skua_group_next(); what was not taken is dropped by a wait */
};

/* Zero everything not needed. */
typedef struct skua_group_attr {
    skua_runtime *runtime; /* of its members; NULL: that of whoever starts one. For threads outside the runtime */
    uint32_t limit;        /* members at a time; 0: any number */
    uint32_t flags;        /* enum skua_group_flag */
    void *reserved[4];     /* zero */
} skua_group_attr;

/* In the caller's memory, which must stay as long as it has members, or anybody waits. Fields belong to the runtime. */
typedef struct skua_group {
    /* fixed but for the lock, which guards all else */
    const void *kind;
    uint32_t limit;
    uint32_t options;
    skua_runtime *runtime;
    skua_word32 lock;
    uint32_t state;
    uint32_t live;
    uint32_t reserved32;
    skua_task *members;
    uint64_t started;
    int64_t error;
    skua_task *canceled_members;
    uint64_t failed, canceled;
    skua_task *ended_first, *ended_last;
    skua_waiters waiters, takers, spawners;
    void *reserved[4];
} skua_group;

/* For skua_member_attr.flags. */
enum skua_member_flag {
    SKUA_MEMBER_TAGGED = 1,  /* `tag` is set; else a member's tag is how many were started before it */
    SKUA_MEMBER_TRY = 2,     /* do not wait for a place: -EAGAIN */
    SKUA_MEMBER_RESERVED = 4 /* in a place that skua_group_reserve_start() gave; it is used up if the start succeeds */
};

/* How to start a member, beyond the usual. Zero everything not needed. */
typedef struct skua_member_attr {
    const skua_spawn_attr *spawn; /* name, stack size, runtime; or NULL */
    uint64_t tag;                 /* what skua_group_next() tells it by */
    uint32_t flags;               /* enum skua_member_flag */
    uint32_t reserved32;
    void *reserved[2];
} skua_member_attr;

/* An empty group. Threads: by whoever has the memory. */
SKUA_API void skua_group_init(skua_group *group);
/* The same with attributes (NULL: none). */
SKUA_API void skua_group_init_with(skua_group *group, const skua_group_attr *attr);

/* The end of a group that may not have been waited for: drops what a collecting one has kept. That members are still
 * alive is misuse, which debug builds report with their names; they are cancelled and waited for, as SKUA_GROUP does.
 * Threads: as skua_group_wait(). Blocks: only after that misuse, and then whatever the caller's cancellation. */
SKUA_API void skua_group_fini(skua_group *group);

/* ---- starting members ------------------------------------------------------------------------------------------ */

/* Starts a fiber as a member.
 * Threads: any, if the group's runtime is given; tasks of any runtime.
 * Blocks: never, but for a limited group that is full: then it waits for a place. In a future such a wait is misuse;
 *   use skua_group_reserve_start() or SKUA_MEMBER_TRY. A member of a full group that waits for a place in it waits for
 *   the others; if all of them do none ever comes.
 * Cancel: as spawning, it is no await, and a cancelled task can start members; with a limit it is one, and nothing was
 *   started at -ECANCELED or -ETIMEDOUT.
 * Returns: 0; -ECANCELED (the group is cancelled, a member having failed maybe, so nothing was started); errors as of
 *   skua_spawn(). Nothing that failed here counts as a member. */
SKUA_API SKUA_NODISCARD int skua_group_go(skua_group *group, skua_fiber_fn *fn, void *arg);
/* The same without waiting: -EAGAIN if a limited group is full. */
SKUA_API SKUA_NODISCARD int skua_group_try_go(skua_group *group, skua_fiber_fn *fn, void *arg);
/* The same with attributes (NULL: none). Returns also: -EINVAL (SKUA_MEMBER_RESERVED in a group without a limit). */
SKUA_API SKUA_NODISCARD int skua_group_go_with(skua_group *group, const skua_member_attr *attr, skua_fiber_fn *fn,
                                               void *arg);
/* The same with a future: see skua_spawn_frame(). The macro SKUA_GROUP_GO is the usual way. */
SKUA_API SKUA_NODISCARD int skua_group_go_frame(skua_group *group, const skua_member_attr *attr, skua_poll_fn *poll,
                                                size_t size, size_t in_offset, const void *in, size_t in_size);

/* ---- ending ---------------------------------------------------------------------------------------------------- */

/* Cancels all members, and lets no more be started until a wait has returned. A group whose members are cancelled in
 * this way has not failed: its wait gives what a member that failed otherwise returned, or else -ECANCELED.
 * Threads: any, also a member, as long as the group is there. Blocks: never. */
SKUA_API void skua_group_cancel(skua_group *group);

/* Waits until no member is left.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures skua_group_wait_start(). Any
 *   number at a time; those that come when the last member has ended get the result once, and 0 after that.
 * Cancel: at -ECANCELED or -ETIMEDOUT, too, all members have ended: they were cancelled, and waited for.
 * Returns: 0 if none failed, else the first negative result; -ECANCELED if it was cancelled and none failed; -ECANCELED
 *   and -ETIMEDOUT as above; -EDEADLK (by one of its own members; nothing has happened). */
SKUA_API int64_t skua_group_wait(skua_group *group);
/* With a deadline: at that instant the members are cancelled, and when they have ended it returns -ETIMEDOUT. */
SKUA_API int64_t skua_group_wait_until(skua_group *group, uint64_t instant_ns);
/* Without waiting: -EAGAIN if a member is alive, so always in a member. Also where nothing may wait. */
SKUA_API int64_t skua_group_try_wait(skua_group *group);

/* For skua_select() (select.h), and for who wants to be told of the end without being responsible for it: cancelling
 * this wait, or another arm's taking effect, cancels no members. `result` is 0 or the interruption, `value` what
 * skua_group_wait() returns. Also for skua_group_next() (`result` 1, `value`, `tag`; or 0), and places
 * (`result`). */
typedef struct skua_group_op {
    SKUA_OP_HEADER;
    int64_t value; /* of idle: the group's result; of next: the member's */
    uint64_t tag;  /* of next: which member's */
} skua_group_op;
SKUA_API skua_op *skua_group_idle_start(skua_group_op *op, skua_group *group);
SKUA_API skua_op *skua_group_idle_prepare(skua_group_op *op, skua_group *group);

/* The wait as a future, as a member of the frame that awaits it. Fields belong to the runtime. */
typedef struct skua_group_waiting {
    SKUA_FRAME;
    skua_group *group;
    int64_t interruption;
    skua_group_op op;
} skua_group_waiting;

/* For SKUA_AWAIT; SKUA_RESULT(&waiting) is what skua_group_wait() returns, and all that is said there holds. */
SKUA_API skua_frame *skua_group_wait_start(skua_group_waiting *waiting, skua_group *group);

/* ---- results in the order of the ends -------------------------------------------------------------------------- */

/* What skua_group_next() gives. */
typedef struct skua_group_result {
    int64_t value; /* the member's result */
    uint64_t tag;  /* as given when it was started, or how many were started before it */
} skua_group_result;

/* Takes the result of the member that ended first of those not taken yet, waiting for one if need be. (What the group
 * then does about failures is as ever: they cancel the others, which end in turn and are given here, too.)
 * Threads: as skua_event_wait() (event.h). Each result is given to one taker.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing was taken, and no member was cancelled.
 * Returns: 1; 0 (no member is left, and all was taken); -ECANCELED; -ETIMEDOUT; -EINVAL (it collects nothing). */
SKUA_API int skua_group_next(skua_group *group, skua_group_result *result);
SKUA_API int skua_group_next_until(skua_group *group, skua_group_result *result, uint64_t instant_ns);
/* Without waiting: -EAGAIN. Also where nothing may wait. */
SKUA_API int skua_group_try_next(skua_group *group, skua_group_result *result);
SKUA_API skua_op *skua_group_next_start(skua_group_op *op, skua_group *group);
SKUA_API skua_op *skua_group_next_prepare(skua_group_op *op, skua_group *group);

/* ---- places in a limited group --------------------------------------------------------------------------------- */

/* Waits for a place, which is the caller's from then on, and counts as a member: use it with SKUA_MEMBER_RESERVED or
 * give it back. Places are given in the order of asking.
 * Cancel: at -ECANCELED or -ETIMEDOUT there is no place.
 * Its result: 0; -ECANCELED (also: the group is cancelled); -ETIMEDOUT; -EINVAL (the group has no limit). */
SKUA_API skua_op *skua_group_reserve_start(skua_group_op *op, skua_group *group);
SKUA_API skua_op *skua_group_reserve_prepare(skua_group_op *op, skua_group *group);
/* Gives a place back that was not used. Threads: any. Blocks: never. */
SKUA_API void skua_group_unreserve(skua_group *group);

/* ---- looking --------------------------------------------------------------------------------------------------- */

/* How a group stands. */
typedef struct skua_group_counts {
    uint64_t started;  /* members; these four since the group was last as new, and until it is used again */
    uint64_t failed;   /* with a negative result */
    uint64_t canceled; /* with -ECANCELED, once the group was cancelled: not counted as failed */
    int64_t error;     /* the first failure's */
    uint32_t live;     /* members that have not ended, and reserved places, now */
    bool is_canceled;  /* no more are started until a wait has returned */
} skua_group_counts;

/* Says how the group stands, at one moment. Threads: any. Blocks: never. */
SKUA_API void skua_group_count(skua_group *group, skua_group_counts *counts);

SKUA_API void skuai_group_leave(skua_group *group); /* what SKUA_GROUP ends with */

#ifndef __cplusplus
/* Starts the future `name` as a member: SKUA_GROUP_GO(&g, fetch, .url = u). Returns as skua_group_go(). */
#define SKUA_GROUP_GO(group, ...) SKUAI_GROUP_GO((group), NULL, __VA_ARGS__, )
/* The same with attributes, a const skua_member_attr * (NULL: none). */
#define SKUA_GROUP_GO_WITH(group, attr, ...) SKUAI_GROUP_GO((group), (attr), __VA_ARGS__, )
#define SKUAI_GROUP_GO(group, attr, name, ...)                                                         \
    skua_group_go_frame((group), (attr), name##_poll, sizeof(struct name), offsetof(struct name, in),  \
                        __extension__ &(__typeof__(((struct name *)0)->in)){ __VA_ARGS__ },            \
                        sizeof(((struct name *)0)->in))

/* Declares a group for the rest of the block, in a fiber, a job or a plain thread. At the block's end, if it has not
 * been waited for, its members are cancelled and waited for, whether or not the caller is cancelled: so end the block
 * with skua_group_wait(), and leave it early when the members are to be given up. In a future, where a block's
 * variables do not survive an await, it is a compile error: make a skua_group a member, and wait on all ways out. */
#define SKUA_GROUP(name) SKUA_GROUP_WITH(name, NULL)
/* The same with attributes, a const skua_group_attr * (NULL: none). */
#define SKUA_GROUP_WITH(name, attr)                                                                  \
    __attribute__((cleanup(skuai_group_leave))) skua_group name;                                      \
    (void)sizeof(char[skuai_block_scope_allowed]); /* negative here? in a future make it a member */ \
    skua_group_init_with(&(name), (attr))
#endif

SKUA_END_DECLS

#endif
