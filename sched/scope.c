/* See scope.h. */
#include "sched/scope.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/spawn.h"
#include "sched/timers.h"
#include "skua/time.h"
#include "sched/wait.h"

enum scope_kind { SHIELD, DEADLINE, CANCEL };
enum scope_flag {
    EXPIRED = 1, /* it had passed, or was cancelled, when it was entered */
    TIMED = 2    /* it has an op under way: what cancels it, or a timer, being the earliest of those not masked */
};

_Static_assert(sizeof(skua_sleep_op) <= sizeof((skua_scope){ .outer = NULL }.timer), "skua_scope has room for a timer");

/* What ends it: a sleep, or what cancels it. */
static skua_op *op_of(const skua_scope *scope) { return (skua_op *)(uintptr_t)scope->timer; }

bool skua_scope_expired(const skua_scope *scope)
{
    if (scope->kind != DEADLINE)
        return false;
    if (scope->flags & EXPIRED)
        return true;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL)
        return skuai_clock_now() >= scope->instant_ns;
    return (scope->flags & TIMED) && skuai_op_is_done(op_of(scope));
}

static bool is_canceled(const skua_scope *scope)
{
    return scope->kind == CANCEL &&
           ((scope->flags & EXPIRED) || ((scope->flags & TIMED) && skuai_op_is_done(op_of(scope))));
}

bool skuai_scopes_shield(const skua_scope *innermost, uint32_t *say)
{
    for (const skua_scope *scope = innermost; scope != NULL; scope = scope->outer) {
        if (scope->kind == SHIELD)
            return true;
        if (is_canceled(scope))
            *say |= SKUAI_SCOPES_CANCELED;
        else if (skua_scope_expired(scope))
            *say |= SKUAI_SCOPES_EXPIRED;
    }
    return false;
}

uint64_t skuai_scopes_deadline_ns(const skua_scope *innermost)
{
    uint64_t instant = SKUA_NEVER;
    for (const skua_scope *scope = innermost; scope != NULL && scope->kind != SHIELD; scope = scope->outer)
        instant = scope->instant_ns < instant ? scope->instant_ns : instant;
    return instant;
}

uint64_t skuai_thread_deadline_ns(void) { return skuai_scopes_deadline_ns(*skuai_thread_scopes()); }

int skuai_thread_interruption(void)
{
    for (const skua_scope *scope = *skuai_thread_scopes(); scope != NULL && scope->kind != SHIELD; scope = scope->outer)
        if (is_canceled(scope))
            return -ECANCELED;
    uint64_t deadline = skuai_thread_deadline_ns();
    return deadline != SKUA_NEVER && skuai_clock_now() >= deadline ? -ETIMEDOUT : 0;
}

static skua_scope **innermost_of(struct skuai_worker *worker)
{
    if (worker == NULL || worker->task == NULL)
        return skuai_thread_scopes();
    return worker->child != NULL ? &worker->child->scope : &worker->task->scope;
}

static void enter_scope(struct skuai_worker *worker, skua_scope *scope, enum scope_kind kind, uint64_t instant_ns)
{
    skua_scope **innermost = innermost_of(worker);
    *scope = (skua_scope){ .outer = *innermost, .kind = kind, .instant_ns = instant_ns };
    *innermost = scope;
    if (worker != NULL && worker->task != NULL)
        skuai_parallel_scope(worker);
}

void skua_shield_enter(skua_scope *scope) { enter_scope(skuai_worker_self(), scope, SHIELD, SKUA_NEVER); }

static void count_timed(struct skuai_worker *worker, int change)
{
    if (worker->task->run == skuai_fiber_run)
        ((struct skuai_fiber *)SKUAI_TASK_BODY(worker->task))->timed_scopes += change;
}

/* A deadline that is not earlier than those around it in the same child has passed after them: it needs no timer. */
void skua_deadline_enter(skua_scope *scope, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    bool is_earliest = instant_ns < skuai_scopes_deadline_ns(*innermost_of(worker));
    enter_scope(worker, scope, DEADLINE, instant_ns);
    if (worker == NULL || worker->task == NULL || !is_earliest)
        return;
    skua_op *op = skuai_sleep_prepare(op_of(scope), instant_ns);
    if (instant_ns <= skuai_env_now(&worker->sched->env)) {
        scope->flags |= EXPIRED;
    } else {
        scope->flags |= TIMED;
        count_timed(worker, 1);
        skuai_sleep_arm(worker, op, skuai_timer_of_sleep(op));
    }
}

void skuai_scope_enter_until(skua_scope *scope, const struct skuai_op_kind *kind, void *owner)
{
    struct skuai_worker *worker = skuai_worker_self();
    skua_op *op = op_of(scope);
    enter_scope(worker, scope, CANCEL, SKUA_NEVER);
    kind->start(worker, skuai_op_prepare(op, kind, owner), true);
    if (skuai_op_is_done(op)) {
        scope->flags |= EXPIRED;
        return;
    }
    scope->flags |= TIMED;
    if (worker != NULL && worker->task != NULL)
        count_timed(worker, 1);
}

static void stop_timer(struct skuai_worker *worker, skua_scope *scope)
{
    skua_op *op = op_of(scope);
    bool in_task = worker != NULL && worker->task != NULL;
    while (!skuai_op_interrupt(op, -ECANCELED)) /* O5: claimed, and done in a few instructions */
        in_task ? skuai_env_pause(&worker->sched->env) : skuai_lock_wait_hint();
    if (op->result == 0)
        scope->flags |= EXPIRED;
    scope->flags &= ~(uint32_t)TIMED;
    if (in_task)
        count_timed(worker, -1);
}

void skua_scope_leave(skua_scope *scope)
{
    struct skuai_worker *worker = skuai_worker_self();
    skua_scope **innermost = innermost_of(worker);
    if (SKUAI_UNLIKELY(*innermost != scope)) {
        skuai_misuse("skua_scope_leave", "was given a scope that is not the innermost one of the calling task",
                     "leave scopes in the reverse order of entering, in the same task and set child");
        return;
    }
    *innermost = scope->outer;
    if (scope->flags & TIMED)
        stop_timer(worker, scope);
    if (worker != NULL && worker->task != NULL)
        skuai_parallel_scope(worker);
}

void skuai_scope_misuse(void)
{
    skuai_misuse("the end of a task or future", "came inside a shield or deadline",
                 "leave every scope that was entered");
}

skua_scope *skuai_scope_left_open(struct skuai_worker *worker, skua_scope *innermost, skua_scope *around)
{
    skuai_scope_misuse();
    for (skua_scope *scope = innermost; scope != NULL && scope != around; scope = scope->outer)
        if (scope->flags & TIMED)
            stop_timer(worker, scope);
    return around;
}
