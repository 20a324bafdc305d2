/* Simulated runtimes beside others, at the edges of time, and on machines. What they simulate is tests/sim's matter. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>

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

/* ---- machines ------------------------------------------------------------------------------------------------ */

#if !defined(SKUAI_NO_HWLOC) /* machines that only hwloc can describe */

static int computes(void *arg)
{
    (void)arg;
    skua_sim_compute(SKUA_MS);
    return 0;
}

/* Virtual time that 8 tasks of 1 ms take. */
static int eight_compute(void *took_ns)
{
    skua_task *tasks[8];
    uint64_t begin_ns = skua_now();
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_spawn(&tasks[i], computes, NULL));
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    *(uint64_t *)took_ns = skua_now() - begin_ns;
    return 0;
}

static uint64_t time_of_eight(const char *machine)
{
    uint64_t took_ns = 0;
    CHECK_EQ(run_on_machine(machine, test_seed(), eight_compute, &took_ns), 0);
    return took_ns;
}

TEST(the_processors_of_a_machine_compute_at_once)
{
    uint64_t one = time_of_eight("core:1 pu:1"), two = time_of_eight("core:2 pu:1");
    uint64_t eight = time_of_eight("numa:2 core:4 pu:1"), many = time_of_eight("numa:4 core:8 pu:2");
    CHECK(one >= 8 * SKUA_MS && one < 9 * SKUA_MS);
    CHECK(two >= 4 * SKUA_MS && two < 5 * SKUA_MS);
    CHECK(eight >= SKUA_MS && eight < 2 * SKUA_MS);
    CHECK(many >= SKUA_MS && many < 2 * SKUA_MS);
}

/* Whoever computes stands in nobody's way: timers are in time, within what a wake takes. */
static int sleeps_beside(void *arg)
{
    (void)arg;
    skua_task *task;
    CHECK_OK(skua_spawn(&task, computes, NULL));
    CHECK_OK(skua_yield());
    for (int i = 0; i < 5; i++) {
        uint64_t due_ns = skua_now() + 100 * SKUA_US;
        CHECK_OK(skua_sleep_until(due_ns));
        CHECK(skua_now() >= due_ns && skua_now() < due_ns + 100 * SKUA_US);
    }
    return skua_join(task, NULL);
}
TEST(timers_on_a_machine) { CHECK_EQ(run_on_machine("core:4 pu:1", test_seed(), sleeps_beside, NULL), 0); }

static int counts_workers(void *arg)
{
    (void)arg;
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    return (int)stats.workers;
}
TEST(a_machine_has_a_worker_for_each_processor)
{
    CHECK_EQ(run_on_machine("pack:2 core:4 pu:2", 1, counts_workers, NULL), 16);
    skua_config fewer = { .sim_machine = "core:8 pu:1", .workers = 3, .ignore_environment = true };
    CHECK_EQ(run_in(fewer, counts_workers, NULL), 3);
}

struct text {
    char *bytes;
    size_t length, room;
};
static void keep_text(void *context, const char *line, size_t length)
{
    struct text *text = context;
    if (text->length + length > text->room) {
        text->room = 2 * (text->length + length);
        text->bytes = realloc(text->bytes, text->room);
        CHECK(text->bytes != NULL);
    }
    memcpy(text->bytes + text->length, line, length);
    text->length += length;
}
TEST(a_machine_goes_the_same_way_with_the_same_seed)
{
    struct text texts[2] = { { .bytes = NULL }, { .bytes = NULL } };
    uint64_t took_ns[2];
    for (int i = 0; i < 2; i++) {
        skua_config config = { .sim_machine = "numa:2 core:4 pu:1",
                               .sim_seed = 11,
                               .sim_trace = keep_text,
                               .sim_trace_context = &texts[i],
                               .ignore_environment = true };
        CHECK_EQ(run_in(config, eight_compute, &took_ns[i]), 0);
    }
    CHECK_EQ(took_ns[0], took_ns[1]);
    CHECK_EQ(texts[0].length, texts[1].length);
    CHECK(memcmp(texts[0].bytes, texts[1].bytes, texts[0].length) == 0);
    free(texts[0].bytes);
    free(texts[1].bytes);
}

static void keep_message(void *text, enum skua_log_level level, const char *message)
{
    CHECK(level == SKUA_LOG_ERROR);
    snprintf(text, 256, "%s", message);
}
TEST(what_is_no_machine_is_refused)
{
    char text[256] = "";
    skua_runtime *rt;
    skua_config config = { .sim_machine = "a big one", .log = keep_message, .log_context = text };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    CHECK(rt == NULL && strstr(text, "\"a big one\"") != NULL);
}

#endif

/* One processor: computing only moves the time. */
static int computes_alone(void *arg)
{
    (void)arg;
    uint64_t begin_ns = skua_now();
    skua_sim_compute(SKUA_MS);
    CHECK(skua_now() - begin_ns >= SKUA_MS);
    return 0;
}
TEST(computing_under_a_seed) { CHECK_EQ(run_in(simulated, computes_alone, NULL), 0); }

static int computes_nothing(void *arg)
{
    (void)arg;
    skua_sim_compute(SKUA_NEVER);
    return 0;
}
TEST(computing_where_nothing_is_simulated)
{
    CHECK_EQ(run_in(real, computes_nothing, NULL), 0);
    skua_sim_compute(SKUA_NEVER);
}
