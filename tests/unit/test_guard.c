/* The guard: starting, stopping, its deep sleep; and what it does for tasks and timers while a task computes for long
 * and does not give way. The waiting is for conditions, however long they take.
 */
#include "sched/guard.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sched/parker.h"
#include "sched/scheduler.h"
#include "sched/sim.h"
#include "skua/time.h"
#include "support/with_runtime.h"

/* ---- on its own ---------------------------------------------------------------------------------------------- */

/* A scheduler without workers: all of them sleep, always. */
static struct skuai_scheduler *scheduler_create(void)
{
    struct skuai_scheduler *sched = aligned_alloc(SKUAI_CACHE_LINE, sizeof *sched);
    CHECK(sched != NULL);
    memset(sched, 0, sizeof *sched);
    skuai_idle_init(&sched->idle, 0, NULL);
    skuai_inject_init(&sched->inject);
    skuai_timers_init(sched);
    return sched;
}

static uint32_t deep(struct skuai_scheduler *sched) { return skuai_load_32(&sched->guard.deep, SKUAI_ACQUIRE); }

static void wait_until_deep(struct skuai_scheduler *sched)
{
    while (deep(sched) == 0)
        sched_yield();
}

static void stop(struct skuai_scheduler *sched)
{
    skuai_store_32(&sched->stage, SKUAI_STAGE_STOP, SKUAI_RELEASE);
    skuai_guard_stop(sched);
    CHECK(!sched->guard.started);
    skuai_guard_stop(sched); /* nothing is left to stop */
}

TEST(starts_and_stops)
{
    for (int i = 0; i < 20; i++) {
        struct skuai_scheduler *sched = scheduler_create();
        skuai_guard_stop(sched); /* not started */
        CHECK_OK(skuai_guard_start(sched));
        CHECK(sched->guard.started);
        stop(sched);
        free(sched);
    }
}

TEST(stops_from_deep_sleep)
{
    struct skuai_scheduler *sched = scheduler_create();
    CHECK_OK(skuai_guard_start(sched));
    wait_until_deep(sched);
    stop(sched);
    free(sched);
}

static uint32_t token(struct skuai_scheduler *sched)
{
    return skuai_load_32(&sched->guard.parker.token, SKUAI_ACQUIRE);
}

TEST(work_wakes_it_from_deep_sleep)
{
    struct skuai_scheduler *sched = scheduler_create();
    skuai_guard_work_begins(sched); /* it does not sleep deeply: no token */
    CHECK_EQ(token(sched), SKUAI_PARKER_EMPTY);
    CHECK_OK(skuai_guard_start(sched));
    for (int i = 0; i < 3; i++) {
        wait_until_deep(sched);
        skuai_guard_work_begins(sched);
        while (token(sched) == SKUAI_PARKER_TOKEN) /* until it has taken it: it is awake */
            sched_yield();
    }
    stop(sched);
    free(sched);
}

/* ---- in a runtime -------------------------------------------------------------------------------------------- */

/* Computes until the word is set. In a simulation it gives way to other threads, as any thread does, but to no task. */
static void hog_until(struct skuai_scheduler *sched, const skua_word32 *word)
{
    while (skuai_load_32(word, SKUAI_ACQUIRE) == 0)
        skuai_env_pause(&sched->env);
}

static struct skuai_scheduler *own_scheduler(void) { return (struct skuai_scheduler *)(void *)skua_runtime_self(); }

static int sets(void *arg)
{
    skuai_store_32(arg, 1, SKUAI_RELEASE);
    return 0;
}

/* The others have gone to sleep. */
static void wait_until_alone(struct skuai_scheduler *sched)
{
    while (skuai_idle_sleeping(&sched->idle) != sched->nworkers - 1)
        skuai_env_pause(&sched->env);
}

/* What it has spawned lies in its next-slot, for which nobody is woken. */
static int hog_over_a_task(void *arg)
{
    (void)arg;
    struct skuai_scheduler *sched = own_scheduler();
    skua_word32 ran = { 0 };
    wait_until_alone(sched);
    skua_task *task;
    CHECK_OK(skua_spawn(&task, sets, &ran));
    hog_until(sched, &ran);
    CHECK_OK(skua_join(task, NULL));
    return 0;
}

static int sleeps_and_sets(void *arg)
{
    CHECK_OK(skua_sleep(SKUA_MS));
    return sets(arg);
}

/* The sleeper's timer is in the wheel of the one worker that is awake, and it computes. */
static int hog_over_a_timer(void *arg)
{
    (void)arg;
    struct skuai_scheduler *sched = own_scheduler();
    skua_word32 ran = { 0 };
    skua_task *task;
    CHECK_OK(skua_spawn(&task, sleeps_and_sets, &ran));
    skua_yield();
    hog_until(sched, &ran);
    CHECK_OK(skua_join(task, NULL));
    return 0;
}

