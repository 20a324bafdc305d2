/* Select: several ops, of which one takes effect. What makes that so is op.c's; here is who starts and withdraws them.
 *
 *   1 try      each arm by itself, without waiting. In most programs one can take effect, and no word is shared
 *   2 start    each arm, sharing the select's word. An arm that finds that it need not wait claims the word like any
 *              completer; from then on, or when somebody else has claimed it, no more are started
 *   3 wait     until the word is decided; who is to be interrupted closes it himself
 *   4 withdraw all other arms; the one that was claimed will be DONE. Only then is the select's memory the owner's
 *   5 settle   an arm in steps (steps.h) is asked what has become of it. If there is more to wait for, it is 2 again
 *
 * A select is a leaf frame for fibers and futures alike. A thread outside of any task sleeps on the word itself.
 */
#include "sched/select.h"

#include <errno.h>

#include "sched/rest.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/wait.h"

enum { START, TRIED, WAIT };

static struct skuai_select *select_word(skua_selection *selection)
{
    _Static_assert(offsetof(skua_selection, number) - offsetof(skua_selection, decided) ==
                           offsetof(struct skuai_select, number) &&
                       offsetof(struct skuai_select, decided) == 0,
                   "a selection has a struct skuai_select in it");
    return (struct skuai_select *)(void *)&selection->decided;
}

/* The arm at a place in the order of starting. */
static uint32_t arm_at(const skua_selection *selection, uint32_t place)
{
    uint32_t arm = selection->first + place;
    return arm < selection->count ? arm : arm - selection->count;
}

/* 1. The arm, or -EAGAIN. */
static int64_t try_arms(struct skuai_worker *worker, const skua_selection *selection)
{
    for (uint32_t place = 0; place < selection->count; place++) {
        uint32_t arm = arm_at(selection, place);
        skua_op *op = selection->arms[arm];
        op->select = NULL;
        /* Relaxed, here and below: the op is ours until it is started. */
        skuai_store_32(&op->state, SKUAI_OP_IDLE, SKUAI_RELAXED);
        skuai_op_kind_of(op)->start(worker, op, false);
        if (skuai_op_is_done(op))
            return arm;
    }
    return -EAGAIN;
}

static int64_t first_try(struct skuai_worker *worker, skua_selection *selection)
{
    selection->first = selection->biased ? 0 : skuai_random_below(&worker->random, selection->count);
    return try_arms(worker, selection);
}

/* 2. */
static void start_arms(struct skuai_worker *worker, skua_selection *selection)
{
    struct skuai_select *word = select_word(selection);
    skuai_store_32(&word->decided, SKUAI_SELECT_OPEN, SKUAI_RELAXED); /* published with the arms */
    word->number = worker != NULL ? skuai_random_next(&worker->random) : (uintptr_t)selection;
    selection->started = 0;
    while (selection->started < selection->count && skuai_select_decided(word) < 0) {
        uint32_t arm = arm_at(selection, selection->started++);
        skua_op *op = selection->arms[arm];
        op->select = word;
        op->arm = arm;
        skuai_store_32(&op->state, SKUAI_OP_IDLE, SKUAI_RELAXED);
        skuai_op_kind_of(op)->start(worker, op, true);
    }
}

/* 4. `winner` is -1 if the word was closed. */
static void withdraw_arms(struct skuai_worker *worker, skua_selection *selection, int64_t winner)
{
    for (uint32_t place = 0; place < selection->started; place++) {
        uint32_t arm = arm_at(selection, place);
        skua_op *op = selection->arms[arm];
        if (arm == winner)
            continue;
        if (skuai_op_kind_of(op)->settle != NULL) {
            (void)skuai_op_kind_of(op)->withdraw(op);
        } else if (skuai_op_state(op) != SKUAI_OP_LOST) {
            while (SKUAI_UNLIKELY(!skuai_op_kind_of(op)->withdraw(op)))
                worker != NULL ? skuai_env_pause(&worker->sched->env) : skuai_pause();
            skuai_op_disarm_here(op);
        }
        skuai_store_32(&op->state, SKUAI_OP_IDLE, SKUAI_RELAXED);
    }
    selection->started = 0;
}

/* 5. */
static enum skuai_settled settle_winner(struct skuai_worker *worker, skua_selection *selection, int64_t winner)
{
    skua_op *op = selection->arms[winner];
    if (SKUAI_LIKELY(skuai_op_kind_of(op)->settle == NULL))
        return skuai_op_is_done(op) ? SKUAI_SETTLED : SKUAI_SETTLING;
    return skuai_op_kind_of(op)->settle(worker, op);
}

/* The end, with all withdrawn. It may be of several rounds, in each of which other arms were tried or started. */
static __attribute__((noinline)) void undo_steps_rarely(const skua_selection *selection, int64_t winner)
{
    for (uint32_t arm = 0; arm < selection->count; arm++)
        if (arm != winner && skuai_op_kind_of(selection->arms[arm])->settle != NULL)
            skuai_op_kind_of(selection->arms[arm])->undo(selection->arms[arm]);
}
static void undo_steps(const skua_selection *selection, int64_t winner)
{
    if (SKUAI_UNLIKELY(selection->has_steps))
        undo_steps_rarely(selection, winner);
}

