/* The state of a group, which its lock guards: who lives, what has failed, what was kept, who waits.
 *
 *   N1 admit    a task that is about to be queued is linked and counted, if the group is not cancelled. One that has a
 *               reserved place is counted already
 *   N2 end      a member that has ended is unlinked; its result is judged, and kept or given to a taker if the group
 *               collects; its place goes to whoever waits for one, or `live` falls. That is its last access to the
 *               group, whose memory may go when the lock is released and `live` is 0
 *   N3 cancel   sets CANCELED, so that nobody is admitted any more; then, some at a time, cancels members under the
 *               lock (a linked one has not been freed) and moves them to the second list. Those that it must queue it
 *               queues without the lock: nobody else does, so they stay as they are until then. Whoever does this
 *               keeps the group there: a waiter, who has not returned; a member that has failed, which is not
 *               unlinked before it is through
 *   N4 wait     done when `live` is 0: at once, or by N2. The first that is served gets the outcome, and the accounts
 *               are begun anew at the next use
 *   N5 place    of a limited group: counted in `live` from when it is given
 *
 * While a taker waits nothing is kept. While somebody waits for a place all are taken and the group is not cancelled.
 * Model: tests/model/model_group.c.
 */
#include "sync/group.h"

#include <errno.h>

#include "sched/scheduler.h"

_Static_assert(offsetof(skua_group, kind) == offsetof(struct skuai_member_owner, kind), "a group is an owner");

#if !defined(SKUAI_GROUP_CANCEL_BATCH)
#define SKUAI_GROUP_CANCEL_BATCH 32 /* untuned: members cancelled in one hold of the lock, some 10 ns each */
#endif

static skua_group *group_of(const skua_task *task) { return (skua_group *)(void *)skuai_member_of(task)->owner; }
static bool group_has(const skua_group *group, uint32_t flag) { return (SKUAI_READ(group->state) & flag) != 0; }
static void group_set(skua_group *group, uint32_t flag) { SKUAI_WRITE(group->state, SKUAI_READ(group->state) | flag); }
static void group_unset(skua_group *group, uint32_t flag)
{
    SKUAI_WRITE(group->state, SKUAI_READ(group->state) & ~flag);
}
static bool keeps_going(const skua_group *group) { return (group->options & SKUA_GROUP_KEEP_GOING) != 0; }
static bool collects(const skua_group *group) { return (group->options & SKUA_GROUP_COLLECT) != 0; }
static bool group_is_empty(const skua_group *group) { return SKUAI_READ(group->live) == 0; }

/* After a wait. */
static void begin_use_locked(skua_group *group)
{
    if (SKUAI_LIKELY(!group_has(group, SKUAI_GROUP_WAITED)))
        return;
    group_unset(group, SKUAI_GROUP_WAITED);
    group->started = group->failed = group->canceled = 0;
    SKUAI_WRITE(group->error, 0);
}

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

/* Ended members are linked by their records' `next`, oldest first. */
static void keep_locked(skua_group *group, skua_task *task)
{
    SKUAI_WRITE(skuai_member_of(task)->next, NULL);
    if (SKUAI_READ(group->ended_first) == NULL)
        SKUAI_WRITE(group->ended_first, task);
    else
        SKUAI_WRITE(skuai_member_of(group->ended_last)->next, task);
    SKUAI_WRITE(group->ended_last, task);
}

static skua_task *take_kept_locked(skua_group *group)
{
    skua_task *task = SKUAI_READ(group->ended_first);
    if (task != NULL)
        SKUAI_WRITE(group->ended_first, SKUAI_READ(skuai_member_of(task)->next));
    return task;
}

/* The group had the handle. Without the lock. */
static void drop_chain(skua_task *task)
{
    for (skua_task *next; task != NULL; task = next) {
        next = SKUAI_READ(skuai_member_of(task)->next);
        skuai_task_release(task);
    }
}

static void tell_result(skua_group_op *op, const skua_task *task, int64_t result)
{
    SKUAI_WRITE(op->value, result);
    SKUAI_WRITE(op->tag, SKUAI_READ(skuai_member_of(task)->tag[0]));
}

