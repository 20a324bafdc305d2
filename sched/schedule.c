/* Putting ready tasks into queues, and waking workers for them.
 *
 * That a task may be stolen and that it wakes a thief are two decisions:
 *   woken     goes to the waking worker's next-slot. Thieves may take it, but none is woken for it: most wakers are
 *             about to wait themselves, and a wake costs the waker more than most tasks' run (11 µs). What the slot
 *             held before goes to the deque, and does wake.
 *             The joiner of a task that ends is run next at once, as often as the slot may be served in a row.
 *   spawned   likewise if the slot is free; else to the deque, which wakes a thief if nobody searches.
 *   last      a task that yielded or spent its budget: behind everything that is ready on its worker. Wakes nobody: it
 *             is no new work.
 * A task left in the slot by a worker that then computes for long is found by the guard (guard.c).
 */
#include "sched/scheduler.h"

static void wake_one(struct skuai_scheduler *sched, enum skuai_idle_part part)
{
    uint32_t picked = skuai_idle_pick(&sched->idle, part);
    if (SKUAI_LIKELY(picked == SKUAI_IDLE_NOBODY))
        return;
    bool kernel = skuai_env_unpark(&sched->env, &sched->workers[picked]->parker);
    struct skuai_worker *worker = skuai_worker_self();
    if (!kernel)
        return;
    if (worker != NULL && worker->sched == sched)
        skuai_count(&worker->counters.wakes, 1);
    else
        skuai_add_64(&sched->wakes_outside, 1, SKUAI_RELAXED); /* a counter */
}

void skuai_schedule_wake_one(struct skuai_scheduler *sched) { wake_one(sched, SKUAI_IDLE_QUARTER); }

void skuai_schedule_wake_all(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        skuai_env_unpark(&sched->env, &sched->workers[i]->parker);
}

enum { AHEAD = 8 }; /* as in slab.h */

struct shed_chain {
    skua_task *first;
    uint64_t count;
    skua_task *latest[AHEAD]; /* by count */
};

static void chain_shed(void *item, void *arg)
{
    struct shed_chain *chain = arg;
    skua_task *task = item;
    skuai_store_ptr(&task->next, chain->first, SKUAI_RELAXED); /* published by the push */
    task->ahead = chain->latest[chain->count % AHEAD];
    chain->latest[chain->count % AHEAD] = task;
    chain->first = task;
    chain->count++;
}

/* The deque is full: moves its newer half and the task to the injection queue, as one batch. The newer half, because
 * the older is next in line, while the newer has often just run. */
static void overflow(struct skuai_worker *worker, skua_task *task)
{
    struct shed_chain chain = { .first = task, .count = 1 };
    /* If thieves have made room it is none, and one task goes the long way. So no model test needs the step: without it
     * that one would do so at each push. */
    skuai_deque_shed(&worker->deque, chain_shed, &chain);
    skuai_inject_push(&worker->sched->inject, chain.first, task, chain.count);
    skuai_count(&worker->counters.overflows, 1);
    skuai_schedule_wake_one(worker->sched); /* P5 (idle.h) */
}

SKUAI_HOT static void push_local(struct skuai_worker *worker, skua_task *task, enum skuai_order order)
{
    if (SKUAI_UNLIKELY(!skuai_deque_push(&worker->deque, task, order)))
        overflow(worker, task);
    skuai_env_point(&worker->sched->env, SKUAI_POINT_PUSH);
}

void skuai_schedule_last(struct skuai_worker *worker, skua_task *task)
{
    push_local(worker, task, SKUAI_RELEASE); /* release suffices: no look for sleepers follows */
}

static void inject(struct skuai_scheduler *sched, skua_task *task)
{
    if (SKUAI_UNLIKELY(skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child: nobody would run it */
        return;
    SKUAI_PROBE1(task_ready, task);
    skuai_inject_push(&sched->inject, task, task, 1);
    skuai_env_point(&sched->env, SKUAI_POINT_PUSH);
    skuai_schedule_wake_one(sched);
}

SKUAI_HOT void skuai_schedule_woken(skua_task *task)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    if (worker == NULL || worker->sched != sched)
        inject(sched, task);
    else
        skuai_schedule_woken_here(worker, task);
}

SKUAI_HOT void skuai_schedule_woken_here(struct skuai_worker *worker, skua_task *task)
{
    struct skuai_scheduler *sched = worker->sched;
    SKUAI_PROBE1(task_ready, task);
    if (skuai_worker_hand_over(worker, task))
        return;
    /* Only this worker fills the slot, so an empty one stays empty. Release: hands the task to whoever takes it. */
    if (skuai_load_ptr(&worker->next, SKUAI_RELAXED) == NULL) {
        skuai_store_ptr(&worker->next, task, SKUAI_RELEASE);
        skuai_env_point(&sched->env, SKUAI_POINT_PUSH);
        return;
    }
    skua_task *before = skuai_exchange_ptr(&worker->next, task, SKUAI_RELEASE); /* as above */
    if (before != NULL) {
        push_local(worker, before, SKUAI_SEQ_CST);
        /* While events are delivered, P6: all that they wake lies here, and its worker is awake. No model test needs
         * the check: who is woken in a crowd costs time only. */
        if (SKUAI_LIKELY(worker->polled.count == 0 || !skuai_awake_are_enough(sched)))
            skuai_schedule_wake_one(sched);
    }
}

void skuai_schedule_spawned(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *task)
{
    if (SKUAI_UNLIKELY(worker == NULL)) {
        inject(sched, task);
        return;
    }
    SKUAI_PROBE1(task_ready, task);
    if (skuai_load_ptr(&worker->next, SKUAI_RELAXED) == NULL) { /* as in skuai_schedule_woken */
        skuai_store_ptr(&worker->next, task, SKUAI_RELEASE);
        skuai_env_point(&sched->env, SKUAI_POINT_PUSH);
        return;
    }
    push_local(worker, task, SKUAI_SEQ_CST);
    skuai_schedule_wake_one(sched);
}

/* The owner computes on: not for the next-slot. No model test runs this: else as skuai_schedule_spawned(). */
void skuai_schedule_offered(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *token)
{
    if (SKUAI_UNLIKELY(worker == NULL)) {
        inject(sched, token);
        return;
    }
    push_local(worker, token, SKUAI_SEQ_CST);
    wake_one(sched, SKUAI_IDLE_HALF);
}

SKUAI_HOT void skuai_task_wake(skua_task *task)
{
    if (skuai_task_word_wake(&task->word) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(task);
}
