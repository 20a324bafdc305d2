/* Cancellation: an error that awaits return, level-triggered. Scopes, which bound it, are scope.c's.
 *
 * An await asks from the inside out: the scopes entered in the current set child (combine.h), a cancellation of that
 * child by its set, then the same for the set's own surroundings, up to the task's scopes and the C bit of its word. A
 * shield ends the question wherever it is met. A deadline that has passed is an answer unless a cancellation is met
 * further out, which outranks it.
 */
#include "sched/scheduler.h"
#include "sched/combine.h"
#include "sched/scope.h"

#include <errno.h>

static int answer(uint32_t say)
{
    return say & SKUAI_SCOPES_CANCELED ? -ECANCELED : say & SKUAI_SCOPES_EXPIRED ? -ETIMEDOUT : 0;
}

/* Cold: only inside scopes and sets, or when cancelled. */
static __attribute__((noinline)) int interruption_nested(struct skuai_worker *worker)
{
    uint32_t say = 0;
    for (const skua_child *child = worker->child; child != NULL; child = child->set->outer) {
        if (skuai_scopes_shield(child->scope, &say))
            return answer(say);
        if (child->flags & SKUAI_CHILD_CANCELED)
            return -ECANCELED;
    }
    if (!skuai_scopes_shield(worker->task->scope, &say) &&
        /* C's sender wakes us besides */
        (skuai_load_64(&worker->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0)
        return -ECANCELED;
    return answer(say);
}

int skuai_interruption(struct skuai_worker *worker)
{
    if (SKUAI_LIKELY(worker->child == NULL && worker->task->scope == NULL))
        /* as above */
        return SKUAI_UNLIKELY((skuai_load_64(&worker->task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0)
                   ? -ECANCELED
                   : 0;
    return interruption_nested(worker);
}

void skua_cancel(skua_task *task)
{
    if (skuai_task_word_cancel(&task->word) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(task);
}

int skua_interrupted(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL)
        return skuai_thread_interruption();
    return worker->task != NULL ? skuai_interruption(worker) : 0;
}

void skua_waker_cancel(skua_waker waker)
{
    if (waker.task == NULL)
        return;
    if (skuai_task_word_cancel_exactly(&waker.task->word, (uint32_t)waker.generation) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(waker.task);
}