/* ---- N4: the end ----------------------------------------------------------------------------------------------- */

/* Nobody is alive, and somebody is told so. Gives what was kept, to be dropped. */
static int64_t finish_locked(skua_group *group, skua_task **kept)
{
    int64_t outcome = group_has(group, SKUAI_GROUP_WAITED) ? 0 : SKUAI_READ(group->error);
    if (outcome == 0 && group_has(group, SKUAI_GROUP_CANCELED))
        outcome = -ECANCELED;
    group_set(group, SKUAI_GROUP_WAITED);
    group_unset(group, SKUAI_GROUP_CANCELED);
    *kept = SKUAI_READ(group->ended_first);
    SKUAI_WRITE(group->ended_first, NULL);
    return outcome;
}

static void tell_empty_locked(skua_group *group, struct skuai_fires *fires, skua_task **kept)
{
    skua_op *op;
    bool is_told = false;
    int64_t outcome = 0;
    while ((op = skuai_waiters_claim(&group->takers)) != NULL)
        skuai_fires_add(fires, op, 0);
    while ((op = skuai_waiters_claim(&group->waiters)) != NULL) {
        if (!is_told)
            outcome = finish_locked(group, kept);
        is_told = true;
        SKUAI_WRITE(((skua_group_op *)(void *)op)->value, outcome);
        skuai_fires_add(fires, op, 0);
    }
}

/* N5, or N4. */
static void leave_place_locked(skua_group *group, struct skuai_fires *fires, skua_task **kept)
{
    skua_op *next = group->limit != 0 ? skuai_waiters_claim(&group->spawners) : NULL;
    if (next != NULL) {
        skuai_fires_add(fires, next, 0);
        return;
    }
    SKUAI_WRITE(group->live, SKUAI_READ(group->live) - 1);
    if (group_is_empty(group))
        tell_empty_locked(group, fires, kept);
}

bool skuai_group_try_finish(skua_group *group, int64_t *outcome)
{
    skua_task *kept = NULL;
    skuai_lock_acquire(skuai_group_lock(group)); /* its last holder's last access to the group is over */
    bool finished = group_is_empty(group);
    if (finished)
        *outcome = finish_locked(group, &kept);
    skuai_lock_release(skuai_group_lock(group));
    drop_chain(kept);
    return finished;
}

/* ---- N3: cancelling -------------------------------------------------------------------------------------------- */

static void set_canceled_locked(skua_group *group, struct skuai_fires *fires)
{
    skua_op *op;
    group_set(group, SKUAI_GROUP_CANCELED);
    while ((op = skuai_waiters_claim(&group->spawners)) != NULL)
        skuai_fires_add(fires, op, -ECANCELED);
}

/* Those that wait come back, linked by the header's `next`, which is the queues' and so theirs who must queue them. */
static skua_task *cancel_some_locked(skua_group *group)
{
    skua_task *task, *first = NULL, *last = NULL;
    for (int i = 0; i < SKUAI_GROUP_CANCEL_BATCH && (task = SKUAI_READ(group->members)) != NULL; i++) {
        skuai_members_unlink(task);
        skuai_members_link(&group->canceled_members, task);
        if (skuai_task_word_cancel(&task->word) != SKUAI_TASK_ENQUEUE)
            continue;
        skuai_store_ptr(&task->next, NULL, SKUAI_RELAXED); /* ours until it is queued */
        if (first == NULL)
            first = task;
        else
            skuai_store_ptr(&last->next, task, SKUAI_RELAXED);
        last = task;
    }
    return first;
}

/* A task of another runtime may end at once, and its runtime with it, while we are still at that runtime's queues. */
static void queue_chain(skua_task *task)
{
    for (skua_task *next; task != NULL; task = next) {
        next = skuai_load_ptr(&task->next, SKUAI_RELAXED);
        void *held = skuai_sink_hold((uintptr_t)task | SKUAI_SINK_TASK);
        skuai_schedule_woken(task);
        if (held != NULL)
            skuai_sink_unhold(held);
    }
}

