/* Into a runtime from outside: skua_block_on, SKUA_RUN_ON and skua_main. */
#include "runtime/runtime.h"

#include <errno.h>

#include "sched/deadlock.h"
#include "sched/sim.h"

/* In a fiber: the function's task is cancelled with its caller, and waited for all the same, as a set's child is. */
static int64_t join_as_fiber(skua_task *task)
{
    skua_child child;
    skua_child_task(&child, task);
    (void)skua_all_settled(&child, 1);
    return child.result;
}

/* A simulation is driven meanwhile, and can find that nothing will ever happen any more. */
static int64_t join_simulated(skua_runtime *rt, skua_task *task)
{
    int64_t result;
    int rc = skua_join(task, &result);
    if (rc == -ECANCELED) { /* the caller is */
        skua_cancel(task);
        skua_scope shield;
        skua_shield_enter(&shield);
        rc = skua_join(task, &result);
        skua_scope_leave(&shield);
    }
    if (rc == 0)
        return result;
    if (rc == -EDEADLK) {
        skuai_log(&rt->sched, SKUA_LOG_ERROR, "simulation, seed %llu: every task waits and nothing can wake one",
                  (unsigned long long)rt->config.sim_seed);
        skuai_deadlock_report(&rt->sched);
    }
    skua_detach(task);
    return rc;
}

int64_t skua_block_on(skua_runtime *rt, skua_fiber_fn *fn, void *arg)
{
    skua_spawn_attr attr = { .runtime = rt };
    skua_task *task;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL && (worker->polling != 0 || worker->task == NULL))
        return skuai_misuse("skua_block_on", "was called inside a future's body",
                            "spawn the function and use SKUA_AWAIT with skua_join_start()");
    int rc = skua_spawn_with(&task, &attr, fn, arg);
    if (rc < 0)
        return rc;
    if (rt != NULL && rt->sched.env.sim != NULL && (worker == NULL || worker->sched != &rt->sched))
        return join_simulated(rt, task);
    if (worker != NULL)
        return join_as_fiber(task);
    int64_t result;
    rc = skua_join(task, &result); /* its one error is -ESHUTDOWN, after which the handle may be gone */
    return rc == 0 ? result : rc;
}

struct run {
    skuai_job_fn *run;
    void *room;
};
static int run_jobs(void *arg)
{
    struct run *run = arg;
    skuai_parallel_run(run->run, run->room);
    return 0;
}

int skuai_parallel_run_on(skua_runtime *rt, skuai_job_fn *run, void *room)
{
    struct run call = { run, room };
    return (int)skua_block_on(rt, run_jobs, &call);
}

int skua_main(skua_fiber_fn *fn, void *arg)
{
    skua_runtime *rt;
    int64_t result = skua_runtime_create(&rt, NULL);
    if (result == 0) {
        result = skua_block_on(rt, fn, arg);
        int rc = skua_runtime_shutdown(rt, result == -EDEADLK ? 0 : SKUA_NEVER, SKUA_NEVER);
        if (rc != -EBUSY)
            skua_runtime_destroy(rt);
    }
    if (result >= 0 && result <= 255)
        return (int)result;
    if (result < 0)
        skuai_log(NULL, SKUA_LOG_ERROR, "main: %s (%lld)", skua_strerror((int)result), (long long)result);
    else
        skuai_log(NULL, SKUA_LOG_ERROR, "main: %lld is no exit status (0 to 255)", (long long)result);
    return 1;
}
