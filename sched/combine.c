/* Combinators: sets of futures and tasks that one task waits for.
 *
 * A set is a frame; polling it polls the children that something happened to, each from its own leaf. How a child
 * learns that something happened, from any thread, is fired.c's matter (C1 … C4 there). What is here is all the
 * runner's own: who is ready, who is cancelled, who has won.
 */
#include "sched/combine.h"
#include "sched/scope.h"
#include "sched/spawn.h"

#include <errno.h>

enum set_mode { JOIN_ALL, RACE, ANY, ALL_SETTLED };
enum set_flag { CANCEL_SEEN = 1, DECIDED = 2, TIMEOUT_SEEN = 4 };

/* ---- delivering ---------------------------------------------------------------------------------------------- */

/* To be polled by its set, which is being polled itself. */
static void push_ready(skua_child *child)
{
    skua_set *set = child->set;
    if (child->flags & SKUAI_CHILD_READY)
        return;
    child->flags |= SKUAI_CHILD_READY;
    child->next_ready = NULL;
    if (set->ready_first == NULL)
        set->ready_first = child;
    else
        set->ready_last->next_ready = child;
    set->ready_last = child;
}

/* From outside of any poll: all sets around it must be polled, too. A set that is polled empties its list, so who is
 * ready has only ready ones around it. */
static void mark_ready(skua_child *child)
{
    for (; child != NULL && !(child->flags & SKUAI_CHILD_READY); child = child->set->outer)
        push_ready(child);
}

void skuai_sets_deliver(skua_task *task)
{
    skua_child *next;
    for (skua_child *child = skuai_fired_take(task); child != NULL; child = next) {
        next = child->next; /* before the next fire may push the child again */
        skuai_fired_settle(child);
        mark_ready(child);
    }
}

void skuai_child_park(skua_child *child)
{
    if (child->flags & SKUAI_CHILD_PARKED)
        return;
    child->flags |= SKUAI_CHILD_PARKED;
    skua_set *set = child->set;
    if (!(child->flags & SKUAI_CHILD_LISTED)) {
        child->flags |= SKUAI_CHILD_LISTED;
        child->next_parked = NULL;
        if (set->parked_first == NULL)
            set->parked_first = child;
        else
            set->parked_last->next_parked = child;
        set->parked_last = child;
    }
    if (set->outer != NULL)
        skuai_child_park(set->outer);
}

/* The set is polled, for whatever reason: so are those that any wake of the task may mean. */
static void push_parked(skua_set *set)
{
    skua_child *next;
    for (skua_child *child = set->parked_first; child != NULL; child = next) {
        next = child->next_parked;
        child->flags &= ~(uint32_t)SKUAI_CHILD_LISTED;
        if (child->flags & SKUAI_CHILD_PARKED)
            push_ready(child);
    }
    set->parked_first = NULL;
}

/* ---- polling ------------------------------------------------------------------------------------------------- */

/* A task that ends uses the handle up, and its runtime may end with it: so exactly that task, if it still runs. */
static void cancel_joined(skua_child *child)
{
    skua_op *op = &child->join.op;
    if (skuai_op_is_done(op) || !skuai_join_pin(op))
        return;
    skua_waker_cancel((skua_waker){ .task = child->task, .generation = skuai_join_generation(op) });
    skuai_join_unpin(op);
}

static void cancel_child(skua_child *child)
{
    if (child->ended || (child->flags & SKUAI_CHILD_CANCELED))
        return;
    child->flags |= SKUAI_CHILD_CANCELED;
    if (child->task == NULL)
        push_ready(child);
    else if (!(child->flags & SKUAI_CHILD_STARTED))
        skua_cancel(child->task);
    else
        cancel_joined(child);
}

static void cancel_children(skua_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        cancel_child(&set->children[i]);
}

/* What a child's end means for the set. */
static void judge(skua_set *set, skua_child *child)
{
    uint32_t index = (uint32_t)(child - set->children);
    bool failed = child->result < 0;
    switch ((enum set_mode)set->mode) {
    case ALL_SETTLED:
        set->outcome += !failed;
        return;
    case JOIN_ALL:
        if (!failed || (set->flags & DECIDED))
            return;
        set->outcome = child->result;
        break;
    case ANY:
        if (set->flags & DECIDED)
            return;
        if (failed) {
            set->outcome = child->result;
            return;
        }
        set->outcome = index;
        break;
    case RACE:
        if (set->flags & DECIDED)
            return;
        set->outcome = index;
        break;
    }
    set->flags |= DECIDED;
    cancel_children(set);
}

/* Polls a child that is a task's join: the op fires at the task's end. Cancelling the set cancels the task, not the
 * join. */
static bool poll_task(struct skuai_worker *worker, skua_child *child)
{
    if (!(child->flags & SKUAI_CHILD_STARTED)) {
        child->flags |= SKUAI_CHILD_STARTED;
        skuai_join_start_here(worker, &child->join, child->task);
    }
    if (!skuai_op_is_done(&child->join.op))
        return false;
    child->result = child->join.result < 0 ? child->join.result : child->join.value;
    return true;
}

