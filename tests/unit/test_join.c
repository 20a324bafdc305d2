/* A task's end and its joiner: the steps of join.c by hand, the join as an arm of a select on threads, and what users
 * see of it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "sched/task.h"
#include "support/with_runtime.h"

enum { GENERATION = 5, RESULT = 42, EVENT_ARM = 0, JOIN_ARM = 1 };

/* ---- by hand ------------------------------------------------------------------------------------------------- */

static const struct skuai_op_kind join_kind = { .name = "join" };

/* A task that runs. */
static void begin(skua_task *task, uint32_t generation, bool with_handle)
{
    *task = (skua_task){ .run = NULL };
    skuai_task_word_begin(&task->word, generation, 0, with_handle);
    skuai_task_word_run(&task->word);
}

static uint64_t word_of(const skua_task *task) { return skuai_load_64(&task->word, SKUAI_RELAXED); }

static enum skuai_join attach(skua_join_op *op, skua_task *task, struct skuai_select *select)
{
    skuai_op_arm(skuai_op_prepare(&op->op, &join_kind, task), (uintptr_t)&op->op.state | SKUAI_SINK_THREAD);
    op->op.select = select;
    op->op.arm = JOIN_ARM;
    op->value = 0;
    return skuai_join_attach(task, &op->op, false);
}

static bool end(skua_task *task)
{
    task->result = RESULT;
    return skuai_join_end(task);
}

TEST(an_end_without_a_joiner)
{
    skua_task task;
    begin(&task, GENERATION, false);
    CHECK(end(&task)); /* nobody knows it any more: freed by its end */
    begin(&task, GENERATION, true);
    CHECK(!end(&task));
    CHECK_EQ(skuai_task_word_release(&task.word), SKUAI_TASK_FREE);
}

TEST(a_joiner_that_comes_first_waits)
{
    skua_task task;
    skua_join_op op;
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, NULL), SKUAI_JOIN_WAITS);
    CHECK_EQ(op.op.number, GENERATION);
    CHECK(word_of(&task) & SKUAI_TASK_JOINER);
    CHECK(!skuai_op_is_done(&op.op));
    CHECK(end(&task)); /* J4: the join uses the handle up */
    CHECK_EQ(skua_await(&op.op), 0);
    CHECK_EQ(op.value, RESULT);
}

TEST(a_joiner_that_comes_last_reads_the_result)
{
    skua_task task;
    skua_join_op op;
    begin(&task, GENERATION, true);
    CHECK(!end(&task));
    CHECK_EQ(attach(&op, &task, NULL), SKUAI_JOIN_READY);
    CHECK_EQ(task.result, RESULT);
    CHECK_EQ(skuai_op_state(&op.op), SKUAI_OP_ARMED); /* nobody touches it */
}

TEST(a_second_joiner_is_refused)
{
    skua_task task;
    skua_join_op op, second;
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, NULL), SKUAI_JOIN_WAITS);
    CHECK_EQ(attach(&second, &task, NULL), SKUAI_JOIN_BUSY);
    CHECK(task.joiner == &op.op);
    CHECK(skuai_join_detach(&task, &op.op));
    CHECK(!(word_of(&task) & SKUAI_TASK_JOINER));
    CHECK_EQ(attach(&second, &task, NULL), SKUAI_JOIN_WAITS); /* the place is free again */
    CHECK(end(&task));
    CHECK_EQ(second.value, RESULT);
    CHECK_EQ(skuai_op_state(&op.op), SKUAI_OP_ARMED);
}

TEST(a_lone_join_that_comes_too_late_to_withdraw_is_done)
{
    skua_task task;
    skua_join_op op;
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, NULL), SKUAI_JOIN_WAITS);
    CHECK(end(&task));
    CHECK(!skuai_join_detach(&task, &op.op)); /* ended, not yet freed */
    skuai_task_word_bury(&task.word);
    CHECK(!skuai_join_detach(&task, &op.op)); /* a dead slot */
    begin(&task, GENERATION + 1, true);
    CHECK_EQ(attach(&(skua_join_op){ .value = 0 }, &task, NULL), SKUAI_JOIN_WAITS);
    CHECK(!skuai_join_detach(&task, &op.op)); /* the next task's: its joiner is left alone */
    CHECK(word_of(&task) & SKUAI_TASK_JOINER);
    CHECK(skuai_op_is_done(&op.op));
}

TEST(an_arm_that_wins_is_done)
{
    skua_task task;
    skua_join_op op;
    struct skuai_select select = { .number = 1 };
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, &select), SKUAI_JOIN_WAITS);
    CHECK(end(&task));
    CHECK_EQ(select.decided.raw, SKUAI_SELECT_FIRST + JOIN_ARM);
    CHECK(skuai_op_is_done(&op.op));
    CHECK_EQ(op.value, RESULT);
    CHECK(!skuai_join_detach(&task, &op.op));
}

