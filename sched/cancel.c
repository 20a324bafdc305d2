/* Cancellation: an error that awaits return, level-triggered, and shields against it.
 *
 * An await asks from the inside out: a scope entered in the current set child (combine.h), a cancellation of that child
 * by its set, then the same for the set's own surroundings, up to the task's scope and the C bit of its word. A shield
 * ends the question wherever it is met.
 */
#include "sched/scheduler.h"
#include "sched/combine.h"

#include <errno.h>

static bool cancel_pending_nested(struct skuai_worker *worker)
{
    for (const skua_child *child = worker->child; child != NULL; child = child->set->outer) {
        if (child->scope != NULL)
            return false; /* every scope is a shield */
        if (child->flags & SKUAI_CHILD_CANCELED)
            return true;
    }
    return worker->task->scope == NULL &&
           /* C's sender wakes us besides */
           (skuai_load_64(&worker->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0;
}

bool skuai_cancel_pending(struct skuai_worker *worker)
{
    if (SKUAI_LIKELY(worker->child == NULL))
        return (skuai_load_64(&worker->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0 && /* as above */
               worker->task->scope == NULL;
    return cancel_pending_nested(worker);
}

void skua_cancel(skua_task *task)
{
    if (skuai_task_word_cancel(&task->word) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(task);
}

int skua_interrupted(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL && worker->task != NULL && skuai_cancel_pending(worker) ? -ECANCELED : 0;
}

void skua_waker_cancel(skua_waker waker)
{
    if (waker.task == NULL)
        return;
    if (skuai_task_word_cancel_exactly(&waker.task->word, (uint32_t)waker.generation) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(waker.task);
}

static skua_scope **innermost_scope(struct skuai_worker *worker)
{
    return worker->child != NULL ? &worker->child->scope : &worker->task->scope;
}

void skua_shield_enter(skua_scope *scope)
{
    struct skuai_worker *worker = skuai_worker_self();
    *scope = (skua_scope){ .outer = NULL };
    if (worker == NULL || worker->task == NULL)
        return;
    skua_scope **innermost = innermost_scope(worker);
    scope->outer = *innermost;
    *innermost = scope;
    skuai_parallel_scope(worker);
}

void skua_scope_leave(skua_scope *scope)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL)
        return;
    if (*innermost_scope(worker) != scope) {
        skuai_misuse("skua_scope_leave", "was given a scope that is not the innermost one of the calling task",
                     "leave scopes in the reverse order of entering, in the same task and set child");
        return;
    }
    *innermost_scope(worker) = scope->outer;
    skuai_parallel_scope(worker);
}

skua_scope *skuai_scope_left_open(skua_scope *around)
{
    skuai_misuse("the end of a task or future", "came inside a shield", "leave every scope that was entered");
    return around;
}

/* ---- who an op wakes ----------------------------------------------------------------------------------------- */

void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op, const struct skuai_op_kind *kind, void *owner)
{
    if (worker == NULL || worker->task == NULL) {
        skuai_op_arm(op, kind, owner, (uintptr_t)&op->state | SKUAI_SINK_THREAD);
    } else if (worker->child != NULL) {
        skuai_op_arm(op, kind, owner, (uintptr_t)worker->child | SKUAI_SINK_CHILD);
        worker->child->armed++;
    } else {
        skuai_op_arm(op, kind, owner, (uintptr_t)worker->task | SKUAI_SINK_TASK);
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

skua_op *skua_op_cancel(skua_op *op)
{
    if (!skuai_op_is_done(op) && ((const struct skuai_op_kind *)op->kind)->withdraw(op)) {
        skuai_op_disarm_here(op);
        skuai_op_set_done(op, -ECANCELED);
    }
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
