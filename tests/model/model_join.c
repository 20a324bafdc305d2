/* A task's end and its joiner (sched/join.c, J1 … J4): the joiner attaches and withdraws, alone or as an arm of a
 * select, while the task ends and its slot becomes the next task's. The slot is freed exactly once, the result is seen,
 * and the joiner gives its op's memory back the moment it may.
 */
/* model-sources: sched/join.c sched/op.c */
#include <string.h>

#include "model/mc.h"
#include "sched/op.h"
#include "sched/rundown.h"
#include "sched/task.h"

enum { GENERATION = 5, TASK_RESULT = 42, NEXT_RESULT = 43, EVENT_ARM = 0, JOIN_ARM = 1 };
enum outcome { NOTHING, JOINED, DETACHED, BUSY, ABORTED };

static skua_task task;
static skua_join_op ops[2];
static skua_op event_op; /* the other arm of a select */
static struct skuai_select select_word;
static skua_word32 sinks[2]; /* who waits: type-stable */
static skua_word32 stage;    /* 1: the runtime has left the task over */
static skua_word32 handle;   /* 1: the next task's is there; the event may happen */
static bool foreign;         /* the joiner is not of the task's runtime, which is destroyed after the task's end */
static bool counted;         /* the joiner has counted itself into `holds` before all that is looked at */
static struct skuai_rundown holds; /* the runtime's */
static enum outcome outcome[2]; /* of ops[] */
static int64_t got[2];
static unsigned frees;

void skuai_sink_fire(uintptr_t sink)
{
    skuai_add_32((skua_word32 *)sink, 1, SKUAI_RELEASE);
    mc_futex_wake((skua_word32 *)sink, 1);
}
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }

/* ---- the task ---- */

static void free_task(uint32_t generation)
{
    frees++;
    SKUAI_WRITE(task.result, 0); /* whatever anybody did to the task is over */
    SKUAI_WRITE(task.joiner, NULL);
    mc_assert(skuai_task_generation(skuai_load_64(&task.word, SKUAI_RELAXED)) == generation, "the task is freed twice");
    skuai_task_word_bury(&task.word);
}

static void ends(void *arg)
{
    (void)arg;
    SKUAI_WRITE(task.result, TASK_RESULT);
    if (skuai_join_end(&task))
        free_task(GENERATION);
}

/* If that was the handle's last use somebody destroys the runtime. */
static void ends_and_destroys(void *arg)
{
    ends(arg);
    if (frees != 1)
        return;
    while (!skuai_rundown_is_over(&holds))
        skuai_pause();
    mc_free(&task, sizeof task);
}

/* If the end freed the slot the next task begins in it, is joined by somebody else, and ends. */
static void ends_and_next(void *arg)
{
    ends(arg);
    if (frees != 1)
        return;
    skuai_task_word_begin(&task.word, GENERATION + 1, 0, true);
    skuai_task_word_run(&task.word);
    skuai_store_32(&handle, 1, SKUAI_RELEASE);
    mc_futex_wake(&handle, 1);
    SKUAI_WRITE(task.result, NEXT_RESULT);
    if (skuai_join_end(&task))
        free_task(GENERATION + 1);
}

/* ---- joiners ---- */

static const struct skuai_op_kind join_kind = {.name = "join"};

/* As skua_join_start(), which ends by let_go(). As an arm of a select, READY counts only if it decides the select. */
static enum skuai_join start_and_hold(int i, struct skuai_select *select)
{
    skua_join_op *op = &ops[i];
    mc_alloc(op, sizeof *op);
    skuai_op_arm(skuai_op_prepare(&op->op, &join_kind, &task), (uintptr_t)&sinks[i]);
    op->op.select = select;
    op->op.arm = JOIN_ARM;
    if (foreign && !counted)
        skuai_rundown_enter_ahead(&holds);
    enum skuai_join join = skuai_join_attach(&task, &op->op, foreign);
    if (join == SKUAI_JOIN_READY && skuai_op_claim(&op->op)) {
        got[i] = SKUAI_READ(task.result);
        free_task(GENERATION + (uint32_t)i);
        outcome[i] = JOINED;
    } else if (join == SKUAI_JOIN_BUSY) {
        outcome[i] = BUSY;
    }
    return join;
}

static void let_go(void)
{
    if (foreign)
        skuai_rundown_leave(&holds);
}

static enum skuai_join start(int i, struct skuai_select *select)
{
    enum skuai_join join = start_and_hold(i, select);
    let_go();
    return join;
}

static void sleep_unless_done(int i, const skua_op *op)
{
    uint32_t fires = skuai_load_32(&sinks[i], SKUAI_ACQUIRE);
    if (!skuai_op_is_done(op))
        mc_futex_wait(&sinks[i], fires);
}

