/* Whom an op wakes: the calling flow when it is armed, the sink when it fires (op.h, O1 and O4). */
#include "sched/combine.h"
#include "sched/scheduler.h"
#include "sched/wait.h"

#include <errno.h>

SKUAI_HOT void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    if (worker == NULL || worker->task == NULL) {
        /* Where the thread sleeps: on the op, or on what decides which of several. */
        skua_word32 *word = op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
        skuai_op_arm(op, (uintptr_t)word | SKUAI_SINK_THREAD);
    } else if (worker->child != NULL) {
        skuai_op_arm(op, (uintptr_t)worker->child | SKUAI_SINK_CHILD);
        worker->child->armed++;
    } else {
        skuai_op_arm(op, (uintptr_t)worker->task | SKUAI_SINK_TASK);
    }
}

/* The op will not fire after all: it was never linked, or has been withdrawn. */
void skuai_op_disarm_here(skua_op *op)
{
    if ((op->sink & SKUAI_SINK_TAGS) == SKUAI_SINK_CHILD)
        ((skua_child *)(op->sink - SKUAI_SINK_CHILD))->armed--;
    op->sink = 0;
}

bool skua_op_is_done(const skua_op *op) { return skuai_op_is_done(op); }

bool skuai_op_interrupt(skua_op *op, int error)
{
    if (skuai_op_is_done(op))
        return true;
    if (!((const struct skuai_op_kind *)op->kind)->withdraw(op))
        return false;
    if (skuai_op_state(op) != SKUAI_OP_AGAIN) /* then its fire has come or is under way */
        skuai_op_disarm_here(op);
    skuai_op_set_done(op, error);
    return true;
}

skua_op *skua_op_cancel(skua_op *op)
{
    (void)skuai_op_interrupt(op, -ECANCELED);
    return op;
}

static skua_task *sink_task(uintptr_t sink)
{
    switch (sink & SKUAI_SINK_TAGS) {
    case SKUAI_SINK_TASK:
        return (skua_task *)sink;
    case SKUAI_SINK_CHILD:
        return ((skua_child *)(sink - SKUAI_SINK_CHILD))->set->runner;
    default:
        return NULL;
    }
}

void skuai_sink_fire(uintptr_t sink)
{
    switch (sink & SKUAI_SINK_TAGS) {
    case SKUAI_SINK_TASK:
        skuai_task_wake((skua_task *)sink);
        break;
    case SKUAI_SINK_CHILD:
        skuai_child_fire((skua_child *)(sink - SKUAI_SINK_CHILD));
        break;
    default:
        skuai_word_wake_real((skua_word32 *)(sink - SKUAI_SINK_THREAD));
        break;
    }
}

struct skuai_worker *skuai_sink_here(uintptr_t sink)
{
    if (SKUAI_UNLIKELY((sink & SKUAI_SINK_TAGS) != SKUAI_SINK_TASK))
        return NULL;
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL && worker->sched == skuai_task_scheduler((skua_task *)sink) ? worker : NULL;
}

void skuai_sink_fire_here(struct skuai_worker *worker, uintptr_t sink)
{
    skua_task *task = (skua_task *)sink;
    if (skuai_task_word_wake(&task->word) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken_here(worker, task);
}

/* Late fires. The sink's task may end as soon as the op is DONE, and its runtime may then be destroyed while a thread
 * of another runtime, or of none, is still about to fire: so such a thread counts itself in before DONE. Whoever sees
 * DONE, and so whoever destroys the runtime because of it, sees the count. A runtime's own workers are joined
 * anyway. */
void *skuai_sink_hold(uintptr_t sink)
{
    skua_task *task = sink_task(sink);
    if (task == NULL)
        return NULL;
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    struct skuai_worker *worker = skuai_worker_self();
    skuai_env_point(&sched->env, SKUAI_POINT_CLAIM); /* claimed and not done: a cancellation may come now */
    if (SKUAI_LIKELY(worker != NULL && worker->sched == sched))
        return NULL;
    skuai_rundown_enter_ahead(&sched->holds); /* of DONE */
    return sched;
}

void skuai_sink_unhold(void *held)
{
    struct skuai_scheduler *sched = held;
    skuai_rundown_leave(&sched->holds);
}
