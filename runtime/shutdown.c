/* The end of a runtime, in the stages that skua_runtime_shutdown() promises.
 *
 *   1 refuse   stage = REFUSE; spawns from outside count themselves in before they read the stage (rundown.h), so that
 *              those that were not refused are waited for. A spawn of a task is drained like the others.
 *   2 drain    the last worker to go to sleep counts the living tasks and says when there are none (worker.c)
 *   3 cancel   stage = CANCEL; every slot of task memory is gone through, again and again while it lasts, because a
 *              spawn may have slipped in
 *   4 report   the slots once more
 *   5 stop     stage = STOP, every parker gets a token; workers leave their loops; they are joined when all have. If
 *              tasks were left, stage = LEFT, and who joins them is told -ESHUTDOWN
 */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <errno.h>

#include "runtime/embed.h"
#include "runtime/workers.h"
#include "sched/awaited.h"
#include "sched/deadlock.h"
#include "sched/member.h"
#include "sched/sim.h"
#include "sched/spawn.h"
#include "sched/wait.h"

enum {
    CANCEL_AGAIN_NS = 10000000,
    STOP_GRACE_MIN_NS = 100000000,
    STOP_AGAIN_NS = 20000000,
    STUCK_CPU_NS = 20000000,
    BLOCKED_GRACE_NS = 1000000000 /* beyond the grace, for workers that get no processor, or block it in the kernel */
};

static uint64_t later(uint64_t now_ns, uint64_t by_ns)
{
    return by_ns < SKUA_NEVER - now_ns ? now_ns + by_ns : SKUA_NEVER;
}

/* Waits until a word has the value or the time has come. */
static bool wait_for_word(struct skuai_scheduler *sched, skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    if (sched->env.sim != NULL) {
        int rc = skuai_sim_run_until(sched->env.sim, word, value, until_ns);
        if (rc == -EDEADLK)
            skuai_deadlock_report(sched);
        return rc == 0;
    }
    if (sched->embed != NULL)
        return skuai_embed_run_until((skua_runtime *)(void *)sched, word, value, until_ns) == 0;
    for (;;) {
        /* Acquire: pairs with the release of who sets it. No model test runs this: what waits in model_worker.c and
         * model_idle.c does it likewise. */
        uint32_t seen = skuai_load_32(word, SKUAI_ACQUIRE);
        if (seen == value)
            return true;
        if (skuai_clock_now() >= until_ns)
            return false;
        skuai_thread_wait(word, seen, until_ns);
    }
}

static bool wait_drained(struct skuai_scheduler *sched, uint64_t until_ns)
{
    skuai_store_32(&sched->drain, 1, SKUAI_RELAXED); /* the fence orders it */
    /* With tell_drained() in worker.c. No model test runs this: model_worker.c has its like. */
    skuai_fence(SKUAI_SEQ_CST);
    if (skuai_scheduler_live(sched) == 0)
        return true;
    return wait_for_word(sched, &sched->drain, 2, until_ns);
}

static void enter_stage(struct skuai_scheduler *sched, enum skuai_stage stage)
{
    /* REFUSE is R2 (rundown.h). No model test runs this: model_rundown.c has its like. */
    skuai_store_32(&sched->stage, (uint32_t)stage, SKUAI_SEQ_CST);
}

static bool cancel_and_wait(struct skuai_scheduler *sched, uint64_t cancel_ns)
{
    enter_stage(sched, SKUAI_STAGE_CANCEL);
    uint64_t now = skuai_env_now(&sched->env), until = later(now, cancel_ns);
    skuai_log(sched, SKUA_LOG_INFO, "shutdown: cancelling %llu tasks",
              (unsigned long long)skuai_scheduler_cancel_all(sched));
    for (; now < until; now = skuai_env_now(&sched->env)) {
        uint64_t slice = later(now, CANCEL_AGAIN_NS);
        if (sched->env.sim != NULL) /* no spawn can have slipped in; and if nothing can happen any more that is all */
            return wait_drained(sched, until);
        if (wait_drained(sched, slice < until ? slice : until))
            return true;
        skuai_scheduler_cancel_all(sched);
    }
    return skuai_scheduler_live(sched) == 0;
}

struct report {
    struct skuai_scheduler *sched;
    bool stopped; /* no worker runs: what belongs to the tasks may be read */
    const char *awaits;
};

static void note_awaited(void *context, skua_op *op)
{
    struct report *report = context;
    if (!skuai_op_is_done(op))
        report->awaits = ((const struct skuai_op_kind *)op->kind)->name;
}

static void report_task(void *context, skua_task *task)
{
    struct report *report = context;
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED); /* a report */
    if (word & SKUAI_TASK_ENDED) /* it is there for its handle's sake */
        return;
    const char *state = word & SKUAI_TASK_RUNNING ? "running or ready" : "waiting";
    char name[32];
    report->awaits = NULL;
    skuai_task_name_from_outside(report->sched, task, name, sizeof name);
    if (report->stopped)
        skuai_task_each_awaited(task, note_awaited, report);
    skuai_log(report->sched, SKUA_LOG_WARN, "shutdown: left over: task %llu (%s), %s%s%s",
              (unsigned long long)skuai_task_id(task), name, state, report->awaits != NULL ? " in " : "",
              report->awaits != NULL ? report->awaits : "");
}