static void cancel_members(skua_group *group)
{
    bool more;
    do {
        skuai_lock_acquire(skuai_group_lock(group));
        skua_task *waiting = cancel_some_locked(group);
        more = SKUAI_READ(group->members) != NULL;
        skuai_lock_release(skuai_group_lock(group));
        queue_chain(waiting);
    } while (more);
}

void skua_group_cancel(skua_group *group)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(skuai_group_lock(group));
    begin_use_locked(group);
    set_canceled_locked(group, &fires);
    bool has_members = SKUAI_READ(group->members) != NULL;
    skuai_lock_release(skuai_group_lock(group));
    skuai_fires_finish(&fires);
    if (has_members)
        cancel_members(group);
}

void skuai_group_cancel_living(skua_group *group)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skuai_lock_acquire(skuai_group_lock(group));
    bool lives = !group_is_empty(group);
    if (lives)
        set_canceled_locked(group, &fires);
    skuai_lock_release(skuai_group_lock(group));
    skuai_fires_finish(&fires);
    if (lives)
        cancel_members(group);
}

/* ---- N1, N2: members come and go ------------------------------------------------------------------------------- */

int skuai_group_admit(struct skuai_joining *joining, skua_task *task)
{
    struct skuai_group_entry *entry = (struct skuai_group_entry *)(void *)joining;
    skua_group *group = (skua_group *)(void *)joining->owner;
    skuai_lock_acquire(skuai_group_lock(group));
    bool is_canceled = group_has(group, SKUAI_GROUP_CANCELED);
    if (SKUAI_LIKELY(!is_canceled)) {
        begin_use_locked(group);
        skuai_members_link(&group->members, task);
        if (joining->keeps && !entry->has_tag)
            SKUAI_WRITE(skuai_member_of(task)->tag[0], group->started);
        group->started++;
        if (!entry->has_place)
            SKUAI_WRITE(group->live, SKUAI_READ(group->live) + 1);
    }
    skuai_lock_release(skuai_group_lock(group));
    return is_canceled ? -ECANCELED : 0;
}

/* Whether the others are to be cancelled for it. */
static bool judge_locked(skua_group *group, int64_t result)
{
    if (SKUAI_LIKELY(result >= 0))
        return false;
    if (result == -ECANCELED && group_has(group, SKUAI_GROUP_CANCELED)) {
        group->canceled++;
        return false;
    }
    group->failed++;
    if (SKUAI_READ(group->error) == 0)
        SKUAI_WRITE(group->error, result);
    /* No model test needs the check: once is enough. */
    return !keeps_going(group) && !group_has(group, SKUAI_GROUP_CANCELED);
}

/* A member that has failed is still counted while it cancels the others. */
static void fail_locked(skua_group *group, struct skuai_fires *fires)
{
    set_canceled_locked(group, fires);
    skuai_lock_release(skuai_group_lock(group));
    cancel_members(group);
    skuai_lock_acquire(skuai_group_lock(group));
}

/* The result of one that has ended: to a taker, who is told, or to the kept. Whether the task is to be dropped. */
static bool collect_locked(skua_group *group, skua_task *task, int64_t result, struct skuai_fires *fires)
{
    skua_op *taker = skuai_waiters_claim(&group->takers);
    if (taker == NULL) {
        keep_locked(group, task);
        return false;
    }
    tell_result((skua_group_op *)(void *)taker, task, result);
    skuai_fires_add(fires, taker, 1);
    return true;
}

static void member_ended(skua_task *task, int64_t result)
{
    skua_group *group = group_of(task);
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_task *kept = NULL;
    bool is_dropped = false;
    skuai_lock_acquire(skuai_group_lock(group));
    if (SKUAI_UNLIKELY(judge_locked(group, result)))
        fail_locked(group, &fires);
    skuai_members_unlink(task);
    if (SKUAI_UNLIKELY(collects(group)))
        is_dropped = collect_locked(group, task, result, &fires);
    leave_place_locked(group, &fires, &kept);
    skuai_lock_release(skuai_group_lock(group));
    skuai_fires_finish(&fires);
    if (is_dropped)
        skuai_task_release(task);
    if (SKUAI_UNLIKELY(kept != NULL))
        drop_chain(kept);
}