static void wait_for_done(int i)
{
    while (!skuai_op_is_done(&ops[i].op))
        sleep_unless_done(i, &ops[i].op);
    got[i] = SKUAI_READ(ops[i].value);
    outcome[i] = JOINED;
}

static void joins(void *arg)
{
    int i = (int)(uintptr_t)arg;
    if (start(i, NULL) == SKUAI_JOIN_WAITS)
        wait_for_done(i);
    mc_free(&ops[i], sizeof ops[i]);
}

static void releases(int i)
{
    outcome[i] = DETACHED;
    if (skuai_task_word_release(&task.word) == SKUAI_TASK_FREE)
        free_task(GENERATION);
}

/* Is cancelled while it waits. Then it still has the handle. */
static void withdraws(void *arg)
{
    bool joins_again = arg != NULL;
    bool waits = start(0, NULL) == SKUAI_JOIN_WAITS;
    if (waits && skuai_join_detach(&task, &ops[0].op)) {
        mc_free(&ops[0], sizeof ops[0]);
        if (joins_again)
            joins((void *)(uintptr_t)0);
        else
            releases(0);
        return;
    }
    if (waits)
        wait_for_done(0);
    mc_free(&ops[0], sizeof ops[0]);
}

static void next_joiner(void *arg)
{
    (void)arg;
    while (skuai_load_32(&handle, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&handle, 0);
    joins((void *)(uintptr_t)1);
}

/* ---- the join as an arm of a select, the other arm being an event ---- */

static void event_happens(void *arg)
{
    (void)arg;
    while (skuai_load_32(&handle, SKUAI_ACQUIRE) == 0) /* it has been armed */
        mc_futex_wait(&handle, 0);
    if (skuai_op_claim(&event_op))
        skuai_op_finish(&event_op, 0);
    else
        skuai_op_lose(&event_op); /* it has no lock here, so this is the last access */
}

/* The select's owner: waits until an arm is decided and DONE, withdraws the other one, and gives all memory back. What
 * becomes of the handle if the event won is `after`. */
static void selects(void (*after)(void))
{
    mc_alloc(&select_word, sizeof select_word);
    select_word = (struct skuai_select){.number = 1};
    mc_alloc(&event_op, sizeof event_op);
    skuai_op_arm(skuai_op_prepare(&event_op, &join_kind, NULL), (uintptr_t)&sinks[0]);
    event_op.select = &select_word;
    event_op.arm = EVENT_ARM;
    skuai_store_32(&handle, 1, SKUAI_RELEASE);
    mc_futex_wake(&handle, 1);

    if (start(0, &select_word) == SKUAI_JOIN_WAITS) {
        skua_op *join_op = &ops[0].op;
        while (!skuai_op_is_done(&event_op) && !skuai_op_is_done(join_op)) {
            uint32_t fires = skuai_load_32(&sinks[0], SKUAI_ACQUIRE);
            if (!skuai_op_is_done(&event_op) && !skuai_op_is_done(join_op))
                mc_futex_wait(&sinks[0], fires);
        }
        if (!skuai_op_is_done(&event_op)) {
            got[0] = SKUAI_READ(ops[0].value);
            outcome[0] = JOINED;
        } else {
            mc_assert(skuai_join_detach(&task, join_op), "both arms of a select were claimed");
        }
    }
    /* The event has no lock to withdraw under: it is waited for. */
    while (skuai_op_state(&event_op) != SKUAI_OP_DONE && skuai_op_state(&event_op) != SKUAI_OP_LOST)
        skuai_pause();
    bool event_won = skuai_op_is_done(&event_op);
    mc_assert(event_won == (outcome[0] != JOINED), "not exactly one arm of the select");
    mc_free(&ops[0], sizeof ops[0]);
    mc_free(&event_op, sizeof event_op);
    mc_free(&select_word, sizeof select_word);
    if (event_won)
        after();
}

static void release_after(void) { releases(0); }
static void join_after(void) { joins((void *)(uintptr_t)0); }
static void selects_then_releases(void *arg) { (void)arg; selects(release_after); }
static void selects_then_joins(void *arg) { (void)arg; selects(join_after); }

/* ---- tests ---- */

static void reset(uint64_t flags)
{
    memset(&task, 0, sizeof task);
    memset(ops, 0, sizeof ops);
    memset(sinks, 0, sizeof sinks);
    memset(outcome, 0, sizeof outcome);
    memset(got, 0, sizeof got);
    handle.raw = stage.raw = holds.users.raw = 0;
    foreign = counted = false;
    frees = 0;
    task.word.raw = (uint64_t)GENERATION << 32 | SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING | flags;
    mc_name(&task.word, "task.word");
    mc_name(&task.joiner, "task.joiner");
    mc_name(&task.result, "task.result");
    mc_name(&ops[0].op.state, "op0.state");
    mc_name(&ops[1].op.state, "op1.state");
    mc_name(&event_op.state, "event_op.state");
    mc_name(&select_word.decided, "decided");
    mc_name(&handle, "handle");
    mc_name(&stage, "stage");
    mc_name(&holds.users, "holds");
}

static void joined_once(void)
{
    mc_assert(frees == 1, "the task was not freed exactly once");
    mc_assert(outcome[0] != BUSY, "an only joiner was told that there is another");
    mc_assert(outcome[0] != JOINED || got[0] == TASK_RESULT, "the result");
}

static void join_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(joins, NULL);
}
static void join_finish(void)
{
    joined_once();
    mc_assert(outcome[0] == JOINED, "the join was lost");
}
MC_TEST(join, .setup = join_setup, .finish = join_finish, .bound = 5);

