/* Tasks of one runtime that wait for tasks of another, which ends meanwhile: cleanly or with tasks left over. */
#include <errno.h>
#include <time.h>

#include "sched/atomic.h"
#include "support/with_runtime.h"

static const skua_config one_worker = { .workers = 1, .ignore_environment = true };
static const skua_config two_workers = { .workers = 2, .ignore_environment = true };

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL); }

static void silent(void *context, enum skua_log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static skua_runtime *create(skua_config config)
{
    skua_runtime *rt;
    config.log = silent;
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

/* ---- a set of the others' tasks ------------------------------------------------------------------------------ */

struct race {
    skua_task *others[2];
    skua_word32 waits, told, gone;
    int64_t winner;
    skua_child children[2];
};

static int returns_when_told(void *arg)
{
    struct race *race = arg;
    skua_scope shield;
    skua_shield_enter(&shield);
    while (skuai_load_32(&race->told, SKUAI_ACQUIRE) == 0)
        CHECK_OK(skua_sleep(100000));
    skua_scope_leave(&shield);
    return 0;
}

static int races(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < 2; i++)
        skua_child_task(&race->children[i], race->others[i]);
    skuai_store_32(&race->waits, 1, SKUAI_RELEASE);
    race->winner = skua_race(race->children, 2);
    return 0;
}

/* Keeps the racer's worker until the other runtime is no more. */
static int hogs(void *arg)
{
    struct race *race = arg;
    skuai_store_32(&race->waits, 2, SKUAI_RELEASE);
    while (skuai_load_32(&race->gone, SKUAI_ACQUIRE) == 0)
        nap();
    return 0;
}

static void race_against_the_end(struct race *race, bool clean)
{
    skua_runtime *here = create(one_worker), *there = create(one_worker);
    skua_spawn_attr at_here = { .runtime = here }, at_there = { .runtime = there };
    skua_task *racer;
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn_with(&race->others[i], &at_there, returns_when_told, race));
    CHECK_OK(skua_spawn_with(&racer, &at_here, races, race));
    while (skuai_load_32(&race->waits, SKUAI_ACQUIRE) == 0)
        nap();
    CHECK_OK(skua_spawn_with(NULL, &at_here, hogs, race));
    while (skuai_load_32(&race->waits, SKUAI_ACQUIRE) == 1)
        nap();
    skuai_store_32(&race->told, clean, SKUAI_RELEASE);
    CHECK_EQ(skua_runtime_shutdown(there, clean ? SKUA_NEVER : 0, 0), clean ? 0 : -ETIMEDOUT);
    CHECK_OK(skua_runtime_destroy(there));
    skuai_store_32(&race->gone, 1, SKUAI_RELEASE);
    CHECK_OK(skua_join(racer, NULL));
    CHECK_OK(skua_runtime_destroy(here));
}

/* The first child to be polled decides, and the other one's task, which is to be cancelled, is gone. */
TEST(a_race_of_tasks_that_are_gone)
{
    struct race race = { .winner = -1 };
    race_against_the_end(&race, true);
    CHECK(race.winner == 0 || race.winner == 1);
    CHECK_EQ(race.children[0].result, 0);
    CHECK_EQ(race.children[1].result, 0);
}

TEST(a_race_of_tasks_that_were_left_over)
{
    struct race race = { .winner = -1 };
    race_against_the_end(&race, false);
    CHECK(race.winner == 0 || race.winner == 1);
    CHECK_EQ(race.children[0].result, -ESHUTDOWN);
    CHECK_EQ(race.children[1].result, -ESHUTDOWN);
}

/* ---- a join that is cancelled while its task ends ------------------------------------------------------------ */

static int returns_7(void *arg)
{
    (void)arg;
    return 7;
}

struct cancelled_join {
    skua_runtime *there;
    skua_word32 begun;
};

static int blocks_on_the_other(void *arg)
{
    struct cancelled_join *join = arg;
    skuai_store_32(&join->begun, 1, SKUAI_RELEASE);
    CHECK_EQ(skua_block_on(join->there, returns_7, NULL), 7);
    return 0;
}