/* Its memory is the runtime's, which is about to go: nothing of it is kept. */
static void member_abandoned(skua_task *task, int64_t result)
{
    skua_group *group = group_of(task);
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_task *kept = NULL;
    skuai_lock_acquire(skuai_group_lock(group));
    if (judge_locked(group, result)) /* others may be of other runtimes */
        fail_locked(group, &fires);
    skuai_members_unlink(task);
    leave_place_locked(group, &fires, &kept);
    skuai_lock_release(skuai_group_lock(group));
    skuai_fires_finish(&fires);
    drop_chain(kept);
}

static const struct skuai_member_kind member_kind = { .ended = member_ended, .abandoned = member_abandoned,
                                                      .is_group = true };

static bool is_own_member(struct skuai_worker *worker, const skua_group *group)
{
    const skua_task *task = worker != NULL ? worker->task : NULL;
    return task != NULL && skuai_task_word_is_member(&task->word) && group_of(task) == group;
}

void skuai_group_each_member(skua_group *group, void (*visit)(void *context, skua_task *task), void *context)
{
    skua_task *lists[2];
    skuai_lock_acquire(skuai_group_lock(group));
    lists[0] = group->members;
    lists[1] = group->canceled_members;
    for (int i = 0; i < 2; i++)
        for (skua_task *task = lists[i]; task != NULL; task = skuai_member_of(task)->next)
            visit(context, task);
    skuai_lock_release(skuai_group_lock(group));
}

void skuai_group_entry_init(struct skuai_group_entry *entry, skua_group *group, const skua_member_attr *attr)
{
    *entry = (struct skuai_group_entry){
        .joining = { .owner = (struct skuai_member_owner *)(void *)group, .admit = skuai_group_admit,
                     .keeps = collects(group) }
    };
    if (attr != NULL) {
        entry->has_tag = (attr->flags & SKUA_MEMBER_TAGGED) != 0;
        entry->joining.tag = attr->tag;
    }
}

/* ---- N5: places ------------------------------------------------------------------------------------------------ */

/* 0, -ECANCELED, or -EAGAIN. Those who wait come first. */
static int place_state_locked(skua_group *group)
{
    if (group_has(group, SKUAI_GROUP_CANCELED))
        return -ECANCELED;
    return SKUAI_READ(group->live) < group->limit ? 0 : -EAGAIN;
}

static void take_place_locked(skua_group *group)
{
    begin_use_locked(group);
    SKUAI_WRITE(group->live, SKUAI_READ(group->live) + 1);
}

int skuai_group_try_place(skua_group *group)
{
    skuai_lock_acquire(skuai_group_lock(group));
    int rc = place_state_locked(group);
    if (rc == 0)
        take_place_locked(group);
    skuai_lock_release(skuai_group_lock(group));
    return rc;
}

void skuai_group_give_place(skua_group *group)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_task *kept = NULL;
    skuai_lock_acquire(skuai_group_lock(group));
    leave_place_locked(group, &fires, &kept);
    skuai_lock_release(skuai_group_lock(group));
    skuai_fires_finish(&fires);
    drop_chain(kept);
}

/* ---- the ops --------------------------------------------------------------------------------------------------- */

static bool withdraw_from(skua_op *op, skua_waiters *waiters)
{
    return skuai_waiters_withdraw(skuai_group_lock(op->owner), waiters, op);
}

static void wait_for(struct skuai_worker *worker, skua_op *op, skua_waiters *waiters)
{
    skuai_op_arm_here(worker, op);
    skuai_waiters_append(waiters, op);
}

/* A simulation runs on the thread that would be blocked. */
static bool is_simulated_elsewhere(const struct skuai_worker *worker, const skua_group *group)
{
    const struct skuai_scheduler *sched = (const struct skuai_scheduler *)(const void *)group->runtime;
    return SKUAI_UNLIKELY(worker == NULL && sched != NULL && sched->env.sim != NULL);
}

