/* The join as an operation: skua_join and its kin. What happens between joiner and task is join.c's. */
#include <errno.h>

#include "sched/scope.h"
#include "sched/sim.h"
#include "sched/spawn.h"
#include "sched/wait.h"

static bool withdraw_join(skua_op *op) { return skuai_join_detach(op->owner, op); }

/* A simulation is one thread's: a join of one of its tasks from outside is skua_join()'s, which drives it. */
static int may_join(const struct skuai_worker *worker, const struct skuai_scheduler *sched)
{
    if (SKUAI_UNLIKELY(skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return -ENOTSUP;
    bool foreign = worker == NULL || worker->sched != sched;
    if (SKUAI_UNLIKELY(foreign && (sched->env.sim != NULL || (worker != NULL && worker->sched->env.sim != NULL))))
        return -EPERM;
    return 0;
}

static bool has_ended(const skua_task *task)
{
    /* Acquire: pairs with the end's release: the result. No model test runs this: J1 (join.c) reads it likewise. */
    return (skuai_load_64(&task->word, SKUAI_ACQUIRE) & SKUAI_TASK_ENDED) != 0;
}

/* The op need not wait any longer, unless it is an arm of a select that another arm has decided. */
static bool settle_join(skua_op *op, int64_t result)
{
    skuai_op_disarm_here(op);
    bool took_effect = skuai_op_claim_own(op);
    if (took_effect)
        skuai_op_set_done(op, result);
    return took_effect;
}

static void attach_join(struct skuai_worker *worker, struct skuai_scheduler *sched, skua_join_op *op, skua_task *task)
{
    if (worker != NULL && worker->task == task) {
        settle_join(&op->op, -EDEADLK);
        return;
    }
    skuai_op_arm_here(worker, &op->op);
    switch (skuai_join_attach(task, &op->op, worker == NULL || worker->sched != sched)) {
    case SKUAI_JOIN_WAITS:
        /* J5. Relaxed: the attach came after the abort's exchange and acquired it, or the abort finds the op. */
        if (SKUAI_UNLIKELY(skuai_load_32(&sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_LEFT) && withdraw_join(&op->op))
            settle_join(&op->op, -ESHUTDOWN);
        break;
    case SKUAI_JOIN_BUSY:
        settle_join(&op->op, -EBUSY);
        break;
    case SKUAI_JOIN_READY:
        if (!settle_join(&op->op, 0))
            break; /* the handle is kept */
        op->value = task->result;
        skuai_task_free(task);
        break;
    }
}

/* J6: when the task has ended somebody may destroy its runtime, while we are still looking at it. */
static __attribute__((noinline)) void attach_from_outside(struct skuai_worker *worker, struct skuai_scheduler *sched,
                                                          skua_join_op *op, skua_task *task)
{
    skuai_rundown_enter_ahead(&sched->holds); /* of the attach, whose release carries it to the end */
    attach_join(worker, sched, op, task);
    skuai_rundown_leave(&sched->holds);
}

int skuai_task_refuse(const skua_task *task, const char *call)
{
    if (task == NULL)
        return skuai_misuse(call, "was given NULL for a task", "look at what skua_spawn() has returned");
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED); /* a report */
    if (word & SKUAI_TASK_MEMBER)
        return skuai_misuse_of(sched, call, "was given a member of a group", "wait for all of it: skua_group_wait()");
    return skuai_misuse_of(sched, call, "was given a handle that is used up, or a task that is detached",
                           "join or detach a handle once; without one, skua_waker_cancel() ends a task");
}

/* 0: it can be joined. */
SKUAI_INLINE int check(const struct skuai_worker *worker, const struct skuai_scheduler *sched, const skua_task *task)
{
    int rc = may_join(worker, sched);
    if (SKUAI_UNLIKELY(rc < 0) || (worker != NULL && worker->task == task)) /* who joins itself is told so */
        return rc;
    return skuai_task_check_handle(task, "skua_join");
}

static void start_join(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_task *task = op->owner;
    if (SKUAI_UNLIKELY(task == NULL)) {
        settle_join(op, skuai_task_refuse(task, "skua_join"));
        return;
    }
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    int rc = check(worker, sched, task);
    if (SKUAI_UNLIKELY(rc < 0))
        settle_join(op, rc);
    else if (!may_wait && !has_ended(task))
        return;
    else if (SKUAI_LIKELY(worker != NULL && worker->sched == sched))
        attach_join(worker, sched, (skua_join_op *)(void *)op, task);
    else
        attach_from_outside(worker, sched, (skua_join_op *)(void *)op, task);
}

static const struct skuai_op_kind join_kind = { .name = "skua_join", .start = start_join, .withdraw = withdraw_join };

skua_task *skuai_join_target(const skua_op *op) { return op->kind == &join_kind ? op->owner : NULL; }

skua_op *skua_join_prepare(skua_join_op *op, skua_task *task)
{
    op->value = 0;
    return skuai_op_prepare(&op->op, &join_kind, task);
}

void skuai_join_start_here(struct skuai_worker *worker, skua_join_op *op, skua_task *task)
{
    start_join(worker, skua_join_prepare(op, task), true);
}

skua_op *skua_join_start(skua_join_op *op, skua_task *task) { return skuai_op_start(skua_join_prepare(op, task)); }

/* From outside of a simulation, whose workers run on this thread meanwhile. */
static int join_simulated(struct skuai_worker *worker, struct skuai_scheduler *sched, skua_join_op *op, skua_task *task)
{
    if (skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0)
        return -ENOTSUP;
    if (!skuai_sim_is_owner(sched->env.sim))
        return -EPERM;
    int rc = worker != NULL ? skuai_interruption(worker) : 0;
    if (rc == 0)
        rc = skuai_task_check_handle(task, "skua_join");
    if (rc < 0)
        return rc;
    skua_join_prepare(op, task);
    attach_from_outside(worker, sched, op, task);
    rc = skuai_sim_run(sched->env.sim, &op->op.state, SKUAI_OP_DONE);
    return rc < 0 && withdraw_join(&op->op) ? rc : (int)skua_await(&op->op);
}

/* On the thread that turns an embedded runtime, where nobody else would run the task. */
static int join_embedded(struct skuai_scheduler *sched, skua_join_op *op, skua_task *task)
{
    int rc = skuai_task_check_handle(task, "skua_join");
    if (rc < 0)
        return rc;
    skua_join_prepare(op, task);
    attach_from_outside(NULL, sched, op, task);
    rc = sched->embed->drive(sched, &op->op.state, SKUAI_OP_DONE, skuai_thread_deadline_ns());
    return rc == -ETIMEDOUT && withdraw_join(&op->op) ? rc : (int)skua_await(&op->op); /* -EBUSY: somebody else does */
}

static bool is_driven(const struct skuai_worker *worker, const struct skuai_scheduler *sched)
{
    if (SKUAI_UNLIKELY(sched->embed != NULL))
        return worker == NULL && skuai_load_32(sched->alive_here, SKUAI_RELAXED) != 0 && /* no fork's child */
               sched->embed->is_embedder(sched);
    return sched->env.sim != NULL;
}

int skua_join(skua_task *task, int64_t *result)
{
    skua_join_op op;
    if (SKUAI_UNLIKELY(task == NULL))
        return skuai_task_refuse(task, "skua_join");
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    bool can_wait = worker == NULL || (worker->task != NULL && worker->polling == 0);
    int rc;
    if (SKUAI_UNLIKELY((worker == NULL || worker->sched != sched) && can_wait && is_driven(worker, sched)))
        rc = sched->embed != NULL ? join_embedded(sched, &op, task) : join_simulated(worker, sched, &op, task);
    else
        rc = (int)skuai_call(skua_join_prepare(&op, task));
    if (rc == 0 && result != NULL)
        *result = op.value;
    return rc;
}

int skua_try_join(skua_task *task, int64_t *result)
{
    if (SKUAI_UNLIKELY(task == NULL))
        return skuai_task_refuse(task, "skua_try_join");
    if (SKUAI_UNLIKELY(skuai_load_32(skuai_task_scheduler(task)->alive_here, SKUAI_RELAXED) == 0)) /* as in detach */
        return -ENOTSUP;
    int rc = skuai_task_check_handle(task, "skua_try_join");
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (!has_ended(task))
        return -EAGAIN;
    if (result != NULL)
        *result = task->result;
    skuai_task_release(task);
    return 0;
}