static bool poll_future(struct skuai_worker *worker, skua_child *child)
{
    if (skuai_frame_climb(worker, child->leaf, child->future) == SKUA_PENDING) {
        child->leaf = worker->leaf;
        return false;
    }
    child->result = child->future->result;
    if (SKUAI_UNLIKELY(child->scope != NULL))
        child->scope = skuai_scope_left_open(worker, child->scope, NULL);
    return true;
}

static void poll_child(struct skuai_worker *worker, skua_set *set, skua_child *child)
{
    skua_child *around = worker->child;
    child->flags &= ~(uint32_t)SKUAI_CHILD_PARKED;
    worker->child = child;
    if (!(child->flags & SKUAI_CHILD_ENDING) &&
        (child->task != NULL ? poll_task(worker, child) : poll_future(worker, child)))
        child->flags |= SKUAI_CHILD_ENDING;
    worker->child = around;
    if (!(child->flags & SKUAI_CHILD_ENDING) || child->armed != 0) /* fired.c, C4 */
        return;
    skuai_flow_ends(child);
    child->ended = true;
    child->task = NULL;
    set->left--;
    judge(set, child);
}

static void begin(struct skuai_worker *worker, skua_set *set)
{
    set->outer = worker->child;
    set->runner = worker->task;
    for (uint32_t i = 0; i < set->count; i++) {
        skua_child *child = &set->children[i];
        child->set = set;
        push_ready(child);
    }
}

/* A deadline around the set has passed: futures meet it by themselves when they are polled. */
static void expire_children(skua_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        skua_child *child = &set->children[i];
        if (child->task != NULL)
            cancel_child(child);
        else if (!child->ended)
            push_ready(child);
    }
}

/* The set's surroundings are to be interrupted. */
static void pass_on(struct skuai_worker *worker, skua_set *set)
{
    int rc = skuai_interruption(worker);
    if (SKUAI_LIKELY(rc == 0))
        return;
    uint32_t seen = rc == -ECANCELED ? CANCEL_SEEN : TIMEOUT_SEEN;
    if (set->flags & seen)
        return;
    set->flags |= seen;
    if (rc == -ECANCELED)
        cancel_children(set);
    else
        expire_children(set);
}

enum skua_poll skuai_set_poll(skua_frame *frame)
{
    skua_set *set = (skua_set *)(void *)frame;
    struct skuai_worker *worker = skuai_worker_self();
    if (frame->resume == 0) {
        frame->resume = 1;
        begin(worker, set);
    }
    pass_on(worker, set);
    push_parked(set);
    while (set->ready_first != NULL) {
        skua_child *child = set->ready_first;
        set->ready_first = child->next_ready;
        child->flags &= ~(uint32_t)SKUAI_CHILD_READY;
        if (!child->ended)
            poll_child(worker, set, child);
    }
    if (set->left != 0) {
        worker->leaf = frame;
        return SKUA_PENDING;
    }
    frame->result = set->outcome;
    frame->flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

const char *skuai_set_call(const skua_set *set)
{
    static const char *const calls[] = { [JOIN_ALL] = "skua_join_all", [RACE] = "skua_race", [ANY] = "skua_any",
                                         [ALL_SETTLED] = "skua_all_settled" };
    return calls[set->mode];
}

/* ---- the public calls ---------------------------------------------------------------------------------------- */

static void clear_child(skua_child *child)
{
    *child = (skua_child){ .result = 0 };
}

void skua_child_task(skua_child *child, skua_task *task)
{
    clear_child(child);
    child->task = task;
}

void skua_child_frame(skua_child *child, skua_frame *frame)
{
    clear_child(child);
    child->future = frame;
    child->leaf = frame;
}

static skua_frame *start(skua_set *set, skua_child *children, size_t count, enum set_mode mode)
{
    bool wrong = count > INT32_MAX || (count == 0 && (mode == RACE || mode == ANY));
    *set = (skua_set){ .children = children, .mode = mode, .outcome = wrong ? -EINVAL : 0 };
    set->count = set->left = wrong ? 0 : (uint32_t)count;
    return skua_frame_init(&set->frame, skuai_set_poll);
}

skua_frame *skua_join_all_start(skua_set *set, skua_child *children, size_t count)
{
    return start(set, children, count, JOIN_ALL);
}
skua_frame *skua_race_start(skua_set *set, skua_child *children, size_t count)
{
    return start(set, children, count, RACE);
}
skua_frame *skua_any_start(skua_set *set, skua_child *children, size_t count)
{
    return start(set, children, count, ANY);
}
skua_frame *skua_all_settled_start(skua_set *set, skua_child *children, size_t count)
{
    return start(set, children, count, ALL_SETTLED);
}

static int64_t wait_for(skua_child *children, size_t count, enum set_mode mode)
{
    skua_set set;
    return skua_await_frame(start(&set, children, count, mode));
}

int64_t skua_join_all(skua_child *children, size_t count) { return wait_for(children, count, JOIN_ALL); }
int64_t skua_race(skua_child *children, size_t count) { return wait_for(children, count, RACE); }
int64_t skua_any(skua_child *children, size_t count) { return wait_for(children, count, ANY); }
int64_t skua_all_settled(skua_child *children, size_t count) { return wait_for(children, count, ALL_SETTLED); }