void skuai_select_each_arm(const skua_selection *selection, void (*visit)(void *context, skua_op *op), void *context)
{
    int64_t winner = skuai_select_decided((const struct skuai_select *)(const void *)&selection->decided);
    if (selection->started == 0 && winner >= 0)
        visit(context, selection->arms[winner]);
    for (uint32_t place = 0; place < selection->started; place++) {
        skua_op *op = selection->arms[arm_at(selection, place)];
        enum skuai_op_state state = skuai_op_state(op);
        if (state != SKUAI_OP_LOST && state != SKUAI_OP_IDLE)
            visit(context, op);
    }
}

/* ---- fibers and futures ---------------------------------------------------------------------------------------- */

static enum skua_poll select_end(skua_selection *selection, int64_t result)
{
    undo_steps(selection, result);
    selection->frame.result = result;
    selection->frame.flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

static enum skua_poll select_pends(struct skuai_worker *worker, skua_selection *selection)
{
    worker->leaf = &selection->frame;
    return SKUA_PENDING;
}

/* 1 and 2. */
static enum skua_poll begin(struct skuai_worker *worker, skua_selection *selection, int interruption)
{
    if (SKUAI_UNLIKELY(interruption < 0))
        return select_end(selection, interruption);
    int64_t arm = selection->frame.resume == START ? first_try(worker, selection) : -EAGAIN;
    selection->frame.resume = WAIT;
    if (arm >= 0)
        return select_end(selection, arm);
    start_arms(worker, selection);
    return SKUA_PENDING;
}

/* Decided. */
static enum skuai_settled conclude(struct skuai_worker *worker, skua_selection *selection, int64_t winner)
{
    if (selection->started != 0)
        withdraw_arms(worker, selection, winner);
    enum skuai_settled settled = settle_winner(worker, selection, winner);
    if (SKUAI_UNLIKELY(settled == SKUAI_UNSETTLED))
        selection->frame.resume = TRIED;
    return settled;
}

enum skua_poll skuai_select_poll(skua_frame *frame)
{
    skua_selection *selection = (skua_selection *)(void *)frame;
    struct skuai_select *word = select_word(selection);
    struct skuai_worker *worker = skuai_worker_self();
    int rc = skuai_interruption(worker);
    enum skuai_settled settled;
    do {
        if (frame->resume != WAIT) {
            if (!skuai_frame_may_go_on(frame)) /* also if it ends at once: a loop of these must let others run */
                return SKUA_PENDING;
            if (begin(worker, selection, rc) == SKUA_DONE)
                return SKUA_DONE;
        }
        int64_t winner = skuai_select_decided(word);
        if (winner < 0 && SKUAI_UNLIKELY(rc < 0)) {
            if (skuai_select_close(word)) {
                withdraw_arms(worker, selection, -1);
                return select_end(selection, rc);
            }
            winner = skuai_select_decided(word);
        }
        if (winner < 0)
            return select_pends(worker, selection);
        settled = conclude(worker, selection, winner);
        if (settled == SKUAI_SETTLED)
            return select_end(selection, winner);
    } while (settled == SKUAI_UNSETTLED);
    return select_pends(worker, selection); /* the winner's fire is on its way */
}

static bool can_be_arms(skua_op *const *arms, size_t count, bool *has_steps)
{
    if (count == 0 || count > INT32_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (arms[i] == NULL || arms[i]->kind == NULL || skuai_op_kind_of(arms[i])->start == NULL)
            return false;
        *has_steps |= skuai_op_kind_of(arms[i])->settle != NULL;
    }
    return true;
}

static int select_prepare(skua_selection *selection, skua_op *const *arms, size_t count, bool biased)
{
    bool has_steps = false, can = can_be_arms(arms, count, &has_steps);
    *selection = (skua_selection){ .arms = arms, .count = can ? (uint32_t)count : 0, .biased = biased,
                                   .has_steps = has_steps };
    skua_frame_init(&selection->frame, skuai_select_poll);
    return can ? 0 : -EINVAL;
}

static skua_frame *select_start(skua_selection *selection, skua_op *const *arms, size_t count, bool biased)
{
    int rc = select_prepare(selection, arms, count, biased);
    if (rc < 0)
        select_end(selection, rc);
    return &selection->frame;
}

skua_frame *skua_select_start(skua_selection *selection, skua_op *const *arms, size_t count)
{
    return select_start(selection, arms, count, false);
}

skua_frame *skua_select_biased_start(skua_selection *selection, skua_op *const *arms, size_t count)
{
    return select_start(selection, arms, count, true);
}

/* ---- threads outside of any task ------------------------------------------------------------------------------- */

/* When an arm is over by time alone. */
static uint64_t earliest_due(const skua_selection *selection, uint32_t *arm)
{
    uint64_t earliest = SKUA_NEVER;
    for (uint32_t i = 0; i < selection->count; i++) {
        const struct skuai_op_kind *kind = skuai_op_kind_of(selection->arms[i]);
        uint64_t due = kind->due_ns != NULL ? kind->due_ns(selection->arms[i]) : SKUA_NEVER;
        if (due < earliest) {
            earliest = due;
            *arm = i;
        }
    }
    return earliest;
}

/* Somebody is between taking the word and DONE: a few instructions, unless it has lost its processor. */
static void wait_a_moment(void) { skuai_lock_wait_hint(); }

/* Its time has come, and it is claimed. */
static void end_arm(skua_op *op)
{
    if (skuai_op_kind_of(op)->expired != NULL)
        skuai_op_kind_of(op)->expired(op);
    if (skuai_op_kind_of(op)->settle == NULL)
        skuai_op_set_done(op, 0);
}

/* 3. The winner, or -ETIMEDOUT. */
static int64_t select_wait_as_thread(skua_selection *selection)
{
    struct skuai_select *word = select_word(selection);
    uint32_t timer = 0;
    uint64_t deadline = skuai_thread_deadline_ns();
    int64_t winner;
    while ((winner = skuai_select_decided(word)) < 0) {
        uint64_t due = earliest_due(selection, &timer); /* it may have become earlier */
        uint64_t until = due < deadline ? due : deadline;
        if (until == SKUA_NEVER || skuai_clock_now() < until)
            skuai_thread_wait(&word->decided, SKUAI_SELECT_OPEN, until); /* or it is tentative, for a moment */
        else if (due > deadline && skuai_select_close(word))
            return -ETIMEDOUT;
        else if (due <= deadline && skuai_op_claim(selection->arms[timer]))
            end_arm(selection->arms[timer]);
        else
            wait_a_moment();
    }
    return winner;
}

/* 5. False: it is 2 again. */
static bool settles_as_thread(skua_selection *selection, int64_t winner)
{
    enum skuai_settled settled;
    while ((settled = settle_winner(NULL, selection, winner)) == SKUAI_SETTLING)
        wait_a_moment();
    return settled == SKUAI_SETTLED;
}

static int64_t select_as_thread(skua_selection *selection)
{
    int64_t winner = skuai_thread_interruption();
    if (winner < 0)
        return winner;
    selection->first = selection->biased ? 0 : (uint32_t)(skua_random() % selection->count);
    winner = try_arms(NULL, selection);
    if (winner != -EAGAIN) {
        undo_steps(selection, winner);
        return winner;
    }
    do {
        start_arms(NULL, selection);
        skuai_rest_note(NULL, selection);
        winner = select_wait_as_thread(selection);
        skuai_rest_note(NULL, NULL);
        withdraw_arms(NULL, selection, winner);
    } while (winner >= 0 && !settles_as_thread(selection, winner));
    undo_steps(selection, winner);
    return winner;
}

/* ---- the public calls ------------------------------------------------------------------------------------------ */

static int64_t select_here(skua_op *const *arms, size_t count, bool biased)
{
    skua_selection selection;
    struct skuai_worker *worker = skuai_worker_self();
    int rc = select_prepare(&selection, arms, count, biased);
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (worker == NULL)
        return select_as_thread(&selection);
    rc = skuai_call_begin(worker, "skua_select");
    if (SKUAI_UNLIKELY(rc < 0))
        return rc;
    if (SKUAI_LIKELY(worker->budget > 0)) { /* 1, which most selects end with: without running the frame */
        int64_t arm = first_try(worker, &selection);
        if (arm >= 0) {
            worker->budget--;
            undo_steps(&selection, arm);
            return arm;
        }
        selection.frame.resume = TRIED;
    }
    return skua_await_frame(&selection.frame);
}

int64_t skua_select(skua_op *const *arms, size_t count) { return select_here(arms, count, false); }
int64_t skua_select_biased(skua_op *const *arms, size_t count) { return select_here(arms, count, true); }

int64_t skua_select_until(skua_op *const *arms, size_t count, uint64_t instant_ns)
{
    skua_scope scope;
    skua_deadline_enter(&scope, instant_ns);
    int64_t winner = skua_select(arms, count);
    skua_scope_leave(&scope);
    return winner;
}

int64_t skua_select_try(skua_op *const *arms, size_t count)
{
    skua_selection selection;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL && worker->task == NULL)
        worker = NULL; /* in a callback: nothing waits, so nothing is armed */
    int rc = select_prepare(&selection, arms, count, false);
    if (rc == 0)
        rc = worker != NULL ? skuai_interruption(worker) : skuai_thread_interruption();
    if (rc < 0)
        return rc;
    selection.first = worker != NULL ? skuai_random_below(&worker->random, selection.count)
                                     : (uint32_t)(skua_random() % selection.count);
    int64_t arm = try_arms(worker, &selection);
    undo_steps(&selection, arm);
    return arm;
}