static void withdraw_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(withdraws, NULL);
}
static void withdraw_finish(void)
{
    joined_once();
    mc_assert(outcome[0] == JOINED || outcome[0] == DETACHED, "neither joined nor detached");
}
MC_TEST(withdraw, .setup = withdraw_setup, .finish = withdraw_finish, .bound = 5);

static void join_again_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(withdraws, &task);
}
MC_TEST(join_again, .setup = join_again_setup, .finish = join_finish, .bound = 4);

/* Misuse, told while the first joiner waits; the first one is none the worse for it. */
static void second_joiner(void *arg)
{
    (void)arg;
    mc_assert(start(0, NULL) == SKUAI_JOIN_WAITS, "the task runs");
    mc_assert(start(1, NULL) == SKUAI_JOIN_BUSY, "a second joiner was let in");
    ends(NULL);
    wait_for_done(0);
}
static void second_joiner_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(second_joiner, NULL);
}
MC_TEST(second_joiner, .setup = second_joiner_setup, .finish = join_finish, .bound = MC_UNBOUNDED);

static void next_task_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends_and_next, NULL);
    mc_thread(withdraws, NULL);
    mc_allow_blocked(mc_thread(next_joiner, NULL));
}
/* A withdrawal that comes late must leave the next task's joiner alone. */
static void next_task_finish(void)
{
    mc_assert(outcome[0] == JOINED || outcome[0] == DETACHED, "neither joined nor detached");
    if (skuai_load_32(&handle, SKUAI_RELAXED) == 0) {
        mc_assert(outcome[0] == DETACHED ? frees == 1 : frees >= 1, "the task was not freed exactly once");
        return;
    }
    mc_assert(!mc_is_blocked(3) && outcome[1] == JOINED, "the next task's join was lost");
    mc_assert(frees == 2 && got[1] == NEXT_RESULT, "the next task's result, freed once");
}
MC_TEST(next_task, .setup = next_task_setup, .finish = next_task_finish, .bound = 3, .stale = 2);

static void select_release_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(selects_then_releases, NULL);
    mc_thread(event_happens, NULL);
}
MC_TEST(select_then_release, .setup = select_release_setup, .finish = withdraw_finish, .bound = 2);

/* J4: an arm that LOST leaves the handle, which can be joined after the end. */
static void select_join_setup(void)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(ends, NULL);
    mc_thread(selects_then_joins, NULL);
    mc_thread(event_happens, NULL);
}
MC_TEST(select_then_join, .setup = select_join_setup, .finish = join_finish, .bound = 2);

/* ---- a runtime that gives the task up, J5 ---- */

enum { ABORT_ERROR = -108 };

static void aborts(void *arg)
{
    (void)arg;
    skuai_store_32(&stage, 1, SKUAI_RELEASE);
    skuai_join_abort(&task, ABORT_ERROR);
}

static void wait_for_abort(void)
{
    while (!skuai_op_is_done(&ops[0].op))
        sleep_unless_done(0, &ops[0].op);
    mc_assert(SKUAI_READ(ops[0].op.result) == ABORT_ERROR, "the error");
    outcome[0] = ABORTED;
}

/* As skua_join_start() and skua_join(). */
static void joins_left_over(void *arg)
{
    bool is_cancelled = arg != NULL;
    mc_assert(start_and_hold(0, NULL) == SKUAI_JOIN_WAITS, "the task never ends");
    bool is_left = skuai_load_32(&stage, SKUAI_RELAXED) == 1 && skuai_join_detach(&task, &ops[0].op);
    let_go();
    if (is_left || (is_cancelled && skuai_join_detach(&task, &ops[0].op)))
        outcome[0] = DETACHED;
    else
        wait_for_abort();
    mc_free(&ops[0], sizeof ops[0]);
}

