/* Scopes: deadlines that nest, in and out of shields, in fibers, futures, sets and plain threads. */
#include <errno.h>
#include <pthread.h>

#include "support/with_runtime.h"

static int in_a_deadline(void *arg)
{
    (void)arg;
    uint64_t begin = skua_now();
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
        CHECK(skua_now() - begin >= SKUA_MS);
        CHECK_EQ(skua_sleep(0), -ETIMEDOUT); /* from then on each */
        CHECK_EQ(skua_interrupted(), -ETIMEDOUT);
        CHECK_EQ(skua_yield(), -ETIMEDOUT);
    }
    CHECK_EQ(skua_interrupted(), 0);
    CHECK_EQ(skua_sleep(1000), 0);
    {
        SKUA_DEADLINE(SKUA_S);
        CHECK_EQ(skua_sleep(1000), 0);
    }
    {
        SKUA_DEADLINE(SKUA_NEVER);
        CHECK_EQ(skua_sleep(1000), 0);
    }
    return 0;
}
TEST(a_deadline_ends_its_awaits) { run_everywhere(in_a_deadline, NULL); }

static int nested(void *arg)
{
    (void)arg;
    skua_scope outermost, outer, inner;
    skua_deadline_enter(&outermost, skua_after(1000 * SKUA_S));
    skua_deadline_enter(&outer, skua_after(2 * SKUA_MS));
    skua_deadline_enter(&inner, skua_after(SKUA_MS));
    CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
    CHECK(skua_scope_expired(&inner));
    CHECK(!skua_scope_expired(&outermost));
    skua_scope_leave(&inner);
    CHECK(skua_scope_expired(&inner));
    CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
    CHECK(skua_scope_expired(&outer));
    {
        SKUA_SHIELD();
        CHECK_EQ(skua_interrupted(), 0);
        CHECK_EQ(skua_sleep(1000), 0);
        SKUA_DEADLINE(1000);
        CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
    }
    skua_cancel(skua_self());
    CHECK_EQ(skua_interrupted(), -ECANCELED); /* outranks */
    CHECK_EQ(skua_sleep(1), -ECANCELED);
    skua_scope_leave(&outer);
    skua_scope_leave(&outermost);
    CHECK_EQ(skua_sleep(1), -ECANCELED);
    {
        SKUA_SHIELD();
        SKUA_DEADLINE(1000);
        CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
        CHECK_EQ(skua_interrupted(), -ETIMEDOUT);
    }
    CHECK_EQ(skua_interrupted(), -ECANCELED);
    return 0;
}
TEST(deadlines_nest) { run_everywhere(nested, NULL); }

static int past(void *arg)
{
    (void)arg;
    {
        skua_scope scope;
        skua_deadline_enter(&scope, 1);
        CHECK(skua_scope_expired(&scope));
        CHECK_EQ(skua_sleep(0), -ETIMEDOUT);
        skua_scope_leave(&scope);
    }
    skua_sleep_op op;
    CHECK_EQ(skua_await_until(skua_sleep_start(&op, SKUA_S), 1), -ETIMEDOUT);
    CHECK_EQ(skua_await_until(skua_sleep_start(&op, SKUA_S), skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_await_until(skua_sleep_start(&op, SKUA_MS), skua_after(SKUA_S)), 0);
    CHECK_EQ(skua_await_until(skua_sleep_start(&op, 0), 1), 0); /* it was over before anybody looked */
    return 0;
}
TEST(a_deadline_that_has_passed) { run_everywhere(past, NULL); }

struct limited {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_scope scope;
    skua_sleep_op sleep;
};
SKUA_ASYNC(limited)
{
    SKUA_BEGIN(self);
    skua_deadline_enter(&self->scope, skua_after(SKUA_MS));
    SKUA_AWAIT(skua_sleep_start(&self->sleep, SKUA_S));
    CHECK_EQ(self->sleep.result, -ETIMEDOUT);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 0));
    CHECK_EQ(self->sleep.result, -ETIMEDOUT);
    skua_scope_leave(&self->scope);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, 1000));
    SKUA_END(self->sleep.result);
}