/* What needs no lock to be refused: whether `error` says so, or who calls. */
static bool refuses(struct skuai_worker *worker, skua_op *op, bool may_wait, int error)
{
    if (may_wait && is_simulated_elsewhere(worker, op->owner))
        error = -EPERM;
    if (SKUAI_LIKELY(error == 0))
        return false;
    if (skuai_op_claim_own(op))
        skuai_op_set_done(op, error);
    return true;
}

static void start_idle(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_group *group = op->owner;
    skua_task *kept = NULL;
    if (refuses(worker, op, may_wait, is_own_member(worker, group) ? -EDEADLK : 0))
        return;
    skuai_lock_acquire(skuai_group_lock(group));
    bool is_done = group_is_empty(group) && skuai_op_claim_own(op);
    if (is_done)
        ((skua_group_op *)(void *)op)->value = finish_locked(group, &kept);
    else if (!group_is_empty(group) && may_wait)
        wait_for(worker, op, &group->waiters);
    skuai_lock_release(skuai_group_lock(group));
    if (is_done)
        skuai_op_set_done(op, 0);
    drop_chain(kept);
}
static bool withdraw_idle(skua_op *op) { return withdraw_from(op, &((skua_group *)op->owner)->waiters); }

static void start_next(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_group *group = op->owner;
    skua_task *task = NULL;
    if (refuses(worker, op, may_wait, collects(group) ? 0 : -EINVAL))
        return;
    skuai_lock_acquire(skuai_group_lock(group));
    bool is_ready = SKUAI_READ(group->ended_first) != NULL || group_is_empty(group);
    bool is_done = is_ready && skuai_op_claim_own(op);
    if (is_done)
        task = take_kept_locked(group);
    else if (!is_ready && may_wait)
        wait_for(worker, op, &group->takers);
    skuai_lock_release(skuai_group_lock(group));
    if (!is_done)
        return;
    if (task != NULL) {
        tell_result((skua_group_op *)(void *)op, task, SKUAI_READ(task->result));
        skuai_task_release(task);
    }
    skuai_op_set_done(op, task != NULL);
}
static bool withdraw_next(skua_op *op) { return withdraw_from(op, &((skua_group *)op->owner)->takers); }

static void start_reserve(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_group *group = op->owner;
    if (refuses(worker, op, may_wait, group->limit != 0 ? 0 : -EINVAL))
        return;
    skuai_lock_acquire(skuai_group_lock(group));
    int rc = place_state_locked(group);
    bool is_done = rc != -EAGAIN && skuai_op_claim_own(op);
    if (is_done && rc == 0)
        take_place_locked(group);
    else if (rc == -EAGAIN && may_wait)
        wait_for(worker, op, &group->spawners);
    skuai_lock_release(skuai_group_lock(group));
    if (is_done)
        skuai_op_set_done(op, rc);
}
static bool withdraw_reserve(skua_op *op) { return withdraw_from(op, &((skua_group *)op->owner)->spawners); }

static const struct skuai_op_kind idle_kind = { .name = "skua_group_wait", .start = start_idle,
                                                .withdraw = withdraw_idle };
static const struct skuai_op_kind next_kind = { .name = "skua_group_next", .start = start_next,
                                                .withdraw = withdraw_next };
static const struct skuai_op_kind reserve_kind = { .name = "skua_group_reserve", .start = start_reserve,
                                                   .withdraw = withdraw_reserve };

static skua_op *prepare_op(skua_group_op *op, const struct skuai_op_kind *kind, skua_group *group)
{
    op->value = 0;
    op->tag = 0;
    return skuai_op_prepare(&op->op, kind, group);
}
skua_op *skua_group_idle_prepare(skua_group_op *op, skua_group *group) { return prepare_op(op, &idle_kind, group); }
skua_op *skua_group_next_prepare(skua_group_op *op, skua_group *group) { return prepare_op(op, &next_kind, group); }
skua_op *skua_group_reserve_prepare(skua_group_op *op, skua_group *group)
{
    return prepare_op(op, &reserve_kind, group);
}

void skua_group_init_with(skua_group *group, const skua_group_attr *attr)
{
    *group = (skua_group){ .kind = &member_kind };
    if (attr == NULL)
        return;
    group->runtime = attr->runtime;
    group->limit = attr->limit;
    group->options = attr->flags;
}
