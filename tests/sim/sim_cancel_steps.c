/* Cancel everywhere: selects with arms in steps (sched/steps.h), which real sockets cannot show under a seed. The arm
 * is a made-up one that behaves as accepting and connecting do: it takes one permit after another from a semaphore that
 * others share, rests between, holds what it has until it has taken effect, and gives it back if it loses. */
#include "support/cancel_everywhere.h"

#include "sched/steps.h"
#include "skua/event.h"
#include "skua/semaphore.h"

enum { STEPS = 3, ROUNDS = 2 };

struct table {
    skua_semaphore forks;
    skua_event bell;
    uint64_t eaten, held; /* one virtual thread at a time */
};

/* Some forks for a meal, one after another, with a pause before each but the first. */
struct meal {
    skua_op op;
    struct table *table;
    uint32_t held;
    bool pauses, has_begun;
    skua_semaphore_op fork;
    skua_sleep_op pause;
};

static struct meal *meal_of(const skua_op *op) { return (struct meal *)(uintptr_t)op; }

static void start_meal(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct meal *meal = meal_of(op);
    if (!may_wait)
        return;
    skuai_op_prepare(&meal->fork.op, NULL, NULL);
    skuai_op_prepare(&meal->pause.op, NULL, NULL);
    meal->has_begun = true;
    if (meal->pauses)
        skuai_step_start(worker, op, skua_sleep_prepare(&meal->pause, SKUA_US));
    else
        skuai_step_start(worker, op, skua_semaphore_acquire_prepare(&meal->fork, &meal->table->forks, 1));
}

static bool withdraw_meal(skua_op *op)
{
    struct meal *meal = meal_of(op);
    if (meal->has_begun) {
        skuai_step_withdraw(&meal->fork.op);
        skuai_step_withdraw(&meal->pause.op);
    }
    return true;
}

static enum skuai_settled settle_meal(struct skuai_worker *worker, skua_op *op)
{
    struct meal *meal = meal_of(op);
    (void)worker;
    if (meal->pauses ? !skuai_op_is_done(&meal->pause.op) : !skuai_op_is_done(&meal->fork.op))
        return SKUAI_SETTLING;
    meal->pauses = !meal->pauses;
    if (!meal->pauses)
        return SKUAI_UNSETTLED;
    meal->table->held++;
    if (++meal->held < STEPS)
        return SKUAI_UNSETTLED;
    skuai_op_set_done(op, STEPS);
    return SKUAI_SETTLED;
}

static void put_back(struct meal *meal)
{
    meal->table->held -= meal->held;
    skua_semaphore_release(&meal->table->forks, meal->held);
    meal->held = 0;
    meal->pauses = false;
}
static void undo_meal(skua_op *op)
{
    if (meal_of(op)->held != 0)
        put_back(meal_of(op));
}

static const struct skuai_op_kind meal_kind = {
    .name = "meal", .start = start_meal, .withdraw = withdraw_meal, .settle = settle_meal, .undo = undo_meal
};

static skua_op *prepare_meal(struct meal *meal, struct table *table)
{
    meal->table = table;
    meal->held = 0;
    meal->pauses = meal->has_begun = false;
    return skuai_op_prepare(&meal->op, &meal_kind, table);
}

static void eat(struct meal *meal)
{
    CHECK_EQ(meal->op.result, STEPS);
    CHECK_EQ(meal->held, STEPS);
    meal->table->eaten++;
    put_back(meal);
}

/* Two meals at once, of which one is eaten, and the bell. */
static int dines(void *arg)
{
    struct table *table = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct meal meals[2];
        skua_op bell;
        int64_t arm = SKUA_SELECT(prepare_meal(&meals[0], table), skua_event_wait_prepare(&bell, &table->bell),
                                  prepare_meal(&meals[1], table));
        if (arm < 0)
            return (int)arm;
        CHECK(arm == 0 || meals[0].held == 0);
        CHECK(arm == 2 || meals[1].held == 0);
        if (arm != 1)
            eat(&meals[arm / 2]);
    }
    return 0;
}

struct dines_too {
    SKUA_FRAME;
    struct { struct table *table; } in;
    struct meal meal;
    skua_op *arms[2];
    skua_op bell;
    skua_selection selection;
};
SKUA_ASYNC(dines_too)
{
    SKUA_BEGIN(self);
    self->arms[0] = prepare_meal(&self->meal, self->in.table);
    self->arms[1] = skua_event_wait_prepare(&self->bell, &self->in.table->bell);
    SKUA_AWAIT(skua_select_start(&self->selection, self->arms, 2));
    if (SKUA_RESULT(&self->selection) == 0)
        eat(&self->meal);
    CHECK_EQ(self->meal.held, 0);
    SKUA_END(SKUA_RESULT(&self->selection) < 0 ? SKUA_RESULT(&self->selection) : 0);
}

/* As children of a set, one of which ends the others. */
static int dines_in_company(void *arg)
{
    struct dines_too guests[2];
    skua_child kids[2];
    for (int i = 0; i < 2; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&guests[i], dines_too, .table = arg));
    int64_t first = skua_race(kids, 2);
    CHECK(first == 0 || first == 1);
    return 0;
}

static int rings(void *arg)
{
    struct table *table = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int rc = skua_sleep(2 * SKUA_US);
        skua_event_set(&table->bell);
        if (rc < 0)
            return rc;
    }
    return 0;
}

enum { TASKS = 4 };

static int body(void *arg)
{
    struct table *table = arg;
    skua_task *tasks[TASKS];
    *table = (struct table){ .eaten = 0 };
    skua_semaphore_init(&table->forks, STEPS);
    skua_event_init(&table->bell, SKUA_EVENT_AUTO);
    CHECK_OK(skua_spawn(&tasks[0], dines, table));
    CHECK_OK(SKUA_SPAWN(&tasks[1], dines_too, .table = table));
    CHECK_OK(skua_spawn(&tasks[2], dines_in_company, table));
    CHECK_OK(skua_spawn(&tasks[3], rings, table));
    (void)skua_sleep(20 * SKUA_US);
    for (int i = 0; i < TASKS; i++)
        (void)end_task(tasks[i]);
    return 0;
}

static void check(void *arg)
{
    struct table *table = arg;
    CHECK_EQ(table->held, 0);
    CHECK_EQ(skua_semaphore_available(&table->forks), STEPS);
    CHECK(table->forks.waiters.first == NULL && table->bell.waiters.first == NULL);
}

TEST(arms_in_steps)
{
    struct table table;
    cancel_everywhere(body, check, &table);
}