static void abort_joiner(void *context, skua_task *task)
{
    (void)context;
    skuai_join_abort(task, -ESHUTDOWN);
    skuai_member_abandon(task, -ESHUTDOWN);
}

/* Who has not stopped has had the processor since it was told: so it is inside a task, and not merely waiting its turn
 * on a busy machine, perhaps its first. */
static bool all_have_run(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        uint64_t used_ns = skuai_thread_cpu_ns(&sched->workers[i]->thread), before_ns = sched->workers[i]->stop_cpu_ns;
        if (used_ns != SKUAI_CPU_UNKNOWN && (before_ns == SKUAI_CPU_UNKNOWN || used_ns - before_ns < STUCK_CPU_NS))
            return false;
    }
    return true;
}

static bool stop(struct skuai_scheduler *sched, uint64_t grace_ns)
{
    enter_stage(sched, SKUAI_STAGE_STOP);
    if (sched->embed != NULL) /* nobody is in a turn but the caller, who is between two */
        return true;
    if (sched->spares.max != 0)
        skuai_guard_stop(sched); /* no more spares */
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        if (sched->env.sim == NULL)
            sched->workers[i]->stop_cpu_ns = skuai_thread_cpu_ns(&sched->workers[i]->thread);
        skuai_env_unpark(&sched->env, &sched->workers[i]->parker);
    }
    uint64_t until = later(skuai_env_now(&sched->env), grace_ns), blocked_until = later(until, BLOCKED_GRACE_NS);
    while (!wait_for_word(sched, &sched->stopped, skuai_workers_all(sched), until)) {
        if (sched->env.sim != NULL || until >= blocked_until || all_have_run(sched))
            return false;
        until = later(until, STOP_AGAIN_NS);
    }
    skuai_workers_stop(sched, skuai_workers_all(sched));
    return true;
}

static bool may_shut_down(struct skuai_scheduler *sched, int *error)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0) /* zeroed at fork, before the child began */
        *error = -ENOTSUP;
    else if (worker != NULL && worker->sched == sched)
        *error = -EDEADLK;
    else if (sched->env.sim != NULL && !skuai_sim_is_owner(sched->env.sim))
        *error = -EPERM;
    else
        return true;
    return false;
}

static int shut_down(skua_runtime *rt, uint64_t drain_ns, uint64_t cancel_ns)
{
    struct skuai_scheduler *sched = &rt->sched;
    bool clean = false, again = skuai_load_32(&sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_STOP; /* a worker was busy */
    if (!again) {
        enter_stage(sched, SKUAI_STAGE_REFUSE);
        while (!skuai_rundown_is_over(&sched->spawning))
            skuai_thread_yield();
        clean = wait_drained(sched, later(skuai_env_now(&sched->env), drain_ns)) || cancel_and_wait(sched, cancel_ns);
    }
    bool stopped = stop(sched, clean                                       ? SKUA_NEVER
                               : again || cancel_ns < STOP_GRACE_MIN_NS ? STOP_GRACE_MIN_NS
                                                                           : cancel_ns);
    if (!clean || skuai_scheduler_live(sched) != 0)
        skuai_scheduler_each_task(sched, report_task, &(struct report){ .sched = sched, .stopped = stopped });
    if (!stopped) {
        skuai_log(sched, SKUA_LOG_ERROR, "shutdown: a task neither waits nor returns; its worker cannot be stopped");
        return -EBUSY;
    }
    rt->was_shut_down = true;
    if (skuai_scheduler_live(sched) != 0) {
        rt->shutdown_result = -ETIMEDOUT;
        enter_stage(sched, SKUAI_STAGE_LEFT);
        skuai_scheduler_each_task(sched, abort_joiner, NULL); /* J5 (join.c): nobody outside waits for ever */
    }
    return rt->shutdown_result;
}

int skua_runtime_shutdown(skua_runtime *rt, uint64_t drain_ns, uint64_t cancel_ns)
{
    int rc;
    if (!may_shut_down(&rt->sched, &rc))
        return rc;
    if (rt->was_shut_down)
        return rt->shutdown_result;
    bool is_embedded = rt->sched.embed != NULL;
    rc = is_embedded ? skuai_embed_enter(rt) : 0; /* its tasks run in here */
    if (rc < 0)
        return rc;
    int cancellable = skuai_cancel_hold_off(); /* amid the stages nobody could go on */
    rc = shut_down(rt, drain_ns, cancel_ns);
    skuai_cancel_allow(cancellable);
    if (is_embedded)
        skuai_embed_leave(rt);
    return rc;
}
