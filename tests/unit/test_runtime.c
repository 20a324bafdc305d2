/* Runtimes: creation, configuration, shutdown in stages, many at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/with_runtime.h"

static int returns(void *arg) { return (int)(intptr_t)arg; }

static int spawns_some(void *arg)
{
    for (int i = 0; i < 5; i++)
        if (skua_go(returns, arg) < 0)
            return -1;
    skua_yield();
    return 0;
}

TEST(a_thousand_times_in_a_row)
{
    uint64_t rounds = test_scaled(1000);
    for (uint64_t i = 0; i < rounds; i++)
        CHECK_EQ(run_on(1 + (uint32_t)(i % 3), spawns_some, NULL), 0);
    for (uint64_t i = 0; i < rounds; i++)
        CHECK_EQ(run_seeded(i, 1 + (uint32_t)(i % 3), spawns_some, NULL), 0);
}

static int into_another(void *arg)
{
    skua_runtime *other = arg;
    CHECK(skua_runtime_self() != other);
    int64_t sum = 0;
    for (intptr_t i = 0; i < 50; i++)
        sum += skua_block_on(other, returns, (void *)i);
    CHECK_EQ(skua_runtime_shutdown(skua_runtime_self(), 0, 0), -EDEADLK);
    return (int)sum;
}

TEST(many_runtimes_at_once)
{
    enum { N = 5 };
    skua_runtime *rt[N];
    for (uint32_t i = 0; i < N; i++)
        CHECK_OK(skua_runtime_create(&rt[i], &(skua_config){ .workers = 1 + i }));
    for (int i = 0; i < N; i++)
        CHECK_EQ(skua_block_on(rt[i], into_another, rt[(i + 1) % N]), 49 * 50 / 2);
    for (int i = 0; i < N; i++)
        CHECK_OK(skua_runtime_destroy(rt[i]));
    CHECK_OK(skua_runtime_destroy(NULL));
}

static int sleeps(void *arg)
{
    (void)arg;
    skua_self_set_name("sleeper");
    int rc = skua_sleep(SKUA_NEVER);
    __atomic_fetch_add((int *)arg, rc == -ECANCELED, __ATOMIC_RELAXED);
    return rc;
}

static int leaves_sleepers(void *arg)
{
    for (int i = 0; i < 10; i++)
        CHECK_OK(skua_go(sleeps, arg));
    return 0;
}

TEST(shutdown_cancels_what_does_not_drain)
{
    for (int simulate = 0; simulate < 2; simulate++) {
        skua_runtime *rt;
        int cancelled = 0;
        CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .simulate = simulate }));
        CHECK_EQ(skua_block_on(rt, leaves_sleepers, &cancelled), 0);
        CHECK_OK(skua_runtime_shutdown(rt, 0, SKUA_NEVER));
        CHECK_EQ(cancelled, 10);
        CHECK_EQ(skua_block_on(rt, returns, NULL), -ESHUTDOWN);
        CHECK_OK(skua_runtime_shutdown(rt, 0, 0)); /* as before */
        CHECK_OK(skua_runtime_destroy(rt));
    }
}

static int stubborn(void *arg)
{
    (void)arg;
    SKUA_SHIELD();
    skua_self_set_name("stubborn");
    return skua_sleep(SKUA_NEVER);
}

struct log {
    int lines, named;
};
static void keep_log(void *context, enum skua_log_level level, const char *text)
{
    struct log *log = context;
    (void)level;
    log->lines++;
    log->named += strstr(text, "stubborn") != NULL && strstr(text, "waiting") != NULL;
}

static int leaves_stubborn(void *arg)
{
    (void)arg;
    CHECK_OK(skua_go(stubborn, NULL));
    skua_yield();
    skua_yield();
    return skua_sleep(SKUA_MS);
}

TEST(shutdown_reports_what_is_left)
{
    skua_runtime *rt;
    struct log log = { 0, 0 };
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 2, .log = keep_log, .log_context = &log }));
    CHECK_EQ(skua_block_on(rt, leaves_stubborn, NULL), 0);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -ETIMEDOUT);
    CHECK_EQ(log.named, 1);
    CHECK_OK(skua_runtime_destroy(rt)); /* frees what was left, too */
}

/* A thread that waits for a task which a shutdown leaves over is told so. */
static void *blocks_on_stubborn(void *rt)
{
    return (void *)(intptr_t)skua_block_on(rt, stubborn, NULL);
}