/* Its own timer, and no other worker to look at it. */
static int hog_over_its_own_timer(void *arg)
{
    (void)arg;
    struct skuai_scheduler *sched = own_scheduler();
    skua_sleep_op op;
    skua_op *started = skua_sleep_start(&op, SKUA_MS);
    while (!skua_op_is_done(started))
        skuai_env_pause(&sched->env);
    CHECK_EQ(skua_await(started), 0);
    return 0;
}

TEST(a_timer_of_the_hog_itself_expires)
{
    CHECK_EQ(run_on(1, hog_over_its_own_timer, NULL), 0);
    for (uint64_t seed = test_seed(); seed < test_seed() + test_scaled(10); seed++)
        CHECK_EQ(run_seeded(seed, 1, hog_over_its_own_timer, NULL), 0);
}

static int hogs(void *arg)
{
    return hog_over_a_task(arg) + hog_over_a_timer(arg) + hog_over_a_task(arg);
}

static void run_hogs(skua_fiber_fn *fn)
{
    for (uint32_t workers = 2; workers < 5; workers++) {
        CHECK_EQ(run_on(workers, fn, NULL), 0);
        for (uint64_t seed = test_seed(); seed < test_seed() + test_scaled(10); seed++)
            CHECK_EQ(run_seeded(seed, workers, fn, NULL), 0);
    }
}

TEST(a_task_behind_a_hog_runs_elsewhere) { run_hogs(hog_over_a_task); }
TEST(a_timer_behind_a_hog_expires) { run_hogs(hog_over_a_timer); }
TEST(hogs_in_a_row) { run_hogs(hogs); }

static int fill_queues(void *arg)
{
    skua_word32 *ran = arg;
    struct skuai_scheduler *sched = own_scheduler();
    skua_task *tasks[3];
    wait_until_alone(sched);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], sets, &ran[i]));
    for (int i = 0; i < 3; i++)
        hog_until(sched, &ran[i]);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

TEST(all_that_a_hog_leaves_runs_elsewhere)
{
    skua_word32 ran[3];
    memset(ran, 0, sizeof ran);
    CHECK_EQ(run_on(2, fill_queues, ran), 0);
    for (uint64_t seed = test_seed(); seed < test_seed() + test_scaled(10); seed++) {
        memset(ran, 0, sizeof ran);
        CHECK_EQ(run_seeded(seed, 2, fill_queues, ran), 0);
    }
}

/* Work from outside wakes it, and a hog that comes then is guarded. Again and again. */
TEST(sleeps_deeply_while_the_runtime_is_idle)
{
    skua_runtime *rt;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .ignore_environment = true }));
    struct skuai_scheduler *sched = (struct skuai_scheduler *)(void *)rt;
    for (int i = 0; i < 5; i++) {
        while (deep(sched) == 0 || skuai_idle_sleeping(&sched->idle) != 2) /* the former may be old for a moment */
            sched_yield();
        CHECK_EQ(skua_block_on(rt, i % 2 ? hog_over_a_task : hog_over_a_timer, NULL), 0);
    }
    CHECK_OK(skua_runtime_destroy(rt));
}

/* A simulated one does so too: else a long sleep would take a step per look, and no deadlock would ever be found. */
static int sleeps_long(void *arg)
{
    (void)arg;
    struct skuai_scheduler *sched = own_scheduler();
    uint64_t before = skuai_sim_steps(sched->env.sim);
    CHECK_OK(skua_sleep(1000000 * SKUA_S));
    CHECK(skuai_sim_steps(sched->env.sim) - before < 1000);
    return 0;
}

TEST(a_simulated_guard_sleeps_deeply)
{
    for (uint64_t seed = test_seed(); seed < test_seed() + 10; seed++)
        CHECK_EQ(run_seeded(seed, 2, sleeps_long, NULL), 0);
}

/* Or every short piece of work would pay for a kernel wake-up of the guard. */
TEST(guard_is_calm_for_milliseconds_before_each_deep_sleep)
{
    struct skuai_scheduler *sched = scheduler_create();
    CHECK_OK(skuai_sim_create(&sched->env.sim, &(struct skuai_sim_config){ .seed = 1, .threads_max = 1 }));
    skua_word32 never = { 0 };
    CHECK_OK(skuai_guard_start(sched));
    CHECK_EQ(skuai_sim_run(sched->env.sim, &never, 1), -EDEADLK); /* it sleeps deeply */
    CHECK_EQ(sched->guard.deep.raw, 1);
    skuai_guard_work_begins(sched); /* which is over before the guard looks */
    CHECK_EQ(skuai_sim_run_until(sched->env.sim, &never, 1, skuai_env_now(&sched->env) + SKUA_MS / 2), -ETIMEDOUT);
    CHECK_EQ(sched->guard.deep.raw, 0);
    skuai_store_32(&sched->stage, SKUAI_STAGE_STOP, SKUAI_RELEASE);
    skuai_guard_stop(sched);
    skuai_sim_destroy(sched->env.sim);
    free(sched);
}
