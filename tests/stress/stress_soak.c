/* Everything at once, for SKUA_SOAK_SECONDS (20 if not set: a minute over the three suites of scripts/test).
 *
 * Some threads make worlds, one after another: a runtime of 1 to 8 workers, the random tasks of support/soak_tasks.h
 * and the random jobs of support/soak_jobs.h, and threads that spawn from outside and wake from outside. Beside it
 * stands an elder world, which outlives several, takes tasks from them and lets them join those. Tasks make short-lived
 * worlds of their own. A world ends by itself or by being cancelled in the middle of it.
 *
 * At the end of each every account must be even: tasks started, begun and ended, each with the result that its seed
 * says; task-local values; the application's memory; the runtime's own numbers. Who is drawn and what it draws depends
 * on the seed, which is printed; what comes of it also on the schedule.
 */
#include <time.h>

#include "support/soak_jobs.h"

enum { DRIVERS = 3, WORKERS_MAX = 8, DEPTH_MAX = 4, OUTSIDERS = 2, DEFAULT_SECONDS = 20 };

/* Over all worlds; __atomic. */
static struct {
    int64_t worlds, cancelled_worlds, tasks, wakes;
} totals;

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SKUA_S + (uint64_t)now.tv_nsec;
}

static void *ringer_main(void *arg)
{
    struct world *world = arg;
    uint64_t random = monotonic_ns();
    while (__atomic_load_n(&world->ringer_may_go, __ATOMIC_ACQUIRE) == 0) {
        count(&totals.wakes, ring(world, &random));
        skua_sleep(20000 + draw(&random, 50000));
    }
    return NULL;
}

static void begin_world(struct world *world, struct world *elder, uint64_t *random)
{
    *world = (struct world){ .elder = elder, .lock = PTHREAD_MUTEX_INITIALIZER };
    skua_config config = { .workers = 1 + draw(random, WORKERS_MAX),
                           .ignore_environment = true,
                           .alloc = counted_alloc,
                           .free = counted_free,
                           .memory_context = &world->memory };
    CHECK_OK(skua_runtime_create(&world->rt, &config));
}

/* A thread that does not know when to stop. */
static void *intruder_main(void *arg)
{
    struct world *world = arg;
    uint64_t random = monotonic_ns();
    while (spawn(world, NULL, test_rand(&random), 0))
        skua_sleep(draw(&random, 50000));
    return NULL;
}

static void end_world(struct world *world, bool cancel)
{
    skua_stats stats;
    pthread_t intruder;
    CHECK_EQ(pthread_create(&intruder, NULL, intruder_main, world), 0);
    skua_sleep(cancel ? 50000 : 0);
    __atomic_store_n(&world->is_closing, 1, __ATOMIC_RELEASE);
    CHECK_EQ(skua_runtime_shutdown(world->rt, cancel ? 0 : SKUA_NEVER, SKUA_NEVER), 0);
    pthread_join(intruder, NULL);
    CHECK_EQ(world->begun, world->spawned);
    CHECK_EQ(world->ended, world->spawned);
    CHECK_EQ(world->locals_destroyed, world->locals_set);
    CHECK(world->bells == NULL);
    skua_runtime_stats(world->rt, &stats);
    CHECK_EQ(stats.live, 0);
    CHECK_EQ(stats.spawned, world->spawned);
    count(&totals.worlds, 1);
    count(&totals.cancelled_worlds, cancel);
    count(&totals.tasks, world->spawned);
}

/* When nobody can wake its tasks any more. */
static void destroy_world(struct world *world)
{
    CHECK_OK(skua_runtime_destroy(world->rt));
    CHECK_EQ(world->memory.blocks, 0);
    CHECK_EQ(world->memory.bytes, 0);
    pthread_mutex_destroy(&world->lock);
}

struct outsider {
    struct world *world;
    uint64_t seed;
    int depth;
};

/* A thread that spawns, joins, and cancels from outside. */
static void *outsider_main(void *arg)
{
    struct outsider *self = arg;
    uint64_t random = self->seed;
    for (uint32_t i = 2 + draw(&random, draw(&random, 8) == 0 ? 60 : 6); i > 0; i--) {
        uint64_t seed = test_rand(&random);
        skua_task *task;
        bool is_detached = draw(&random, 4) == 0;
        CHECK(spawn(self->world, is_detached ? NULL : &task, seed, self->depth));
        if (is_detached) {
            run_jobs_on(self->world, seed);
            continue;
        }
        if (draw(&random, 4) == 0)
            skua_cancel(task);
        join(task, seed);
    }
    return NULL;
}

