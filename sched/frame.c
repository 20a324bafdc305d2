/* Futures: running frames.
 *
 * A frame's first run is a plain call from its parent's await, so a chain of awaits that need not wait is a chain of
 * calls. The innermost frame that must wait notes itself in worker->leaf and everybody above returns SKUA_PENDING. The
 * next run resumes that leaf directly and climbs: when a frame ends, its parent is polled next. So resuming costs the
 * same at any depth.
 *
 * The leaf of a task is kept in the root frame's `parent`, of a set child in the child, of a future inside a fiber in
 * the fiber's locals.
 */
#include "sched/combine.h"
#include "sched/scope.h"
#include "sched/spawn.h"
#include "sched/wait.h"

#include <errno.h>

/* ---- the macros' engine -------------------------------------------------------------------------------------- */

static struct skuai_worker *polling_worker(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL && worker->polling != 0 ? worker : NULL;
}

static enum skua_poll wait_at(struct skuai_worker *worker, skua_frame *frame)
{
    worker->leaf = frame;
    return SKUA_PENDING;
}

void skuai_frame_requeue(struct skuai_worker *worker, skua_frame *frame)
{
    worker->leaf = frame;
    worker->yielding = true;
    if (worker->child != NULL)
        skuai_child_park(worker->child);
}

bool skuai_frame_may_go_on(skua_frame *frame)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (SKUAI_LIKELY(worker->budget > 0)) {
        worker->budget--;
        return true;
    }
    skuai_frame_requeue(worker, frame);
    return false;
}

static enum skua_poll refuse_stray_poll(void)
{
    skuai_misuse("SKUA_AWAIT", "was reached by a poll function that no task runs",
                 "spawn the future, or run it with skua_await_future() in a fiber");
    return SKUA_PENDING;
}

#if defined(SKUAI_DEBUG)
/* A child that no SKUA_FUTURE has placed, in a frame that was spawned (filled by spawn.c) or in memory of zeros. */
static bool is_unplaced(const skua_frame *child)
{
    uintptr_t poll = (uintptr_t)child->poll;
    return poll == 0 || poll == UINTPTR_MAX / UINT8_MAX * SKUAI_FRAME_UNPLACED;
}

static enum skua_poll refuse_unplaced(skua_frame *child)
{
    child->result = skuai_misuse("SKUA_AWAIT", "awaits a future that was never placed",
                                 "place it before each await: SKUA_FUTURE(&self->child, name, ...)");
    return SKUA_DONE;
}
#endif

/* Out of line, so that what nearly always happens needs no registers saved. */
static __attribute__((noinline)) enum skua_poll await_op_rarely(struct skuai_worker *worker, skua_frame *frame,
                                                                skua_op *op)
{
    if (worker == NULL)
        return refuse_stray_poll();
    if (skuai_op_is_done(op)) {
        if (worker->budget > 0) { /* it has been done meanwhile */
            worker->budget--;
            return SKUA_DONE;
        }
        if (skuai_op_kind_of(op)->holds)
            return SKUA_DONE;
        skuai_frame_requeue(worker, frame); /* it still awaits the op */
        return SKUA_PENDING;
    }
    if (SKUAI_UNLIKELY(skuai_op_state(op) == SKUAI_OP_IDLE)) {
        skuai_op_refuse_idle(op);
        return SKUA_DONE;
    }
    int rc = skuai_interruption(worker);
    if (SKUAI_UNLIKELY(rc < 0) && skuai_op_interrupt(op, rc))
        return SKUA_DONE;
    if (SKUAI_UNLIKELY(skuai_op_state(op) == SKUAI_OP_AGAIN)) {
        if (!skuai_op_retry(worker, op)) {
            skuai_frame_requeue(worker, frame);
            return SKUA_PENDING;
        }
        if (skuai_op_is_done(op))
            return SKUA_DONE;
    }
    return wait_at(worker, frame);
}

SKUAI_HOT enum skua_poll skuai_await_op(skua_frame *frame, skua_op *op)
{
    struct skuai_worker *worker = polling_worker();
    if (SKUAI_UNLIKELY(worker == NULL))
        return await_op_rarely(worker, frame, op);
    enum skuai_op_state state = skuai_op_state(op);
    if (state == SKUAI_OP_DONE && SKUAI_LIKELY(worker->budget > 0)) {
        worker->budget--;
        return SKUA_DONE;
    }
    if (state == SKUAI_OP_ARMED && SKUAI_LIKELY(skuai_is_undisturbed(worker)))
        return wait_at(worker, frame);
    return await_op_rarely(worker, frame, op);
}

/* A poll function that was written by hand knows nothing of leaves: it is one, to be polled at any wake. */
static enum skua_poll poll_frame(struct skuai_worker *worker, skua_frame *frame)
{
    enum skua_poll poll = frame->poll(frame);
    if (poll == SKUA_DONE) {
        frame->flags |= SKUAI_FRAME_ENDED;
    } else if (SKUAI_UNLIKELY(worker->leaf == NULL)) {
        worker->leaf = frame;
        if (worker->child != NULL)
            skuai_child_park(worker->child);
    }
    return poll;
}