TEST(who_waits_for_what_is_left_is_told)
{
    skua_runtime *rt;
    pthread_t thread;
    skua_stats stats = { .live = 0 };
    void *result;
    CHECK_OK(
        skua_runtime_create(&rt, &(skua_config){.workers = 2, .log = keep_log, .log_context = &(struct log){0, 0}}));
    CHECK_EQ(pthread_create(&thread, NULL, blocks_on_stubborn, rt), 0);
    while (stats.live == 0)
        skua_runtime_stats(rt, &stats);
    int rc = skua_runtime_shutdown(rt, 0, SKUA_MS);
    CHECK(rc == -ETIMEDOUT || rc == 0); /* 0: it was cancelled before it entered its shield */
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK_EQ((intptr_t)result, rc == 0 ? -ECANCELED : -ESHUTDOWN);
    CHECK_OK(skua_runtime_destroy(rt));
}

/* A task that is left over waits for one of another runtime, in several ways; then that one ends. */
struct other {
    skua_runtime *rt;
    int told, waits;
};

static int yields_until_told(void *arg)
{
    struct other *other = arg;
    while (!__atomic_load_n(&other->told, __ATOMIC_ACQUIRE))
        skua_yield();
    return 0;
}

struct joiner {
    SKUA_FRAME;
    struct {
        struct other *other;
        skua_task *task;
    } in;
    skua_join_op join;
};
SKUA_ASYNC(joiner)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_join_start(&self->join, self->in.task));
    SKUA_END(0);
}

static int waits_elsewhere(void *arg)
{
    struct other *other = arg;
    skua_spawn_attr there = { .runtime = other->rt };
    skua_child children[3];
    struct joiner joiner;
    skua_task *tasks[3];
    SKUA_SHIELD();
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn_with(&tasks[i], &there, yields_until_told, other));
    skua_child_task(&children[0], tasks[0]);
    skua_child_future(&children[1], SKUA_FUTURE(&joiner, joiner, .other = other, .task = tasks[1]));
    skua_child_task(&children[2], tasks[2]);
    __atomic_fetch_add(&other->waits, 1, __ATOMIC_RELEASE);
    return (int)skua_join_all(children, 3);
}

static int waits_elsewhere_as_fiber(void *arg)
{
    struct other *other = arg;
    SKUA_SHIELD();
    __atomic_fetch_add(&other->waits, 1, __ATOMIC_RELEASE);
    return (int)skua_block_on(other->rt, yields_until_told, other);
}

TEST(abandoned_tasks_are_unknown_to_other_runtimes)
{
    skua_runtime *rt;
    struct other other = { .told = 0 };
    CHECK_OK(skua_runtime_create(&other.rt, &(skua_config){ .workers = 2 }));
    CHECK_OK(
        skua_runtime_create(&rt, &(skua_config){.workers = 2, .log = keep_log, .log_context = &(struct log){0, 0}}));
    skua_spawn_attr here = { .runtime = rt };
    CHECK_OK(skua_spawn_with(NULL, &here, waits_elsewhere, &other));
    CHECK_OK(skua_spawn_with(NULL, &here, waits_elsewhere_as_fiber, &other));
    while (__atomic_load_n(&other.waits, __ATOMIC_ACQUIRE) != 2)
        sched_yield();
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -ETIMEDOUT);
    CHECK_OK(skua_runtime_destroy(rt));
    __atomic_store_n(&other.told, 1, __ATOMIC_RELEASE);
    CHECK_OK(skua_runtime_destroy(other.rt));
}

/* A spawn from outside that is under way when a shutdown begins is either refused or drained. */
struct late {
    skua_runtime *rt;
    int inside, ran;
};

static _Thread_local bool spawns_late;

static void *late_alloc(void *context, size_t size)
{
    struct late *late = context;
    if (spawns_late) { /* the name's memory: between the look at the stage and the queue */
        spawns_late = false;
        __atomic_store_n(&late->inside, 1, __ATOMIC_RELEASE);
        while (skua_spawn_with(NULL, &(skua_spawn_attr){ .runtime = late->rt }, returns, NULL) == 0)
            sched_yield(); /* until the shutdown has begun */
    }
    return malloc(size);
}

static void late_free(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static int runs_late(void *arg)
{
    ((struct late *)arg)->ran = 1;
    return 0;
}

static void *spawns_late_main(void *arg)
{
    struct late *late = arg;
    skua_task *task;
    spawns_late = true;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = late->rt, .name = "late" }, runs_late, late));
    CHECK_OK(skua_join(task, NULL));
    return NULL;
}

