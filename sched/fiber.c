/* Fibers: tasks with a stack.
 *
 * A fiber that waits switches away: to the next ready fiber of its worker directly, else to the base. The one thing
 * that it cannot do itself is to say that it waits: until its registers are saved nobody may resume it. So it leaves a
 * note in worker->post, and whatever flow the switch arrives in carries it out first:
 *   F1 note    post and post_task are set, on the old stack
 *   F2 switch  registers saved, the other flow resumed
 *   F3 settle  the other flow: PAUSE: R is taken from the word; if N was set meanwhile the fiber is queued
 *              (task_word.h). REQUEUE: queued as it is, with R. END: stack and task are freed, which could not be done
 *              from on top of them.
 * A fiber gets its stack when it first runs, from its worker's warm ones. If none can be had it goes to the end of the
 * queue and tries again: others end and leave theirs. If it is cancelled meanwhile it ends without having begun.
 */
#include "sched/spawn.h"

#include <errno.h>
#include <stdlib.h>

#include "sched/overflow.h"

enum { STARVED_NS = 5000000 }; /* between two attempts to get a stack, if there is nothing else to run */

/* What the function has left open lay on the stack and is gone: a timer in it would be found in whatever comes next. */
static __attribute__((noinline, cold)) void left_open(skua_task *task, const struct skuai_fiber *fiber)
{
    skuai_scope_misuse();
    if (fiber->timed_scopes != 0)
        abort();
    task->scope = NULL;
}

static void fiber_main(void *arg)
{
    skua_task *task = arg;
    skuai_worker_settle_post(skuai_worker_self());
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    void *arg_of_fn = fiber->arg;
    fiber->place = NULL;
    task->result = fiber->fn(arg_of_fn);

    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker == NULL))
        skuai_die_forked();
    if (SKUAI_UNLIKELY(task->scope != NULL))
        left_open(task, fiber);
    skuai_worker_set_task(worker, NULL);
    worker->post = SKUAI_POST_END;
    worker->post_task = task;
    worker->flow = &worker->base;
    skuai_context_exit(&fiber->context, &worker->base);
}

/* Gives the fiber its stack if it has none yet. */
static bool prepare(struct skuai_worker *worker, skua_task *task)
{
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    if (SKUAI_LIKELY(fiber->started))
        return true;
    int rc = skuai_stack_acquire(&worker->sched->stack_pool, &worker->stacks, fiber->stack_size, &fiber->stack);
    if (rc < 0)
        return false;
    fiber->strand = NULL;
    fiber->started = true;
    skuai_context_make(&fiber->context, fiber->stack.low, fiber->stack.size, fiber_main, task);
    return true;
}

static struct skuai_context *take_in(struct skuai_worker *worker, skua_task *task)
{
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    skuai_task_word_run(&task->word);
    skuai_worker_set_task(worker, task);
    worker->budget = SKUAI_AWAIT_BUDGET;
    worker->flow = &fiber->context;
    if (SKUAI_UNLIKELY(skuai_load_ptr(&worker->strand, SKUAI_RELAXED) != fiber->strand))
        /* As in parallel.c's begin(). No model test runs this: one pair. */
        skuai_store_ptr(&worker->strand, fiber->strand, SKUAI_RELEASE);
    return &fiber->context;
}

/* F3. Inlined where each switch from a fiber to a fiber arrives, which compilers decide differently from change to
 * change. */
SKUAI_INLINE void settle_post(struct skuai_worker *worker)
{
    skua_task *task = worker->post_task;
    enum skuai_post post = worker->post;
    worker->post = SKUAI_POST_NOTHING;
    switch (post) {
    case SKUAI_POST_NOTHING:
        break;
    case SKUAI_POST_PAUSE:
        if (skuai_task_word_pause(&task->word) == SKUAI_TASK_ENQUEUE)
            skuai_schedule_last(worker, task);
        break;
    case SKUAI_POST_REQUEUE:
    case SKUAI_POST_ASIDE:
        skuai_schedule_last(worker, task);
        break;
    case SKUAI_POST_END:
        skuai_fiber_free_stack(worker, task);
        skuai_worker_end_task(worker, task);
        break;
    }
}

void skuai_worker_settle_post(struct skuai_worker *worker) { settle_post(worker); }

void skuai_fiber_free_stack(struct skuai_worker *worker, skua_task *task)
{
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    if (!fiber->started)
        return;
    fiber->started = false;
    skuai_context_fini(&fiber->context);
    skuai_stack_release(&worker->sched->stack_pool, &worker->stacks, &fiber->stack);
}

void skuai_fiber_starved(struct skuai_worker *worker, const char *what)
{
    struct skuai_scheduler *sched = worker->sched;
    if (skuai_exchange_32(&sched->said_starved, 1, SKUAI_RELAXED) == 0) /* once is enough */
        skuai_log(sched, SKUA_LOG_WARN, "no memory for a fiber's %s: it waits until there is some", what);
    if (skuai_deque_count(&worker->deque) <= 1 && skuai_deque_count(&worker->inbox) == 0)
        (void)skuai_env_park(&sched->env, &worker->parker, skuai_env_now(&sched->env) + STARVED_NS);
}

