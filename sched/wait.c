/* Waiting for ops: fibers, and threads outside of any task. (Futures: frame.c.) */
#include "sched/wait.h"

#include <errno.h>
#include <stdio.h>

#include "sched/rest.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/spawn.h"

/* Where nothing can wait. */
static __attribute__((noinline, cold)) int refuse(const struct skuai_worker *worker, const char *call, const char *was)
{
    char text[64], instead[96];
    bool in_task = worker->task != NULL;
    snprintf(text, sizeof text, "was %s %s", was,
             in_task ? "inside a future's body" : "in a callback on a worker, outside of any task");
    snprintf(instead, sizeof instead, in_task ? "use SKUA_AWAIT with %s_start()" : "spawn a task for it", call);
    return skuai_misuse(call, text, instead);
}

static bool cannot_wait(const struct skuai_worker *worker) { return worker->task == NULL || worker->polling != 0; }

/* `worker` is the calling thread's, here and below: to ask for it again and again costs as much as the rest. */
SKUAI_HOT static skua_op *start_op(struct skuai_worker *worker, skua_op *op)
{
    int rc = 0;
    if (SKUAI_UNLIKELY(worker == NULL))
        rc = skuai_thread_interruption();
    else if (SKUAI_UNLIKELY(worker->task == NULL))
        rc = refuse(worker, skuai_op_kind_of(op)->name, "called");
    else
        rc = skuai_interruption(worker);
    if (SKUAI_UNLIKELY(rc < 0))
        return skuai_op_set_done(op, rc);
    if (SKUAI_UNLIKELY(worker != NULL && worker->budget == 0) && skuai_op_kind_of(op)->holds) {
        skuai_store_32(&op->state, SKUAI_OP_AGAIN, SKUAI_RELAXED); /* owner only: nobody else knows the op */
        return op;
    }
    skuai_op_kind_of(op)->start(worker, op, true);
    return op;
}

bool skuai_op_retry(struct skuai_worker *worker, skua_op *op)
{
    if (worker->budget == 0)
        return false;
    worker->budget--;
    skuai_op_kind_of(op)->start(worker, op, true);
    return true;
}

SKUAI_HOT skua_op *skuai_op_start(skua_op *op) { return start_op(skuai_worker_self(), op); }

int skuai_call_begin_rarely(struct skuai_worker *worker, const char *call)
{
    if (worker == NULL)
        return skuai_thread_interruption();
    if (cannot_wait(worker))
        return refuse(worker, call, "called");
    int rc = skuai_interruption(worker);
    if (SKUAI_UNLIKELY(rc < 0))
        return (int)skuai_call_end(worker, rc); /* a loop of these must let others run, too */
    return 0;
}

void skuai_call_yield(struct skuai_worker *worker) { skuai_fiber_suspend(worker, SKUAI_POST_REQUEUE); }

void skuai_thread_wait(skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    struct skuai_rest rest;
    skuai_rest_begin(&rest, SKUAI_REST_THREAD, until_ns == SKUA_NEVER);
    skuai_word_wait_real(word, value, until_ns);
    skuai_rest_end(&rest, SKUAI_REST_THREAD, until_ns == SKUA_NEVER);
}

/* An op of a plain thread whose time has come: no timer knows it. True: it is done. */
static bool expire_own(skua_op *op)
{
    if (skuai_op_kind_of(op)->expired == NULL)
        return skuai_op_interrupt(op, 0);
    if (!skuai_op_claim(op))
        return false;
    skuai_op_kind_of(op)->expired(op);
    skuai_op_set_done(op, 0);
    return true;
}