TEST(shutdown_waits_for_spawns_that_are_under_way)
{
    struct late late = { .inside = 0 };
    pthread_t thread;
    CHECK_OK(skua_runtime_create(&late.rt, &(skua_config){ .workers = 2, .alloc = late_alloc, .free = late_free,
                                                           .memory_context = &late }));
    CHECK_EQ(pthread_create(&thread, NULL, spawns_late_main, &late), 0);
    while (!__atomic_load_n(&late.inside, __ATOMIC_ACQUIRE))
        sched_yield();
    CHECK_OK(skua_runtime_shutdown(late.rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(late.ran, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(late.rt));
}

static int spins_until_told(void *arg)
{
    while (!__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE))
        ;
    return 0;
}

static int leaves_a_hog(void *arg)
{
    CHECK_OK(skua_go(spins_until_told, arg));
    return skua_sleep(SKUA_MS);
}

TEST(shutdown_says_busy_for_a_hog)
{
    skua_runtime *rt;
    int told = 0;
    CHECK_OK(
        skua_runtime_create(&rt, &(skua_config){.workers = 2, .log = keep_log, .log_context = &(struct log){0, 0}}));
    CHECK_EQ(skua_block_on(rt, leaves_a_hog, &told), 0);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, 0), -EBUSY);
    CHECK_EQ(skua_runtime_destroy(rt), -EBUSY);
    __atomic_store_n(&told, 1, __ATOMIC_RELEASE);
    CHECK_OK(skua_runtime_destroy(rt));
}

static void counts_log(void *context, enum skua_log_level level, const char *text)
{
    (void)level;
    (void)text;
    ++*(int *)context;
}

TEST(configuration_is_checked)
{
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    skua_runtime *rt = (skua_runtime *)1;
    int lines = 0;
    skua_config config = { .workers = 5000, .log = counts_log, .log_context = &lines };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    CHECK(rt == NULL);
    config = (skua_config){ .stack_size = 100, .log = counts_log, .log_context = &lines };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    config = (skua_config){ .alloc = counted_alloc, .log = counts_log, .log_context = &lines };
    CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    CHECK_EQ(lines, 3);
    static const char *const wrong[] = { "0", "x", "-1", "2000", "3x", "99999999999999999999999" };
    config = (skua_config){ .log = counts_log, .log_context = &lines };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("SKUA_WORKERS", wrong[i], 1);
        CHECK_EQ(skua_runtime_create(&rt, &config), -EINVAL);
    }
    CHECK_EQ(lines, 3 + (int)(sizeof wrong / sizeof wrong[0]));
    setenv("SKUA_WORKERS", "08", 1); /* not octal */
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_stats stats;
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.workers, 8);
    CHECK_OK(skua_runtime_destroy(rt));
    setenv("SKUA_WORKERS", "3", 1);
    setenv("SKUA_STACK_SIZE", "128K", 1);
    setenv("SKUA_BIND", "1", 1);
    CHECK_OK(skua_runtime_create(&rt, NULL));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.workers, 3);
    CHECK_EQ(skua_block_on(rt, returns, (void *)6), 6);
    CHECK_OK(skua_runtime_destroy(rt));
    config = (skua_config){ .workers = 2 }; /* what is set wins */
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.workers, 2);
    CHECK_OK(skua_runtime_destroy(rt));
    static const struct {
        const char *text;
        uint32_t pollers;
    } sharing[] = { { "0", 1 }, { "1", 5 }, { "2", 3 }, { "4", 2 }, { "5", 1 }, { "1K", 1 }, { "", 1 } };
    config = (skua_config){ .workers = 5 };
    for (size_t i = 0; i < sizeof sharing / sizeof sharing[0]; i++) {
        setenv("SKUA_WORKERS_PER_POLLER", sharing[i].text, 1);
        CHECK_OK(skua_runtime_create(&rt, &config));
        skua_runtime_stats(rt, &stats);
        CHECK_EQ(stats.pollers, sharing[i].pollers);
        CHECK_OK(skua_runtime_destroy(rt));
    }
    setenv("SKUA_WORKERS_PER_POLLER", "numa", 1);
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_runtime_stats(rt, &stats);
    CHECK(stats.pollers >= 1 && stats.pollers <= 5); /* the machine says */
    CHECK_OK(skua_runtime_destroy(rt));
    config.workers_per_poller = 2; /* what is set wins */
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.pollers, 3);
    CHECK_OK(skua_runtime_destroy(rt));
    unsetenv("SKUA_WORKERS_PER_POLLER");
    setenv("SKUA_SIM_SEED", "77", 1);
    CHECK_OK(skua_runtime_create(&rt, NULL));
    CHECK_EQ(skua_block_on(rt, returns, (void *)6), 6);
    CHECK_OK(skua_runtime_destroy(rt));
    unsetenv("SKUA_WORKERS");
    unsetenv("SKUA_STACK_SIZE");
    unsetenv("SKUA_BIND");
    unsetenv("SKUA_SIM_SEED");
}