struct patient {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op sleep;
};
SKUA_ASYNC(patient)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, SKUA_S));
    SKUA_END(self->sleep.result);
}

static int sleeps_a_second(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S);
}

static int in_futures(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result;
    struct limited a;
    struct patient b;
    skua_child kids[3];
    CHECK_OK(SKUA_SPAWN(&task, limited));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&a, limited)), 0);
    skua_child_future(&kids[0], SKUA_FUTURE(&a, limited));
    CHECK_EQ(skua_join_all(kids, 1), 0);
    {
        SKUA_DEADLINE(SKUA_MS); /* around a set: its futures time out, its tasks are cancelled */
        skua_child_future(&kids[0], SKUA_FUTURE(&b, patient));
        skua_child_future(&kids[1], SKUA_FUTURE(&a, limited));
        CHECK_OK(skua_spawn(&task, sleeps_a_second, NULL));
        skua_child_task(&kids[2], task);
        CHECK_EQ(skua_all_settled(kids, 3), 0);
        CHECK_EQ(kids[0].result, -ETIMEDOUT);
        CHECK_EQ(kids[1].result, -ETIMEDOUT);
        CHECK_EQ(kids[2].result, -ECANCELED);
    }
    return 0;
}
TEST(deadlines_in_futures_and_sets) { run_everywhere(in_futures, NULL); }

/* On one worker, a loop of awaits that are over before they begin to wait starves nobody. */
static int sets(void *arg)
{
    skua_event_set(arg);
    return 0;
}
static int impatient(void *arg)
{
    (void)arg;
    skua_event never = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL), soon = SKUA_EVENT_INIT(SKUA_EVENT_MANUAL);
    skua_op op;
    for (int way = 0; way < 4; way++) {
        (void)skua_event_reset(&soon);
        CHECK_OK(skua_go(sets, &soon));
        while (!skua_event_is_set(&soon)) {
            skua_op *arm = skua_event_wait_prepare(&op, &never);
            CHECK(way == 0   ? skua_event_wait_until(&never, 1) == -ETIMEDOUT
                  : way == 1 ? skua_select_until(&arm, 1, 1) == -ETIMEDOUT
                  : way == 2 ? skua_event_wait(&never) == -ECANCELED
                             : skua_select(&arm, 1) == -ECANCELED);
        }
        if (way == 1)
            skua_cancel(skua_self());
    }
    return 0;
}
TEST(awaits_that_are_over_starve_nobody)
{
    CHECK_EQ(run_on(1, impatient, NULL), 0);
    CHECK_EQ(run_seeded(test_seed(), 1, impatient, NULL), 0);
}

TEST(deadlines_of_a_plain_thread)
{
    skua_sleep_op op;
    uint64_t begin = skua_now();
    {
        SKUA_DEADLINE(SKUA_MS);
        CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
        CHECK_EQ(skua_interrupted(), -ETIMEDOUT);
        SKUA_SHIELD();
        CHECK_EQ(skua_sleep(1000), 0);
    }
    CHECK(skua_now() - begin >= SKUA_MS);
    CHECK_EQ(skua_interrupted(), 0);
    CHECK_EQ(skua_await(skua_sleep_start(&op, 1000)), 0);
    CHECK_EQ(skua_await_until(skua_sleep_start(&op, SKUA_S), skua_after(1000)), -ETIMEDOUT);
}

/* The timer and the end of what it limits meet at about one time. */
static int races(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < 200; i++) {
        SKUA_DEADLINE(20 * SKUA_US);
        int rc = skua_sleep(i % 2 ? 20 * SKUA_US : 19 * SKUA_US + i * 10);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
    }
    return 0;
}
TEST(deadlines_that_race_with_ends) { run_everywhere(races, NULL); }