/* As an arm of a select that an event may decide. */
static void selects_left_over(void *arg)
{
    (void)arg;
    mc_alloc(&select_word, sizeof select_word);
    select_word = (struct skuai_select){.number = 1};
    (void)start(0, &select_word);
    uint32_t open = SKUAI_SELECT_OPEN;
    bool event_won = skuai_cas_32(&select_word.decided, &open, EVENT_ARM + SKUAI_SELECT_FIRST, SKUAI_ACQ_REL);
    if (event_won) {
        mc_assert(skuai_join_detach(&task, &ops[0].op), "both arms of a select were claimed");
        outcome[0] = DETACHED;
    } else {
        wait_for_abort();
    }
    mc_free(&ops[0], sizeof ops[0]);
    mc_free(&select_word, sizeof select_word);
}

static void left_over_setup(void (*joiner)(void *), void *arg)
{
    reset(SKUAI_TASK_HANDLE);
    mc_thread(aborts, NULL);
    mc_thread(joiner, arg);
}
static void left_over_finish(void)
{
    mc_assert(outcome[0] == DETACHED || outcome[0] == ABORTED, "the joiner was told nothing");
    mc_assert(frees == 0, "the handle was lost");
}
static void abort_setup(void) { left_over_setup(joins_left_over, NULL); }
static void abort_cancelled_setup(void) { left_over_setup(joins_left_over, &task); }
static void abort_select_setup(void) { left_over_setup(selects_left_over, NULL); }
MC_TEST(abort, .setup = abort_setup, .finish = left_over_finish, .bound = MC_UNBOUNDED);
MC_TEST(abort_cancelled, .setup = abort_cancelled_setup, .finish = left_over_finish, .bound = MC_UNBOUNDED);
MC_TEST(abort_select, .setup = abort_select_setup, .finish = left_over_finish, .bound = MC_UNBOUNDED);

/* ---- a joiner that is not of the task's runtime, which may be gone after the end: J6 ---- */

static void aborts_and_destroys(void *arg)
{
    aborts(arg);
    while (!skuai_rundown_is_over(&holds))
        skuai_pause();
    mc_free(&task, sizeof task);
}

static void foreign_setup(void (*end)(void *), void (*joiner)(void *), void *arg)
{
    reset(SKUAI_TASK_HANDLE);
    foreign = true;
    mc_alloc(&task, sizeof task);
    mc_thread(end, NULL);
    mc_thread(joiner, arg);
}

/* Cancels the task when it is cancelled itself, and goes on waiting (combine.c). */
static void cancels_and_waits(void *arg)
{
    (void)arg;
    if (start(0, NULL) == SKUAI_JOIN_WAITS) {
        if (skuai_join_pin(&ops[0].op)) {
            (void)skuai_task_word_cancel_exactly(&task.word, skuai_join_generation(&ops[0].op));
            skuai_join_unpin(&ops[0].op);
        }
        wait_for_done(0);
    }
    mc_free(&ops[0], sizeof ops[0]);
}

static void foreign_withdraw_setup(void) { foreign_setup(ends_and_destroys, withdraws, NULL); }
static void foreign_cancel_setup(void) { foreign_setup(ends_and_destroys, cancels_and_waits, NULL); }
/* To join a task whose runtime may be gone already is wrong; to join one that goes meanwhile is not. */
static void foreign_abort_setup(void)
{
    foreign_setup(aborts_and_destroys, joins_left_over, NULL);
    holds.users.raw = counted = 1;
}
static void foreign_abort_cancelled_setup(void)
{
    foreign_setup(aborts_and_destroys, joins_left_over, &task);
    holds.users.raw = counted = 1;
}
MC_TEST(foreign_withdraw, .setup = foreign_withdraw_setup, .finish = withdraw_finish, .bound = 4);
MC_TEST(foreign_cancel, .setup = foreign_cancel_setup, .finish = join_finish, .bound = 4);
MC_TEST(foreign_abort, .setup = foreign_abort_setup, .finish = left_over_finish, .bound = 4);
MC_TEST(foreign_abort_cancelled, .setup = foreign_abort_cancelled_setup, .finish = left_over_finish, .bound = 4);

/* Known wrong: one of the task's own runtime needs no pin, and so has none. */
static void unpinned_setup(void)
{
    foreign_setup(ends_and_destroys, withdraws, NULL);
    foreign = false;
}
MC_TEST_MUST_FAIL(withdraw_unpinned, "use after free", .setup = unpinned_setup, .finish = withdraw_finish);