/* There is no memory for the fiber's stack. */
static enum skuai_run starve(struct skuai_worker *worker, skua_task *task)
{
    if (skuai_load_64(&task->word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) { /* a look; the next one sees it otherwise */
        skuai_task_word_run(&task->word);
        task->result = -ECANCELED;
        return SKUAI_RUN_ENDED;
    }
    skuai_schedule_last(worker, task); /* still queued: its word has not changed */
    skuai_fiber_starved(worker, "stack");
    return SKUAI_RUN_SETTLED;
}

enum skuai_run skuai_fiber_run(struct skuai_worker *worker, skua_task *task)
{
    if (SKUAI_UNLIKELY(!prepare(worker, task)))
        return starve(worker, task);
    skuai_context_switch(&worker->base, take_in(worker, task));
    worker->flow = &worker->base; /* the base never changes its worker */
    skuai_worker_settle_post(worker);
    return SKUAI_RUN_SETTLED;
}

/* Where a suspending fiber goes: to the next task's stack if that is a fiber, else to the base, with the task in
 * hand. */
static struct skuai_context *next_flow(struct skuai_worker *worker)
{
    skua_task *next = skuai_worker_next_local(worker);
    if (next != NULL && next->run == skuai_fiber_run && prepare(worker, next)) {
        skuai_env_run_point(&worker->sched->env, &next->word);
        skuai_count(&worker->counters.polls, 1);
        skuai_trace_run(worker, next);
        SKUAI_PROBE2(task_run, worker->index, next);
        return take_in(worker, next);
    }
    worker->handover = next;
    skuai_worker_set_task(worker, NULL);
    worker->flow = &worker->base;
    return &worker->base;
}

/* Where no guard could be had an overflow is found at the next switch. Not inlined, or each suspended fiber would have
 * room for the text on its stack. */
static _Noreturn __attribute__((noinline, cold)) void die_of_overflow(const skua_task *task)
{
    char text[256];
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    int length = skuai_overflow_message(text, sizeof text, skuai_task_name(task), skuai_stack_nominal(&fiber->stack));
    skuai_log(skuai_task_scheduler(task), SKUA_LOG_ERROR, "%.*s", length, text);
    abort();
}

void skuai_fiber_suspend(struct skuai_worker *worker, enum skuai_post post)
{
    skua_task *task = worker->task;
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    if (SKUAI_UNLIKELY(!skuai_stack_check(&fiber->stack, __builtin_frame_address(0))))
        die_of_overflow(task); /* before anybody trusts what lies below */
    bool offers = false;
    if (SKUAI_UNLIKELY(fiber->strand != NULL) && post != SKUAI_POST_ASIDE)
        offers = skuai_parallel_suspends(worker, fiber->strand);
    struct skuai_context *to = next_flow(worker);
    worker->post = post; /* F1 */
    worker->post_task = task;
    skuai_context_switch(&fiber->context, to); /* F2 */
    worker = skuai_worker_self(); /* maybe another */
    settle_post(worker); /* F3, for whoever switched to us */
    if (SKUAI_UNLIKELY(offers))
        skuai_parallel_resumes(worker);
}

/* ---- waiting without an op -------------------------------------------------------------------------------------- */

/* The calling fiber's worker, or NULL and the error in *error. */
static struct skuai_worker *waiting_fiber(const char *call, const char *instead, int *error)
{
    struct skuai_worker *worker = skuai_worker_self();
    *error = -EPERM;
    if (worker == NULL || worker->task == NULL)
        return NULL;
    if (worker->polling != 0) {
        *error = skuai_misuse(call, "was called inside a future's body", instead);
        return NULL;
    }
    return worker;
}

int skua_yield(void)
{
    int error;
    struct skuai_worker *worker = waiting_fiber("skua_yield", "use SKUA_YIELD", &error);
    if (worker == NULL)
        return skuai_worker_self() == NULL ? skuai_thread_yield() : error;
    skuai_fiber_suspend(worker, SKUAI_POST_REQUEUE);
    return skuai_interruption(skuai_worker_self());
}

int skua_park(void)
{
    int error;
    struct skuai_worker *worker = waiting_fiber("skua_park", "use SKUA_PARK", &error);
    if (worker == NULL)
        return error;
    error = skuai_interruption(worker);
    if (error < 0)
        return error;
    skuai_fiber_suspend(worker, SKUAI_POST_PAUSE);
    return skuai_interruption(skuai_worker_self());
}

skua_waker skua_task_waker(const skua_task *task)
{
    /* the generation is fixed while a handle or a run lasts */
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED);
    return (skua_waker){ .task = (skua_task *)(uintptr_t)task, .generation = skuai_task_generation(word) };
}

skua_waker skua_waker_self(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL && worker->task != NULL ? skua_task_waker(worker->task) : (skua_waker){ .task = NULL };
}

void skua_wake(skua_waker waker)
{
    if (waker.task == NULL)
        return;
    if (skuai_task_word_wake_exactly(&waker.task->word, (uint32_t)waker.generation) == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(waker.task);
}