/* The completer wakes the op's own word (op.h, O4). One that has another word has no completer but its owner. */
static int64_t wait_as_thread(skua_op *op)
{
    const struct skuai_op_kind *kind = skuai_op_kind_of(op);
    uint64_t deadline = skuai_op_is_done(op) ? SKUA_NEVER : skuai_thread_deadline_ns();
    bool claimed = false;
    while (!skuai_op_is_done(op)) {
        skua_word32 *word = kind->moved != NULL ? kind->moved(op) : &op->state;
        uint32_t seen = skuai_load_32(word, SKUAI_ACQUIRE); /* of DONE and AGAIN, or of what has moved */
        bool again = word == &op->state && seen == SKUAI_OP_AGAIN;
        if (word == &op->state && seen == SKUAI_OP_DONE)
            break;
        uint64_t due = kind->due_ns != NULL ? kind->due_ns(op) : SKUA_NEVER;
        uint64_t until = claimed && !again ? SKUA_NEVER : due < deadline ? due : deadline;
        if (until != SKUA_NEVER && skuai_clock_now() >= until) {
            if (due <= deadline ? expire_own(op) : skuai_op_interrupt(op, -ETIMEDOUT))
                break;
            claimed = true; /* and will be done, or is to be started again */
        } else if (again) {
            kind->start(NULL, op, true);
        } else {
            skuai_thread_wait(word, seen, until);
        }
    }
    return op->result;
}

/* Nobody will await it: its memory may go. */
static int refuse_await(struct skuai_worker *worker, skua_op *op)
{
    int rc = refuse(worker, op->kind != NULL ? skuai_op_kind_of(op)->name : "skua_await", "waited for");
    if (skuai_op_state(op) == SKUAI_OP_IDLE) /* nor has it been started */
        return rc;
    while (!skuai_op_interrupt(op, -ECANCELED))
        skuai_env_pause(&worker->sched->env);
    return rc;
}

void skuai_op_refuse_idle(skua_op *op)
{
    char instead[128];
    const char *name = op->kind != NULL ? skuai_op_kind_of(op)->name : "skua_X";
    snprintf(instead, sizeof instead, "start it with %s_start(), or give it to a select", name);
    skuai_op_set_done(op, skuai_misuse(name, "was awaited without having been started", instead));
}

SKUAI_HOT static int64_t await_op(struct skuai_worker *worker, skua_op *op)
{
    if (SKUAI_UNLIKELY(worker == NULL)) {
        skuai_rest_note(op, NULL);
        int64_t result = wait_as_thread(op);
        skuai_rest_note(NULL, NULL);
        return result;
    }
    if (skuai_op_is_done(op)) {
        if (SKUAI_UNLIKELY(worker->budget == 0) && skuai_op_kind_of(op)->holds)
            return op->result;
        return skuai_call_end(worker, op->result);
    }
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(worker->task);
    fiber->awaits = (uintptr_t)op;
    do {
        int rc = skuai_interruption(worker);
        if (SKUAI_UNLIKELY(rc < 0) && skuai_op_interrupt(op, rc)) {
            fiber->awaits = 0;
            return skuai_call_end(worker, op->result); /* likewise */
        }
        bool again = skuai_op_state(op) == SKUAI_OP_AGAIN;
        if (SKUAI_UNLIKELY(again) && skuai_op_retry(worker, op))
            continue;
        skuai_fiber_suspend(worker, again ? SKUAI_POST_REQUEUE : SKUAI_POST_PAUSE);
        worker = skuai_worker_self();
    } while (!skuai_op_is_done(op));
    fiber->awaits = 0;
    return op->result;
}

int64_t skua_await(skua_op *op)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && cannot_wait(worker)))
        return refuse_await(worker, op);
    if (SKUAI_UNLIKELY(skuai_op_state(op) == SKUAI_OP_IDLE))
        skuai_op_refuse_idle(op);
    return await_op(worker, op);
}

SKUAI_HOT int64_t skuai_call(skua_op *prepared)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && cannot_wait(worker)))
        return refuse(worker, skuai_op_kind_of(prepared)->name, "called");
    return await_op(worker, start_op(worker, prepared));
}

/* A scope costs a timer, so the op is started first: it may be done. */
int64_t skuai_call_until(skua_op *prepared, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && cannot_wait(worker)))
        return refuse(worker, skuai_op_kind_of(prepared)->name, "called");
    return skua_await_until(start_op(worker, prepared), instant_ns);
}

int64_t skua_await_until(skua_op *op, uint64_t instant_ns)
{
    if (skuai_op_is_done(op))
        return skua_await(op);
    skua_scope scope;
    skua_deadline_enter(&scope, instant_ns);
    int64_t result = skua_await(op);
    skua_scope_leave(&scope);
    return result;
}
