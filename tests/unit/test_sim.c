/* Simulated runtimes beside others, and at the edges of time. What they simulate is tests/sim's matter. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>

#include "sched/scheduler.h"
#include "support/with_runtime.h"

static const skua_config simulated = { .simulate = true, .sim_seed = 3, .ignore_environment = true };
static const skua_config real = { .workers = 2, .ignore_environment = true };

static int returns(void *arg) { return (int)(intptr_t)arg; }

/* ---- beside others ------------------------------------------------------------------------------------------- */

/* A whole simulation inside a task; the task's own worker is none the worse. */
static int simulates(void *arg)
{
    skua_runtime *rt;
    struct skuai_worker *self = skuai_worker_self();
    (void)arg;
    CHECK_OK(skua_runtime_create(&rt, &simulated));
    CHECK(skuai_worker_self() == self);
    CHECK_EQ(skua_block_on(rt, returns, (void *)7), 7);
    CHECK(skuai_worker_self() == self);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK(skuai_worker_self() == self);
    return skua_sleep(SKUA_US);
}
TEST(a_simulation_inside_a_task)
{
    run_in(real, simulates, NULL);
    run_in(simulated, simulates, NULL);
}

static int blocks_on(void *rt)
{
    skua_task *task;
    skua_spawn_attr there = { .runtime = rt };
    CHECK_EQ(skua_block_on(rt, returns, NULL), -EPERM);
    CHECK_EQ(skua_spawn_with(&task, &there, returns, NULL), -EPERM);
    return 0;
}

static int joins(void *task) { return skua_join(task, NULL); }

TEST(a_simulated_task_does_not_depend_on_other_runtimes)
{
    skua_runtime *sim, *other;
    skua_task *task;
    CHECK_OK(skua_runtime_create(&sim, &simulated));
    CHECK_OK(skua_runtime_create(&other, &real));
    CHECK_EQ(skua_block_on(sim, blocks_on, other), 0);
    skua_spawn_attr there = { .runtime = other };
    CHECK_OK(skua_spawn_with(&task, &there, returns, (void *)5));
    CHECK_EQ(skua_block_on(sim, joins, task), -EPERM);
    CHECK_OK(skua_join(task, NULL)); /* the handle was kept */
    CHECK_OK(skua_runtime_destroy(other));
    CHECK_OK(skua_runtime_destroy(sim));
}

static void *of_another_thread(void *rt)
{
    skua_spawn_attr there = { .runtime = rt };
    CHECK_EQ(skua_block_on(rt, returns, NULL), -EPERM);
    CHECK_EQ(skua_spawn_with(NULL, &there, returns, NULL), -EPERM);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -EPERM);
    CHECK_EQ(skua_runtime_destroy(rt), -EPERM);
    return NULL;
}

TEST(a_simulation_belongs_to_its_thread)
{
    skua_runtime *sim, *other;
    pthread_t thread;
    CHECK_OK(skua_runtime_create(&sim, &simulated));
    CHECK_OK(skua_runtime_create(&other, &real));
    CHECK_EQ(pthread_create(&thread, NULL, of_another_thread, sim), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(skua_block_on(other, blocks_on, sim), 0);
    CHECK_EQ(skua_block_on(sim, returns, (void *)4), 4);
    CHECK_OK(skua_runtime_destroy(other));
    CHECK_OK(skua_runtime_destroy(sim));
}

/* ---- the edges of time --------------------------------------------------------------------------------------- */

static int waits_by_looking(void *arg)
{
    (void)arg;
    uint64_t until = skua_now() + 100 * SKUA_US;
    while (skua_now() < until)
        ;
    return 0;
}
TEST(a_loop_over_the_time_ends) { CHECK_EQ(run_in(simulated, waits_by_looking, NULL), 0); }

static int sleeps_until(void *instant) { return skua_sleep_until(*(uint64_t *)instant); }

static int far_ahead(void *arg)
{
    (void)arg;
    static uint64_t instants[] = { SKUA_NEVER - 1, SKUA_NEVER / 2 + 1, SKUA_NEVER };
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        skua_task *task;
        int64_t result;
        CHECK_OK(skua_spawn(&task, sleeps_until, &instants[i]));
        CHECK_OK(skua_sleep(SKUA_S));
        skua_cancel(task);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, -ECANCELED);
        CHECK(skua_now() < 100 * SKUA_S);
    }
    return 0;
}
TEST(far_instants_never_come) { CHECK_EQ(run_in(simulated, far_ahead, NULL), 0); }

static int stubborn(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    return skua_sleep(SKUA_NEVER);
}

static void quiet(void *context, enum skua_log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

TEST(a_deadlock_in_a_shield_can_be_shut_down)
{
    skua_runtime *rt;
    skua_config config = simulated;
    config.log = quiet;
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, stubborn, NULL), -EDEADLK);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_NEVER), -ETIMEDOUT);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- stacks --------------------------------------------------------------------------------------------------- */

struct large_poll {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(large_poll)
{
    SKUA_BEGIN(self);
    {
        volatile char large[600 * 1024];
        for (size_t i = sizeof large; i > 0; i -= 1024)
            large[i - 1] = 1;
    }
    SKUA_END(0);
}

static int polls_large(void *arg)
{
    skua_task *task;
    (void)arg;
    CHECK_OK(SKUA_SPAWN(&task, large_poll));
    return skua_join(task, NULL);
}

static void overflow(void *arg)
{
    (void)arg;
    run_in(simulated, polls_large, NULL);
}
TEST(a_virtual_workers_stack_has_a_guard) { test_expect_abort(overflow, NULL, ""); }
