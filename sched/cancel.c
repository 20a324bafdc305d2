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
#include "sched/sim.h"
#include "sched/spawn.h"

#include <errno.h>

/* Relaxed: C's sender wakes us besides; W is the task's own. */
static bool word_has(const skua_task *task, uint64_t bits)
{
    return (skuai_load_64(&task->word, SKUAI_RELAXED) & bits) != 0;
}

/* Acquire: pairs with the canceller's exchange: what he did before is seen by who ends because of it. No model test
 * runs this: one pair. */
static bool task_is_cancelled(struct skuai_worker *worker)
{
    return (skuai_load_64(&worker->task->word, SKUAI_ACQUIRE) & SKUAI_TASK_CANCEL) != 0;
}

/* A simulation that wants to know when a task asks, because it may cancel it just now. */
static void tell_simulation(struct skuai_worker *worker)
{
    if (word_has(worker->task, SKUAI_TASK_WATCHED))
        skuai_sim_asked(worker->sched->env.sim, worker->task);
}

static int answer(uint32_t say)
{
    return say & SKUAI_SCOPES_CANCELED ? -ECANCELED : say & SKUAI_SCOPES_EXPIRED ? -ETIMEDOUT : 0;
}

/* Cold: only inside scopes and sets, or when cancelled. */
static __attribute__((noinline)) int interruption_nested(struct skuai_worker *worker)
{
    tell_simulation(worker);
    uint32_t say = 0;
    for (const skua_child *child = worker->child; child != NULL; child = child->set->outer) {
        if (skuai_scopes_shield(child->scope, &say))
            return answer(say);
        if (child->flags & SKUAI_CHILD_CANCELED)
            return -ECANCELED;
    }
    if (!skuai_scopes_shield(worker->task->scope, &say) && task_is_cancelled(worker))
        return -ECANCELED;
    return answer(say);
}

static __attribute__((noinline, cold)) int interruption_marked(struct skuai_worker *worker)
{
    tell_simulation(worker);
    return task_is_cancelled(worker) ? -ECANCELED : 0;
}

int skuai_interruption(struct skuai_worker *worker)
{
    if (SKUAI_LIKELY(skuai_is_undisturbed(worker)))
        return 0;
    return worker->child == NULL && worker->task->scope == NULL ? interruption_marked(worker)
                                                                : interruption_nested(worker);
}

void skua_cancel(skua_task *task)
{
    /* A task whose memory is nobody's has neither a handle nor a run. Relaxed: that it has is its caller's doing. */
    if (SKUAI_UNLIKELY(task == NULL || !(skuai_load_64(&task->word, SKUAI_RELAXED) & SKUAI_TASK_ALIVE))) {
        skuai_task_refuse(task, "skua_cancel");
        return;
    }
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
