/* What follows a task's header in its slot, and how it gets there. */
#ifndef SKUAI_SPAWN_H
#define SKUAI_SPAWN_H

#include "sched/scheduler.h"

struct skuai_fiber {
    struct skuai_context context;
    struct skuai_stack stack;
    skua_fiber_fn *fn;
    union {
        void *arg;         /* until it has begun */
        const char *place; /* from then on: where it waits, if that is known (skua/place.h) */
    };
    uintptr_t awaits; /* while it waits: the op or, low bit set, the innermost waiting frame of a future in it */
    union {
        size_t stack_size;           /* until it has a stack */
        struct skuai_strand *strand; /* from then on: inside of SKUA_RUN, else NULL */
    };
    int32_t timed_scopes;            /* deadlines entered and not left that have a timer (scope.c) */
    bool started;                    /* it has a stack */
};

enum { SKUAI_FRAME_UNPLACED = 0x5a }; /* in debug builds, each byte of a frame that nobody has written */

/* A frame too large for a slab slot lies in memory of its own. */
struct skuai_large_frame {
    skua_frame *root;
    size_t size;
};

/* A join started whether or not the caller is cancelled, for who cancels the task instead (combine.c). `worker` is the
 * calling thread's, or NULL. */
void skuai_join_start_here(struct skuai_worker *worker, skua_join_op *op, skua_task *task);

/* Whether a caller can have a handle to the task: reports it if not. The answer is a look: who has a handle of his own
 * gets the right one. */
int skuai_task_refuse(const skua_task *task, const char *call);
SKUAI_INLINE int skuai_task_check_handle(const skua_task *task, const char *call)
{
    /* Relaxed: that there is a handle is its holder's own doing. */
    if (SKUAI_LIKELY(task != NULL && skuai_task_word_has_handle(skuai_load_64(&task->word, SKUAI_RELAXED))))
        return 0;
    return skuai_task_refuse(task, call);
}

/* The task that an op joins, NULL if it is no join. */
skua_task *skuai_join_target(const skua_op *op);

/* Calls back for each task that has a slot, ended ones with a handle included. Any thread; the task may end
 * meanwhile. */
void skuai_scheduler_each_task(struct skuai_scheduler *sched, void (*visit)(void *context, skua_task *task),
                               void *context);

/* A fiber for a job that a worker is about to take, in two steps: memory first, NULL if there is none. Then it runs
 * next, or, if `arg` is NULL, has never been. */
skua_task *skuai_spawn_begin(struct skuai_worker *worker, skua_fiber_fn *fn);
void skuai_spawn_end(struct skuai_worker *worker, skua_task *task, void *arg);

int skuai_thread_yield(void);

#endif
