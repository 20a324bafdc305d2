/* Waiting for ops: fibers, and threads outside of any task. (Futures: frame.c.) */
#include "sched/wait.h"

#include <errno.h>
#include <stdio.h>

#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/spawn.h"

static const struct skuai_op_kind *kind_of(const skua_op *op) { return op->kind; }

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

skua_op *skuai_op_start(skua_op *op)
{
    struct skuai_worker *worker = skuai_worker_self();
    int rc = 0;
    if (SKUAI_UNLIKELY(worker == NULL))
        rc = skuai_thread_interruption();
    else if (SKUAI_UNLIKELY(worker->task == NULL))
        rc = refuse(worker, kind_of(op)->name, "called");
    else
        rc = skuai_interruption(worker);
    if (SKUAI_UNLIKELY(rc < 0))
        return skuai_op_set_done(op, rc);
    kind_of(op)->start(worker, op, true);
    return op;
}

int64_t skuai_call(skua_op *prepared)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && cannot_wait(worker)))
        return refuse(worker, kind_of(prepared)->name, "called");
    return skua_await(skuai_op_start(prepared));
}

/* A scope costs a timer, so the op is started first: it may be done. */
int64_t skuai_call_until(skua_op *prepared, uint64_t instant_ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_UNLIKELY(worker != NULL && cannot_wait(worker)))
        return refuse(worker, kind_of(prepared)->name, "called");
    return skua_await_until(skuai_op_start(prepared), instant_ns);
}

int skuai_call_begin(struct skuai_worker *worker, const char *call)
{
    if (SKUAI_UNLIKELY(worker == NULL))
        return skuai_thread_interruption();
    if (SKUAI_UNLIKELY(cannot_wait(worker)))
        return refuse(worker, call, "called");
    return skuai_interruption(worker);
}

int64_t skuai_call_end(struct skuai_worker *worker, int64_t result)
{
    if (SKUAI_LIKELY(worker != NULL) && SKUAI_UNLIKELY(worker->budget-- == 0))
        skuai_fiber_suspend(worker, SKUAI_POST_REQUEUE);
    return result;
}

/* Untuned, but for that a channel of 128 values should be filled, or drained, in one run: 512 sends take 4 µs. */
enum { SHORT_CALLS = 4 };

int64_t skuai_call_end_short(struct skuai_worker *worker, int64_t result)
{
    if (SKUAI_LIKELY(worker != NULL) && SKUAI_UNLIKELY(worker->short_calls++ % SHORT_CALLS == 0))
        return skuai_call_end(worker, result);
    return result;
}

void skuai_thread_wait(skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    skuai_word_wait_real(word, value, until_ns);
}

/* The completer wakes the op's own word (op.h, O4). */
static int64_t wait_as_thread(skua_op *op)
{
    uint32_t state = (uint32_t)skuai_op_state(op);
    if (state == SKUAI_OP_DONE)
        return op->result;
    uint64_t due = kind_of(op)->due_ns != NULL ? kind_of(op)->due_ns(op) : SKUA_NEVER;
    uint64_t deadline = skuai_thread_deadline_ns(), until = due < deadline ? due : deadline;
    for (; state != SKUAI_OP_DONE; state = (uint32_t)skuai_op_state(op)) {
        if (until != SKUA_NEVER && skuai_clock_now() >= until) {
            if (skuai_op_interrupt(op, due <= deadline ? 0 : -ETIMEDOUT))
                break;
            until = SKUA_NEVER; /* it has been claimed and will be done */
        }
        skuai_thread_wait(&op->state, state, until);
    }
    return op->result;
}

/* Nobody will await it: its memory may go. */
static int refuse_await(struct skuai_worker *worker, skua_op *op)
{
    int rc = refuse(worker, op->kind != NULL ? kind_of(op)->name : "skua_await", "waited for");
    while (!skuai_op_interrupt(op, -ECANCELED))
        skuai_env_pause(&worker->sched->env);
    return rc;
}

int64_t skua_await(skua_op *op)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL)
        return wait_as_thread(op);
    if (SKUAI_UNLIKELY(cannot_wait(worker)))
        return refuse_await(worker, op);
    if (skuai_op_is_done(op))
        return skuai_call_end(worker, op->result);
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(worker->task);
    fiber->awaits = (uintptr_t)op;
    while (!skuai_op_is_done(op)) {
        int rc = skuai_interruption(worker);
        if (SKUAI_UNLIKELY(rc < 0) && skuai_op_interrupt(op, rc))
            break;
        skuai_fiber_suspend(worker, SKUAI_POST_PAUSE);
        worker = skuai_worker_self();
    }
    fiber->awaits = 0;
    return op->result;
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