/* An idle runtime parks each worker for good: seen as parks that no longer grow. The time waited is real, because
 * idleness is a matter of real time; what is checked is a count. */
TEST(idle_workers_stay_asleep)
{
    skua_runtime *rt;
    skua_stats before, after;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 4 }));
    CHECK_EQ(skua_block_on(rt, spawns_some, NULL), 0);
    for (int calm = 0; calm < 3; calm++) { /* settle, then watch */
        skua_runtime_stats(rt, &before);
        skua_sleep(20 * SKUA_MS);
        skua_runtime_stats(rt, &after);
    }
    CHECK_EQ(after.parks, before.parks);
    CHECK_OK(skua_runtime_destroy(rt));
}

struct tracing {
    char *text;
    size_t length, capacity;
};
static void keep_trace(void *context, const char *line, size_t length)
{
    struct tracing *trace = context;
    if (trace->length + length > trace->capacity) {
        trace->capacity = 2 * (trace->length + length);
        trace->text = realloc(trace->text, trace->capacity);
        CHECK(trace->text != NULL);
    }
    memcpy(trace->text + trace->length, line, length);
    trace->length += length;
}

static int trace_work(void *arg)
{
    (void)arg;
    skua_task *tasks[20];
    for (intptr_t i = 0; i < 20; i++)
        CHECK_OK(skua_spawn(&tasks[i], i % 2 ? spawns_some : returns, (void *)i));
    skua_sleep(3 * SKUA_S);
    for (int i = 0; i < 20; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return (int)(skua_random() & 0xff);
}

static int64_t traced(uint64_t seed, struct tracing *trace)
{
    *trace = (struct tracing){ .text = NULL };
    return run_in((skua_config){ .workers = 5, .simulate = true, .sim_seed = seed, .sim_trace = keep_trace,
                                 .sim_trace_context = trace }, trace_work, NULL);
}

TEST(same_seed_same_trace)
{
    struct tracing one, two, three;
    for (uint64_t seed = 0; seed < 10; seed++) {
        int64_t result = traced(seed, &one);
        void *shift = malloc(12345); /* addresses differ between the two */
        CHECK_EQ(traced(seed, &two), result);
        free(shift);
        CHECK_EQ(one.length, two.length);
        CHECK(memcmp(one.text, two.text, one.length) == 0);
        traced(seed + 1000, &three);
        CHECK(one.length != three.length || memcmp(one.text, three.text, one.length) != 0);
        free(one.text);
        free(two.text);
        free(three.text);
    }
}

static int waits_for_nothing(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_NEVER);
}

TEST(simulation_finds_a_deadlock)
{
    skua_runtime *rt;
    int lines = 0;
    CHECK_OK(skua_runtime_create(
        &rt, &(skua_config){.simulate = true, .sim_seed = 5, .log = counts_log, .log_context = &lines}));
    CHECK_EQ(skua_block_on(rt, waits_for_nothing, NULL), -EDEADLK);
    CHECK(lines > 0);
    CHECK_OK(skua_runtime_shutdown(rt, 0, SKUA_NEVER));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* ---- processors -------------------------------------------------------------------------------------------------- */

static int counts_its_processors(void *arg)
{
    cpu_set_t here;
    (void)arg;
    CHECK_EQ(sched_getaffinity(0, sizeof here, &here), 0);
    return CPU_COUNT(&here);
}

/* A worker begins on a processor of its own, and is not kept there unless that is asked for. */
TEST(workers_are_bound_if_asked)
{
    cpu_set_t all;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    const skua_config config = { .workers = 1, .ignore_environment = true };
    CHECK_EQ(run_in(config, counts_its_processors, NULL), CPU_COUNT(&all));
    const skua_config bound = { .workers = 1, .ignore_environment = true, .bind = true };
    CHECK_EQ(run_in(bound, counts_its_processors, NULL), 1);
}