TEST(an_arm_that_loses_keeps_the_handle)
{
    skua_task task;
    skua_join_op op, again;
    struct skuai_select select = { .number = 1 };
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, &select), SKUAI_JOIN_WAITS);
    skuai_store_32(&select.decided, SKUAI_SELECT_FIRST + EVENT_ARM, SKUAI_RELEASE);
    CHECK(!end(&task)); /* whoever joins next frees it */
    CHECK_EQ(skuai_op_state(&op.op), SKUAI_OP_LOST);
    CHECK_EQ(op.value, 0);
    CHECK(skuai_join_detach(&task, &op.op));
    CHECK_EQ(attach(&again, &task, NULL), SKUAI_JOIN_READY); /* though J is still set */
    CHECK_EQ(task.result, RESULT);
}

TEST(an_arm_is_detached_before_the_end)
{
    skua_task task;
    skua_join_op op;
    struct skuai_select select = { .number = 1 };
    begin(&task, GENERATION, true);
    CHECK_EQ(attach(&op, &task, &select), SKUAI_JOIN_WAITS);
    CHECK(skuai_join_detach(&task, &op.op));
    CHECK(!end(&task));
    CHECK_EQ(skuai_op_state(&op.op), SKUAI_OP_ARMED); /* the end has not looked at it */
    CHECK_EQ(select.decided.raw, SKUAI_SELECT_OPEN);
}

/* The end has begun (E is set) and has not yet looked at the arm: who detaches waits for what becomes of it. */
struct late {
    skua_task task;
    skua_join_op op;
    skua_word32 detaching;
    bool detached;
};

static void *detaches(void *arg)
{
    struct late *late = arg;
    skuai_store_32(&late->detaching, 1, SKUAI_RELEASE);
    late->detached = skuai_join_detach(&late->task, &late->op.op);
    return NULL;
}

static void check_late(bool claimed)
{
    struct late late = { .detached = false };
    struct skuai_select select = { .number = 1 };
    pthread_t thread;
    begin(&late.task, GENERATION, true);
    CHECK_EQ(attach(&late.op, &late.task, &select), SKUAI_JOIN_WAITS);
    CHECK_EQ(skuai_task_word_end(&late.task.word), SKUAI_TASK_COMPLETE_JOINER);
    CHECK_EQ(pthread_create(&thread, NULL, detaches, &late), 0);
    while (skuai_load_32(&late.detaching, SKUAI_ACQUIRE) == 0)
        sched_yield();
    for (int i = 0; i < 10; i++)
        sched_yield();
    if (claimed)
        skuai_op_finish(&late.op.op, 0);
    else
        skuai_op_lose(&late.op.op);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(late.detached, !claimed);
}

TEST(who_detaches_waits_for_an_end_under_way)
{
    check_late(false);
    check_late(true);
}

/* ---- a select of a join and an event, on threads ------------------------------------------------------------- */

enum { PARTIES = 3 };

struct duel {
    skua_task task;
    skua_join_op join;
    skua_op event;
    struct skuai_select select;
    uint64_t rounds, joined, events;
    bool freed; /* by the task's end; read behind the barrier */
    pthread_barrier_t barrier;
};

static void *ender(void *arg)
{
    struct duel *duel = arg;
    for (uint64_t i = 0; i < duel->rounds; i++) {
        pthread_barrier_wait(&duel->barrier);
        if (i % 3 == 0)
            sched_yield();
        duel->freed = end(&duel->task);
        pthread_barrier_wait(&duel->barrier);
    }
    return NULL;
}

static void *event_happens(void *arg)
{
    struct duel *duel = arg;
    for (uint64_t i = 0; i < duel->rounds; i++) {
        pthread_barrier_wait(&duel->barrier);
        if (i % 3 == 1)
            sched_yield();
        if (skuai_op_claim(&duel->event))
            skuai_op_finish(&duel->event, RESULT + 1);
        else
            skuai_op_lose(&duel->event);
        pthread_barrier_wait(&duel->barrier);
    }
    return NULL;
}

static bool is_over(const skua_op *op)
{
    enum skuai_op_state state = skuai_op_state(op);
    return state == SKUAI_OP_DONE || state == SKUAI_OP_LOST;
}