TEST(a_cancelled_wait_for_a_runtime_that_ends)
{
    skua_runtime *here = create(two_workers);
    skua_spawn_attr at_here = { .runtime = here };
    for (uint64_t i = 0, n = test_scaled(300); i < n; i++) {
        struct cancelled_join join = { .there = create(two_workers) };
        skua_task *waiter;
        CHECK_OK(skua_spawn_with(&waiter, &at_here, blocks_on_the_other, &join));
        while (skuai_load_32(&join.begun, SKUAI_ACQUIRE) == 0)
            skuai_pause();
        skua_cancel(waiter);
        CHECK_OK(skua_join(waiter, NULL));
        CHECK_OK(skua_runtime_destroy(join.there));
    }
    CHECK_OK(skua_runtime_destroy(here));
}

static int sleeps(void *arg)
{
    skua_scope shield;
    (void)arg;
    skua_shield_enter(&shield);
    return skua_sleep(SKUA_NEVER);
}

static int blocks_on_a_sleeper(void *arg)
{
    struct cancelled_join *join = arg;
    skuai_store_32(&join->begun, 1, SKUAI_RELEASE);
    return (int)skua_block_on(join->there, sleeps, NULL);
}

TEST(what_is_left_over_is_not_touched_again)
{
    skua_runtime *here = create(one_worker);
    struct cancelled_join join = { .there = create(one_worker) };
    skua_spawn_attr at_here = { .runtime = here };
    skua_task *waiter;
    int64_t result = 0;
    skua_stats stats;
    CHECK_OK(skua_spawn_with(&waiter, &at_here, blocks_on_a_sleeper, &join));
    do {
        nap();
        skua_runtime_stats(join.there, &stats);
    } while (stats.live == 0);
    CHECK_EQ(skua_runtime_shutdown(join.there, 0, 0), -ETIMEDOUT);
    CHECK_OK(skua_runtime_destroy(join.there));
    CHECK_OK(skua_join(waiter, &result));
    CHECK_EQ(result, -ESHUTDOWN);
    CHECK_OK(skua_runtime_destroy(here));
}

/* ---- simulations --------------------------------------------------------------------------------------------- */

static int joins_as_a_set(void *task)
{
    skua_child child;
    skua_child_task(&child, task);
    CHECK_EQ(skua_join_all(&child, 1), -EPERM);
    CHECK_EQ(child.result, -EPERM);
    return 0;
}

static const skua_config simulated = { .workers = 2, .simulate = true, .sim_seed = 1, .ignore_environment = true };

/* A simulation waits for nothing outside, and nobody waits for its tasks but by calls that drive it. */
TEST(sets_do_not_reach_into_simulations_nor_out_of_them)
{
    skua_runtime *sim = create(simulated), *real = create(two_workers);
    skua_spawn_attr at_sim = { .runtime = sim }, at_real = { .runtime = real };
    skua_task *task;
    skua_join_op op;
    int64_t result = 0;

    CHECK_OK(skua_spawn_with(&task, &at_real, returns_7, NULL));
    CHECK_EQ(skua_block_on(sim, joins_as_a_set, task), 0);
    CHECK_OK(skua_join(task, &result)); /* the handle was kept */
    CHECK_EQ(result, 7);

    CHECK_OK(skua_spawn_with(&task, &at_sim, returns_7, NULL));
    CHECK_EQ(skua_block_on(real, joins_as_a_set, task), 0);
    CHECK_EQ(skua_await(skua_join_start(&op, task)), -EPERM);
    CHECK_OK(skua_join(task, &result));
    CHECK_OK(skua_runtime_destroy(real));
    CHECK_OK(skua_runtime_destroy(sim));
}

static skua_waker parked;

static int parks(void *arg)
{
    (void)arg;
    parked = skua_waker_self();
    return skua_park();
}

static int wakes_it(void *arg)
{
    (void)arg;
    skua_wake(parked);
    return 0;
}

/* The task goes on if something comes to its help later, and is freed at its end: block_on keeps no handle. */
TEST(a_deadlock_keeps_no_handle)
{
    skua_runtime *sim = create(simulated);
    skua_stats stats;
    for (int i = 0; i < 20000; i++) {
        CHECK_EQ(skua_block_on(sim, parks, NULL), -EDEADLK);
        CHECK_EQ(skua_block_on(sim, wakes_it, NULL), 0);
    }
    skua_runtime_stats(sim, &stats);
    CHECK(stats.task_bytes <= UINT64_C(4) << 20); /* one region, or two */
    CHECK_OK(skua_runtime_shutdown(sim, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(sim));
}
