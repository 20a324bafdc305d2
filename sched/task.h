/* A task's header: 64 bytes at the start of a slab slot, and what can be done with it by its address alone.
 *
 * The slot's memory is a task header for as long as the runtime lives (slab.h), so that a wake that arrives after the
 * task's end touches a word that is still a task word.
 */
#ifndef SKUAI_TASK_H
#define SKUAI_TASK_H

#include "sched/atomic.h"
#include "sched/op.h"
#include "sched/task_word.h"
#include "skua/task.h"

struct skuai_worker;
struct skuai_task_extension;
struct skuai_member;

/* What a run of a task came to. */
enum skuai_run {
    SKUAI_RUN_WAITS,   /* the word still says running: the caller pauses it (task_word.h) */
    SKUAI_RUN_YIELDS,  /* likewise: the caller queues it as it is */
    SKUAI_RUN_ENDED,   /* the result is set; the caller ends it */
    SKUAI_RUN_SETTLED  /* a fiber: its own switch has seen to the word already */
};

typedef enum skuai_run skuai_run_fn(struct skuai_worker *worker, skua_task *task);

struct skua_task {
    skua_word64 word;                     /* any thread: task_word.h */
    skuai_run_fn *run;                    /* frame or fiber; set by spawn */
    skua_scope *scope;                    /* its runner only: the innermost scope outside any set's child */
    skua_wordptr next;                    /* whoever holds it in a queue; the slab's link while dead */
    union {
        skua_op *joiner;                  /* the joiner, before J is set in the word */
        struct skuai_member *member;      /* with M in the word, fixed: the task's record (member.h) */
    };
    union {
        int64_t result;                   /* its runner, before E is set in the word */
        skua_task *ahead;                 /* a hint, before that: a task a few places behind it in a queue, or stale */
    };
    skua_wordptr fired;                   /* any thread: the set children whose ops have fired (combine.c) */
    skua_wordptr more;                    /* its runner makes it, handles read it: task_more.c; NULL until needed */
};

#define SKUAI_TASK_BODY(task) ((void *)((char *)(task) + sizeof(struct skua_task)))

/* Notifies and, if that is the caller's duty, queues it (schedule.c). Any thread. */
void skuai_task_wake(skua_task *task);

/* Releases the handle (spawn.c): skua_detach() by who is right for certain. Any thread. */
void skuai_task_release(skua_task *task);

/* Joins (join.c; steps J1..J6 there). `op` is armed by the caller; `foreign`: who is not of the task's runtime. */
enum skuai_join { SKUAI_JOIN_READY, SKUAI_JOIN_WAITS, SKUAI_JOIN_BUSY };
enum skuai_join skuai_join_attach(skua_task *task, skua_op *op, bool foreign);
bool skuai_join_detach(skua_task *task, skua_op *op);
/* J6, by the owner of an op that was attached. False: it has been claimed, and the task may be gone. */
bool skuai_join_pin(skua_op *op);
void skuai_join_unpin(skua_op *op);
uint32_t skuai_join_generation(const skua_op *op); /* the task's */
/* The task has ended with task->result: completes a joiner. */
enum skuai_end {
    SKUAI_END_KEPT,  /* who has the handle frees the task; or whoever: it is out of the caller's hands */
    SKUAI_END_TOLD,  /* the caller frees it: its joiner has the result */
    SKUAI_END_UNSEEN /* the caller frees it: there is no handle, and nobody is to know */
};
enum skuai_end skuai_join_end(skua_task *task);
/* J5, for a task that may or may not have a joiner. */
void skuai_join_abort(skua_task *task, int64_t error);

#endif