/* True: the join won. The task then was freed by its end, which its owner learns by DONE. */
static bool select_once(struct duel *duel, enum skuai_join join)
{
    skua_op *op = &duel->join.op;
    bool joined = false;
    if (join == SKUAI_JOIN_READY) {
        joined = skuai_op_claim(op); /* READY counts if it decides the select */
    } else {
        uint32_t word;
        while ((word = skuai_load_32(&duel->select.decided, SKUAI_ACQUIRE)) < SKUAI_SELECT_FIRST)
            sched_yield();
        joined = word == SKUAI_SELECT_FIRST + JOIN_ARM;
        if (joined)
            CHECK_EQ(skua_await(op), 0);
        else
            CHECK(skuai_join_detach(&duel->task, op));
    }
    while (!is_over(&duel->event)) /* it has no lock to be withdrawn under */
        sched_yield();
    CHECK_EQ(skuai_op_is_done(&duel->event), !joined);
    return joined;
}

static void owner_round(struct duel *duel, uint32_t generation, bool attach_early)
{
    enum skuai_join join = SKUAI_JOIN_BUSY;
    begin(&duel->task, generation, true);
    duel->select = (struct skuai_select){ .number = generation };
    skuai_op_arm(skuai_op_prepare(&duel->event, &join_kind, NULL), (uintptr_t)&duel->event.state | SKUAI_SINK_THREAD);
    duel->event.select = &duel->select;
    duel->event.arm = EVENT_ARM;
    if (attach_early)
        join = attach(&duel->join, &duel->task, &duel->select);
    pthread_barrier_wait(&duel->barrier);
    if (!attach_early)
        join = attach(&duel->join, &duel->task, &duel->select);
    CHECK(join != SKUAI_JOIN_BUSY && (!attach_early || join == SKUAI_JOIN_WAITS));
    bool joined = select_once(duel, join);
    if (joined && join == SKUAI_JOIN_WAITS)
        CHECK_EQ(duel->join.value, RESULT);
    if (joined && join == SKUAI_JOIN_READY)
        CHECK_EQ(duel->task.result, RESULT);
    pthread_barrier_wait(&duel->barrier);
    CHECK_EQ(duel->freed, joined && join == SKUAI_JOIN_WAITS);
    if (!joined) { /* the handle is still there, and good for another join */
        CHECK_EQ(duel->event.result, RESULT + 1);
        CHECK_EQ(attach(&duel->join, &duel->task, NULL), SKUAI_JOIN_READY);
        CHECK_EQ(duel->task.result, RESULT);
    }
    ++*(joined ? &duel->joined : &duel->events);
}

TEST(the_end_against_an_event_against_the_owner)
{
    struct duel duel = { .rounds = test_scaled(5000) };
    pthread_t threads[2];
    CHECK_EQ(pthread_barrier_init(&duel.barrier, NULL, PARTIES), 0);
    CHECK_EQ(pthread_create(&threads[0], NULL, ender, &duel), 0);
    CHECK_EQ(pthread_create(&threads[1], NULL, event_happens, &duel), 0);
    for (uint64_t i = 0; i < duel.rounds; i++)
        owner_round(&duel, (uint32_t)i + 1, i % 2 != 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(duel.joined + duel.events, duel.rounds);
    pthread_barrier_destroy(&duel.barrier);
}

/* ---- as users see it ----------------------------------------------------------------------------------------- */

static int sleeps_then_returns(void *arg)
{
    (void)arg;
    skua_sleep(SKUA_MS);
    return RESULT;
}

static int yields_until_told(void *arg)
{
    while (skuai_load_32(arg, SKUAI_ACQUIRE) == 0)
        skua_yield();
    return RESULT;
}

static int joins(void *arg) { return skua_join(arg, NULL); }

static int two_joiners(void *arg)
{
    (void)arg;
    skua_task *task, *joiner;
    skua_join_op first, second;
    skua_word32 told = { 0 };
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, yields_until_told, &told));
    skua_op *started = skua_join_start(&first, task);
    CHECK(!skua_op_is_done(started));
    CHECK_EQ(skua_await(skua_join_start(&second, task)), -EBUSY);
    CHECK_OK(skua_spawn(&joiner, joins, task));
    CHECK_OK(skua_join(joiner, &result));
    CHECK_EQ(result, -EBUSY);
    skuai_store_32(&told, 1, SKUAI_RELEASE);
    CHECK_EQ(skua_await(started), 0);
    CHECK_EQ(first.value, RESULT);
    return 0;
}
TEST(a_second_joiner_is_told_busy) { run_everywhere(two_joiners, NULL); }

static int withdrawn_joins(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        skua_task *task;
        skua_join_op op;
        CHECK_OK(skua_spawn(&task, sleeps_then_returns, NULL));
        skua_op *started = skua_join_start(&op, task);
        for (int k = 0; k < i; k++)
            skua_yield();
        int64_t rc = skua_await(skua_op_cancel(started));
        CHECK(rc == 0 || rc == -ECANCELED);
        if (rc == -ECANCELED) { /* had no effect: the handle is kept */
            skua_cancel(task);
            CHECK_OK(skua_join(task, &op.value));
        }
        CHECK_EQ(op.value, RESULT);
    }
    return 0;
}
TEST(a_withdrawn_join_has_had_no_effect) { run_everywhere(withdrawn_joins, NULL); }