/* A world that ends in the middle: what was started by nobody else than this thread is cancelled. */
static void end_early(struct world *world, uint64_t *random, int depth)
{
    skua_task *tasks[4];
    uint64_t seeds[4];
    int64_t result;
    for (int i = 0; i < 4; i++) {
        seeds[i] = test_rand(random);
        CHECK(spawn(world, &tasks[i], seeds[i], depth));
    }
    skua_sleep(draw(random, 2000000));
    end_world(world, true);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(skua_try_join(tasks[i], &result), 0);
        CHECK_EQ(result, result_of(seeds[i]));
    }
}

static void live_world(struct world *elder, uint64_t seed, int depth)
{
    struct world *world = malloc(sizeof *world);
    struct outsider outsiders[OUTSIDERS];
    pthread_t ringer, threads[OUTSIDERS];
    uint64_t random = seed;
    CHECK(world != NULL);
    begin_world(world, elder, &random);
    CHECK_EQ(pthread_create(&ringer, NULL, ringer_main, world), 0);
    for (int i = 0; i < OUTSIDERS; i++) {
        outsiders[i] = (struct outsider){ world, test_rand(&random), depth };
        CHECK_EQ(pthread_create(&threads[i], NULL, outsider_main, &outsiders[i]), 0);
    }
    for (int i = 0; i < OUTSIDERS; i++)
        pthread_join(threads[i], NULL);
    if (draw(&random, 3) == 0)
        end_early(world, &random, depth);
    else
        end_world(world, false);
    __atomic_store_n(&world->ringer_may_go, 1, __ATOMIC_RELEASE);
    pthread_join(ringer, NULL);
    destroy_world(world);
    free(world);
}

struct driver {
    uint64_t random, until_ns;
};

static void *driver_main(void *arg)
{
    struct driver *driver = arg;
    while (monotonic_ns() < driver->until_ns) {
        struct world elder;
        pthread_t ringer;
        begin_world(&elder, NULL, &driver->random);
        CHECK_EQ(pthread_create(&ringer, NULL, ringer_main, &elder), 0);
        for (uint32_t i = 1 + draw(&driver->random, 6); i > 0; i--)
            live_world(&elder, test_rand(&driver->random), 1 + (int)draw(&driver->random, DEPTH_MAX));
        end_world(&elder, false);
        __atomic_store_n(&elder.ringer_may_go, 1, __ATOMIC_RELEASE);
        pthread_join(ringer, NULL);
        destroy_world(&elder);
    }
    return NULL;
}

static uint64_t soak_seconds(void)
{
    const char *text = getenv("SKUA_SOAK_SECONDS");
    uint64_t seconds = text != NULL ? strtoull(text, NULL, 10) : 0;
    return seconds != 0 ? seconds : DEFAULT_SECONDS;
}

TEST(worlds)
{
    struct driver drivers[DRIVERS];
    pthread_t threads[DRIVERS];
    uint64_t seed = getenv("SKUA_TEST_SEED") != NULL ? test_seed() : skua_random() % 1000000000;
    test_at_seed(seed);
    printf("  %llu seconds, seed %llu\n", (unsigned long long)soak_seconds(), (unsigned long long)seed);
    for (uint64_t i = 0; i < DRIVERS; i++) {
        drivers[i] = (struct driver){ seed * 1000 + i, monotonic_ns() + soak_seconds() * SKUA_S };
        CHECK_EQ(pthread_create(&threads[i], NULL, driver_main, &drivers[i]), 0);
    }
    for (int i = 0; i < DRIVERS; i++)
        pthread_join(threads[i], NULL);
    test_at_no_seed();
    printf("  %lld worlds, %lld of them cancelled; %lld tasks; %lld wakes from foreign threads\n",
           (long long)totals.worlds, (long long)totals.cancelled_worlds, (long long)totals.tasks,
           (long long)totals.wakes);
}
