/* The soak's fork-join: random trees of jobs that compute, wait in every way, spawn, cancel and run trees of their own,
 * among the tasks of soak_tasks.h. A tree's result is its seed's, cancelled or not; and each job that was taken is
 * counted as the task that it became.
 */
#ifndef TEST_SOAK_JOBS_H
#define TEST_SOAK_JOBS_H

#include "support/soak_tasks.h"

enum { JOBS_DEPTH = 5, JOB_CHILDREN = 3 };

struct place {
    struct world *world;
    skua_task *task; /* the one that has forked or called */
};

static inline uint64_t job_child(uint64_t seed, uint32_t i)
{
    uint64_t random = seed + i;
    return test_rand(&random);
}
static inline uint32_t job_children(uint64_t seed) { return (uint32_t)(seed >> 20) % (JOB_CHILDREN + 1); }

static inline uint64_t jobs_in_turn(uint64_t seed, int depth)
{
    uint64_t sum = seed;
    for (uint32_t i = 0; depth > 0 && i < job_children(seed); i++)
        sum += jobs_in_turn(job_child(seed, i), depth - 1);
    return sum;
}

/* As long as a steal and more. */
static inline void spin(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++)
        __asm__ volatile("");
}

static inline uint64_t nested_jobs(struct place here, uint64_t seed, int depth);

/* What a job does between its forks and its joins. */
static inline void pause_in_job(struct place here, uint64_t seed, int depth)
{
    uint64_t random = seed;
    skua_task *task;
    switch (draw(&random, 24)) {
    case 0:
        skua_yield();
        break;
    case 1:
        skua_sleep(draw(&random, 50000));
        break;
    case 2: {
        SKUA_SHIELD();
        CHECK_OK(skua_sleep(draw(&random, 50000)));
        break;
    }
    case 3:
        wait_for_bell(here.world);
        break;
    case 4:
        if (spawn(here.world, &task, seed, 0))
            join(task, seed);
        break;
    case 5:
        if (spawn(here.world, &task, seed, 0)) {
            skua_cancel(task);
            join(task, seed);
        }
        break;
    case 6:
        seed = test_rand(&random);
        if (depth > 0)
            CHECK_EQ(nested_jobs(here, seed, depth - 1), jobs_in_turn(seed, depth - 1));
        break;
    case 7:
    case 8:
        spin(draw(&random, 100000));
        break;
    default:
        break;
    }
}

SKUA_PARALLEL(uint64_t, soaked_jobs, struct place, from, uint64_t, seed, int, depth)
{
    struct place here = { from.world, skua_waker_self().task };
    SKUA_FORKED(soaked_jobs) kids[JOB_CHILDREN];
    uint64_t sum = seed;
    uint32_t n = depth > 0 ? job_children(seed) : 0, forked = 0;
    if (here.task != from.task) { /* it was taken */
        count(&here.world->spawned, 1);
        begin(here.world);
    }
    for (; forked < n; forked++)
        SKUA_FORK_INTO(kids[forked], soaked_jobs, here, job_child(seed, forked), depth - 1);
    pause_in_job(here, seed, depth);
    while (forked > 0)
        sum += SKUA_JOIN(soaked_jobs, kids[--forked]);
    CHECK(skua_waker_self().task == here.task);
    if (here.task != from.task)
        end(here.world, 0);
    return sum;
}

static inline uint64_t nested_jobs(struct place here, uint64_t seed, int depth)
{
    return SKUA_RUN(soaked_jobs, here, seed, depth);
}

static inline void run_jobs(struct actor *self)
{
    struct place here = { self->world, skua_waker_self().task };
    uint64_t seed = test_rand(&self->random);
    CHECK_EQ(nested_jobs(here, seed, JOBS_DEPTH), jobs_in_turn(seed, JOBS_DEPTH));
}

/* From a thread, or as an elder's guest. Its root is a task that was spawned for it, and sees itself as taken. */
static inline void run_jobs_on(struct world *world, uint64_t seed)
{
    uint64_t sum = 0;
    CHECK_OK(SKUA_RUN_ON(world->rt, &sum, soaked_jobs, (struct place){ world, NULL }, seed, JOBS_DEPTH));
    CHECK_EQ(sum, jobs_in_turn(seed, JOBS_DEPTH));
}

#endif