/* A cancelled fiber cancels the function that it blocks on, and still has its result. */
static int sleeps_until_cancelled(void *arg)
{
    skuai_store_32(arg, 1, SKUAI_RELEASE);
    CHECK_EQ(skua_sleep(SKUA_NEVER), -ECANCELED);
    return RESULT;
}

static int blocks_on(void *arg)
{
    int64_t result = skua_block_on(skua_runtime_self(), sleeps_until_cancelled, arg);
    CHECK_EQ(skua_interrupted(), -ECANCELED);
    return (int)result;
}

static int cancelled_block_on(void *arg)
{
    (void)arg;
    skua_word32 begun = { 0 };
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, blocks_on, &begun));
    while (skuai_load_32(&begun, SKUAI_ACQUIRE) == 0)
        skua_yield();
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, RESULT);
    return 0;
}
TEST(blocking_on_is_cancelled_through) { run_everywhere(cancelled_block_on, NULL); }

/* The loser of a race is cancelled, but for what it does in a shield. */
struct shielded {
    SKUA_FRAME;
    struct {
        skua_task *first, *second;
    } in;
    skua_join_op op;
    skua_scope scope;
};

SKUA_ASYNC(shielded)
{
    SKUA_BEGIN(self);
    skua_shield_enter(&self->scope);
    SKUA_AWAIT(skua_join_start(&self->op, self->in.first));
    CHECK_EQ(self->op.result, 0);
    CHECK_EQ(skua_interrupted(), 0);
    skua_scope_leave(&self->scope);
    CHECK_EQ(skua_interrupted(), -ECANCELED);
    SKUA_AWAIT(skua_join_start(&self->op, self->in.second));
    SKUA_END(self->op.result);
}

struct quick {
    SKUA_FRAME;
    struct {
        skua_word32 *told;
    } in;
};

SKUA_ASYNC(quick)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    skuai_store_32(self->in.told, 1, SKUAI_RELEASE); /* the other's join ends, after the race */
    SKUA_END(0);
}

static int shielded_join(void *arg)
{
    (void)arg;
    skua_word32 told = { 0 }, never_told = { 0 };
    skua_task *first, *second;
    struct shielded shielded;
    struct quick quick;
    skua_child children[2];
    CHECK_OK(skua_spawn(&first, yields_until_told, &told));
    CHECK_OK(skua_spawn(&second, yields_until_told, &never_told));
    skua_child_future(&children[0], SKUA_FUTURE(&shielded, shielded, .first = first, .second = second));
    skua_child_future(&children[1], SKUA_FUTURE(&quick, quick, .told = &told));
    CHECK_EQ(skua_race(children, 2), 1);
    CHECK_EQ(children[0].result, -ECANCELED); /* that join had no effect: its handle is kept */
    skuai_store_32(&never_told, 1, SKUAI_RELEASE);
    CHECK_OK(skua_join(second, NULL));
    return 0;
}
TEST(a_shield_keeps_a_join_of_a_cancelled_child) { run_everywhere(shielded_join, NULL); }

/* In a callback on a worker, outside of any task, a join is refused before anything has happened. */
static int64_t refused;

static void joins_outside(void *task) { refused = skua_join(task, NULL); }
static skua_local joiner = SKUA_LOCAL_INIT(joins_outside);
static int sets_joiner(void *task) { return skua_local_set(&joiner, task); }

static int refused_join(void *arg)
{
    (void)arg;
    skua_task *target, *other;
    skua_word32 told = { 0 };
    int64_t result = 0;
    CHECK_OK(skua_spawn(&target, yields_until_told, &told));
    CHECK_OK(skua_spawn(&other, sets_joiner, target));
    CHECK_OK(skua_join(other, NULL));
    CHECK(refused < 0); /* -EPERM, and misuse was reported */
    CHECK(!(skuai_load_64(&target->word, SKUAI_RELAXED) & SKUAI_TASK_JOINER));
    skuai_store_32(&told, 1, SKUAI_RELEASE);
    CHECK_OK(skua_join(target, &result));
    CHECK_EQ(result, 42);
    return 0;
}
static void ignore_misuse(void *context, const char *text) { (void)context, (void)text; }
TEST(a_refused_join_has_had_no_effect)
{
    CHECK_EQ(
        run_in((skua_config){.workers = 1, .ignore_environment = true, .on_misuse = ignore_misuse}, refused_join, NULL),
        0);
}