SKUAI_HOT enum skua_poll skuai_await_child(skua_frame *frame, skua_frame *child)
{
#if defined(SKUAI_DEBUG)
    if (is_unplaced(child))
        return refuse_unplaced(child);
#endif
    if (child->flags & SKUAI_FRAME_ENDED)
        return SKUA_DONE;
    struct skuai_worker *worker = polling_worker();
    if (SKUAI_UNLIKELY(worker == NULL))
        return refuse_stray_poll();
    child->parent = frame;
    return poll_frame(worker, child);
}

void skuai_frame_yield(skua_frame *frame)
{
    struct skuai_worker *worker = polling_worker();
    if (worker == NULL) {
        skuai_misuse("SKUA_YIELD", "was reached by a poll function that no task runs", "spawn the future");
        return;
    }
    frame->awaited = 0;
    skuai_frame_requeue(worker, frame);
}

void skuai_frame_park(skua_frame *frame)
{
    struct skuai_worker *worker = polling_worker();
    if (worker == NULL) {
        skuai_misuse("SKUA_PARK", "was reached by a poll function that no task runs", "spawn the future");
        return;
    }
    frame->awaited = 0;
    if (skuai_interruption(worker) < 0) {
        skuai_frame_requeue(worker, frame);
        return;
    }
    worker->leaf = frame;
    if (worker->child != NULL)
        skuai_child_park(worker->child);
}

/* ---- running ------------------------------------------------------------------------------------------------- */

/* Resumes a leaf and climbs up to `top`. SKUA_PENDING: worker->leaf is the new leaf. */
enum skua_poll skuai_frame_climb(struct skuai_worker *worker, skua_frame *leaf, skua_frame *top)
{
    worker->leaf = NULL;
    for (skua_frame *frame = leaf;; frame = frame->parent) {
        if (poll_frame(worker, frame) == SKUA_PENDING)
            return SKUA_PENDING;
        if (frame == top)
            return SKUA_DONE;
    }
}

/* Not by a wake of oneself and a pause: a yield needs no exchange of the word. */
static bool take_yield(struct skuai_worker *worker)
{
    bool yields = worker->yielding;
    worker->yielding = false;
    return yields;
}

SKUAI_HOT static enum skuai_run run_root(struct skuai_worker *worker, skua_task *task, skua_frame *root)
{
    skuai_task_word_run(&task->word);
    skuai_worker_set_task(worker, task);
    worker->budget = SKUAI_AWAIT_BUDGET;
    worker->polling = 1;
    /* Relaxed: who takes the list acquires it; and a push that is missed here comes before a wake that makes another
     * run. */
    if (skuai_load_ptr(&task->fired, SKUAI_RELAXED) != NULL)
        skuai_sets_deliver(task);
    enum skua_poll poll = skuai_frame_climb(worker, root->parent, root);
    worker->polling = 0;
    if (poll == SKUA_PENDING) {
        root->parent = worker->leaf;
        skuai_worker_set_task(worker, NULL);
        return take_yield(worker) ? SKUAI_RUN_YIELDS : SKUAI_RUN_WAITS;
    }
    worker->yielding = false;
    task->result = root->result;
    if (SKUAI_UNLIKELY(task->scope != NULL))
        task->scope = skuai_scope_left_open(worker, task->scope, NULL);
    skuai_worker_set_task(worker, NULL);
    return SKUAI_RUN_ENDED;
}

SKUAI_HOT enum skuai_run skuai_frame_run(struct skuai_worker *worker, skua_task *task)
{
    return run_root(worker, task, SKUAI_TASK_BODY(task));
}

SKUAI_HOT enum skuai_run skuai_frame_run_large(struct skuai_worker *worker, skua_task *task)
{
    return run_root(worker, task, ((struct skuai_large_frame *)SKUAI_TASK_BODY(task))->root);
}

int64_t skua_await_frame(skua_frame *frame)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL || worker->task == NULL || worker->polling != 0)
        return skuai_misuse("skua_await_frame", "was called where nothing can be suspended",
                            worker != NULL && worker->polling != 0
                                ? "inside a future use SKUA_AWAIT"
                                : "call it in a fiber, or run one with skua_block_on()");
    skua_frame *leaf = frame;
    skua_scope *around = worker->task->scope;
    for (;;) {
        worker->polling = 1;
        if (skuai_load_ptr(&worker->task->fired, SKUAI_RELAXED) != NULL) /* as in run_root */
            skuai_sets_deliver(worker->task);
        enum skua_poll poll = skuai_frame_climb(worker, leaf, frame);
        worker->polling = 0;
        bool yields = take_yield(worker);
        if (poll == SKUA_DONE) {
            if (SKUAI_UNLIKELY(worker->task->scope != around))
                worker->task->scope = skuai_scope_left_open(worker, worker->task->scope, around);
            return frame->result;
        }
        leaf = worker->leaf;
        struct skuai_fiber *fiber = SKUAI_TASK_BODY(worker->task);
        fiber->awaits = (uintptr_t)leaf | 1u;
        skuai_fiber_suspend(worker, yields ? SKUAI_POST_REQUEUE : SKUAI_POST_PAUSE);
        fiber->awaits = 0;
        worker = skuai_worker_self();
    }
}
