/* Waiting for groups and for their members' results. What that does to the group is group.c's (N3, N4). */
#include "sync/group.h"

#include <errno.h>
#include <stdio.h>

#include "sched/scheduler.h"

/* ---- the wait -------------------------------------------------------------------------------------------------- */

/* Of a wait that was interrupted: the members are cancelled, and waited for whatever happens. */
static int64_t give_up(skua_group *group, int64_t interruption)
{
    skua_group_op op;
    skua_scope shield;
    skuai_group_cancel_living(group);
    skua_shield_enter(&shield);
    (void)skuai_call(skua_group_idle_prepare(&op, group));
    skua_scope_leave(&shield);
    return interruption;
}

int64_t skua_group_wait(skua_group *group)
{
    int64_t outcome;
    struct skuai_worker *worker = skuai_worker_self();
    int64_t rc = skuai_call_begin(worker, "skua_group_wait");
    if (SKUAI_LIKELY(rc == 0)) {
        if (skuai_group_try_finish(group, &outcome))
            return skuai_call_end(worker, outcome);
        skua_group_op op;
        rc = skuai_call(skua_group_idle_prepare(&op, group));
        if (SKUAI_LIKELY(rc == 0))
            return op.value;
    }
    return rc == -ECANCELED || rc == -ETIMEDOUT ? give_up(group, rc) : rc;
}

int64_t skua_group_wait_until(skua_group *group, uint64_t instant_ns)
{
    skua_scope scope;
    skua_deadline_enter(&scope, instant_ns);
    int64_t outcome = skua_group_wait(group);
    skua_scope_leave(&scope);
    return outcome;
}

int64_t skua_group_try_wait(skua_group *group)
{
    int64_t outcome;
    return skuai_group_try_finish(group, &outcome) ? outcome : -EAGAIN;
}

skua_op *skua_group_idle_start(skua_group_op *op, skua_group *group)
{
    return skuai_op_start(skua_group_idle_prepare(op, group));
}

/* In a future. The op is never withdrawn: an interruption cancels the members instead, and the op ends with them. A
 * cancellation that follows a deadline has nothing left to do. */
static enum skua_poll poll_wait(skua_frame *frame)
{
    skua_group_waiting *waiting = (skua_group_waiting *)(void *)frame;
    struct skuai_worker *worker = skuai_worker_self();
    skua_op *op = &waiting->op.op;
    if (frame->resume == 0) {
        if (SKUAI_UNLIKELY(worker->budget == 0)) {
            skuai_frame_requeue(worker, frame);
            return SKUA_PENDING;
        }
        worker->budget--;
        frame->resume = 1;
        frame->awaited = (uintptr_t)skua_group_idle_prepare(&waiting->op, waiting->group);
        skuai_op_kind_of(op)->start(worker, op, true);
    }
    int rc = waiting->interruption == 0 ? skuai_interruption(worker) : 0;
    if (SKUAI_UNLIKELY(rc < 0)) {
        waiting->interruption = rc;
        if (!skuai_op_is_done(op))
            skuai_group_cancel_living(waiting->group);
    }
    if (!skuai_op_is_done(op)) {
        worker->leaf = frame;
        return SKUA_PENDING;
    }
    frame->result = op->result < 0 ? op->result : waiting->interruption < 0 ? waiting->interruption : waiting->op.value;
    frame->flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

skua_frame *skua_group_wait_start(skua_group_waiting *waiting, skua_group *group)
{
    waiting->group = group;
    waiting->interruption = 0;
    return skua_frame_init(&waiting->frame, poll_wait);
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static int give(const skua_group_op *op, int64_t rc, skua_group_result *result)
{
    if (rc == 1)
        *result = (skua_group_result){ .value = op->value, .tag = op->tag };
    return (int)rc;
}

int skua_group_next(skua_group *group, skua_group_result *result)
{
    skua_group_op op;
    int64_t rc = skuai_call(skua_group_next_prepare(&op, group));
    return give(&op, rc, result);
}

int skua_group_next_until(skua_group *group, skua_group_result *result, uint64_t instant_ns)
{
    skua_group_op op;
    int64_t rc = skuai_call_until(skua_group_next_prepare(&op, group), instant_ns);
    return give(&op, rc, result);
}

int skua_group_try_next(skua_group *group, skua_group_result *result)
{
    skua_group_op op;
    skua_op *started = skua_group_next_prepare(&op, group);
    skuai_op_kind_of(started)->start(NULL, started, false);
    return give(&op, skuai_op_is_done(started) ? started->result : -EAGAIN, result);
}

skua_op *skua_group_next_start(skua_group_op *op, skua_group *group)
{
    return skuai_op_start(skua_group_next_prepare(op, group));
}

/* ---- the end of a group ---------------------------------------------------------------------------------------- */

void skuai_group_leave(skua_group *group)
{
    int64_t outcome;
    if (!skuai_group_try_finish(group, &outcome))
        (void)give_up(group, 0);
}

#if defined(SKUAI_DEBUG)
struct names {
    char text[256];
    int length;
};

static void add_name(void *context, skua_task *task)
{
    struct names *names = context;
    int room = (int)sizeof names->text - names->length;
    const char *name = skuai_task_name(task);
    if (room > 1)
        names->length += snprintf(names->text + names->length, (size_t)room, " %llu%s%s",
                                  (unsigned long long)skuai_task_id(task), name[0] != '\0' ? " " : "", name);
}

static void report_alive(skua_group *group)
{
    struct names names = { .text = "was given a group with members alive:" };
    names.length = (int)sizeof "was given a group with members alive:" - 1;
    skuai_group_each_member(group, add_name, &names);
    skuai_misuse("skua_group_fini", names.text, "wait for them with skua_group_wait()");
}
#else
static void report_alive(skua_group *group) { (void)group; }
#endif

void skua_group_fini(skua_group *group)
{
    int64_t outcome;
    if (skuai_group_try_finish(group, &outcome))
        return;
    report_alive(group);
    (void)give_up(group, 0);
}

void skua_group_count(skua_group *group, skua_group_counts *counts)
{
    skuai_lock_acquire(skuai_group_lock(group));
    *counts = (skua_group_counts){ .started = group->started, .failed = group->failed, .canceled = group->canceled,
                                   .error = group->error, .live = group->live,
                                   .is_canceled = (group->state & SKUAI_GROUP_CANCELED) != 0 };
    skuai_lock_release(skuai_group_lock(group));
}
