/* The environment: the real clock, deadlines and threads; and the simulated one, whose virtual threads are started here
 * by hand: order and times come from the seed, time is jumped over, a deadlock is found.
 */
#define _GNU_SOURCE
#include "sched/env.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sched/context.h"
#include "sched/sim.h"
#include "support/with_runtime.h"

/* ---- the real one -------------------------------------------------------------------------------------------- */

static struct skuai_env real = { .sim = NULL };

enum { WATCHERS = 3 };

struct clock {
    skua_word64 latest; /* an instant that somebody has read */
    uint64_t reads;
};

static void *watch_clock(void *arg)
{
    struct clock *clock = arg;
    for (uint64_t i = 0; i < clock->reads; i++) {
        uint64_t before = skuai_load_64(&clock->latest, SKUAI_ACQUIRE);
        uint64_t now = skuai_env_now(&real);
        CHECK(now >= before); /* whoever read it */
        skuai_cas_64(&clock->latest, &before, now, SKUAI_ACQ_REL);
    }
    return NULL;
}

TEST(the_clock_never_goes_back)
{
    struct clock clock = { .reads = test_scaled(20000) };
    pthread_t threads[WATCHERS];
    uint64_t before = skuai_env_now(&real);
    CHECK(before != 0);
    for (int i = 0; i < WATCHERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, watch_clock, &clock), 0);
    for (int i = 0; i < WATCHERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(clock.latest.raw >= before);
}

TEST(a_park_that_times_out_is_not_early)
{
    struct skuai_parker parker = { .sim_index = 0 };
    for (uint64_t pause = 1; pause < 5 * SKUA_MS; pause *= 7) {
        uint64_t until = skuai_env_now(&real) + pause;
        CHECK(!skuai_env_park(&real, &parker, until)); /* no signal comes here, which could make it so */
        CHECK(skuai_env_now(&real) >= until);
    }
    CHECK(!skuai_env_unpark(&real, &parker));
    CHECK(skuai_env_park(&real, &parker, SKUA_NEVER));
    skuai_env_point(&real, SKUAI_POINT_RUN); /* nothing to give way to */
    skuai_env_pause(&real);
}

TEST(random_numbers)
{
    uint64_t state = 1234567, other = test_seed(); /* the reference implementation's first numbers for that start */
    static const uint64_t reference[] = { UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                          UINT64_C(9817491932198370423) };
    for (int i = 0; i < 3; i++)
        CHECK_EQ(skuai_random_next(&state), reference[i]);
    uint32_t seen = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(skuai_random_below(&other, 1), 0);
        uint32_t number = skuai_random_below(&other, 7);
        CHECK(number < 7);
        seen |= 1u << number;
    }
    CHECK_EQ(seen, 127);
    CHECK(skuai_env_entropy(&real) != skuai_env_entropy(&real));
}

struct started {
    char name[16];
    sigset_t blocked;
    pthread_t self;
};

static void look_at_oneself(void *arg)
{
    struct started *started = arg;
    started->self = pthread_self();
    CHECK_EQ(pthread_getname_np(pthread_self(), started->name, sizeof started->name), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &started->blocked), 0);
}

TEST(a_thread_has_its_name_and_takes_no_asynchronous_signal)
{
    struct started started;
    struct skuai_thread thread = { .entry = look_at_oneself, .arg = &started, .name = "skua-test" };
    struct skuai_parker parker = { .sim_index = 0 };
    sigset_t before, after;
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    CHECK_OK(skuai_env_thread_start(&real, &thread, &parker));
    skuai_env_thread_join(&real, &thread);
    CHECK(thread.env == &real);
    CHECK(!pthread_equal(started.self, pthread_self()));
    CHECK_STR(started.name, "skua-test");
    static const int closed[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE };
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF };
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        CHECK_EQ(sigismember(&started.blocked, closed[i]), 1);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        CHECK_EQ(sigismember(&started.blocked, open[i]), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int i = 1; i < 32; i++) /* the starter's own are as they were */
        CHECK_EQ(sigismember(&before, i), sigismember(&after, i));
}

/* ---- the simulated one --------------------------------------------------------------------------------------- */

enum { THREADS_MAX = 4, TRACE_MAX = 1 << 16, HISTORY_MAX = 400 };

struct world;

struct vthread {
    struct world *world;
    uint32_t index;
    struct skuai_thread thread;
    struct skuai_parker parker;
    struct skuai_context base;
    struct skuai_context *flow;
};

struct world {
    struct skuai_env env;
    struct vthread threads[THREADS_MAX];
    uint32_t started;
    skua_word32 over;
    uint32_t history[HISTORY_MAX]; /* whose turn it was */
    uint32_t turns;
    char *trace;
    size_t trace_length;
};

static void keep_trace(void *context, const char *line, size_t length)
{
    struct world *world = context;
    CHECK(world->trace_length + length <= TRACE_MAX);
    memcpy(world->trace + world->trace_length, line, length);
    world->trace_length += length;
}

static struct world *world_create(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    CHECK(world != NULL && (world->trace = malloc(TRACE_MAX)) != NULL);
    struct skuai_sim_config config = {
        .seed = seed, .threads_max = THREADS_MAX, .trace = keep_trace, .trace_context = world
    };
    CHECK_OK(skuai_sim_create(&world->env.sim, &config));
    return world;
}

static int start(struct world *world, void (*entry)(void *arg))
{
    struct vthread *vthread = &world->threads[world->started % THREADS_MAX];
    vthread->world = world;
    vthread->index = world->started++;
    vthread->flow = &vthread->base;
    vthread->thread = (struct skuai_thread){
        .entry = entry, .arg = vthread, .base = &vthread->base, .flow = &vthread->flow
    };
    return skuai_env_thread_start(&world->env, &vthread->thread, &vthread->parker);
}

static void world_destroy(struct world *world)
{
    for (uint32_t i = 0; i < world->started; i++)
        skuai_env_thread_join(&world->env, &world->threads[i].thread);
    skuai_sim_destroy(world->env.sim);
    free(world->trace);
    free(world);
}

static void turn(struct vthread *self)
{
    CHECK(self->world->turns < HISTORY_MAX);
    self->world->history[self->world->turns++] = self->index;
}

/* Takes turns, sleeps for a while, wakes its neighbour, ends. */
static void wanders(void *arg)
{
    struct vthread *self = arg;
    struct world *world = self->world;
    uint64_t random = skuai_env_entropy(&world->env);
    for (int i = 0; i < 20; i++) {
        turn(self);
        skuai_env_point(&world->env, (enum skuai_point)(i % SKUAI_POINTS));
        turn(self);
        skuai_env_pause(&world->env);
        if (i % 5 == (int)self->index)
            skuai_env_park(&world->env, &self->parker,
                           skuai_env_now(&world->env) + skuai_random_below(&random, 10 * SKUA_US));
        skuai_env_unpark(&world->env, &world->threads[(self->index + 1) % THREADS_MAX].parker);
    }
}

static struct world *wander(uint64_t seed)
{
    struct world *world = world_create(seed);
    for (int i = 0; i < THREADS_MAX; i++)
        CHECK_OK(start(world, wanders));
    CHECK_EQ(skuai_sim_run(world->env.sim, &world->over, 1), -EDEADLK); /* all have ended, and nobody has said so */
    CHECK_EQ(world->turns, THREADS_MAX * 40);
    CHECK(skuai_sim_steps(world->env.sim) >= THREADS_MAX * 20); /* a pause always gives way */
    return world;
}

static bool same_trace(const struct world *a, const struct world *b)
{
    return a->trace_length == b->trace_length && memcmp(a->trace, b->trace, a->trace_length) == 0;
}

TEST(the_same_seed_gives_the_same_sequence)
{
    uint32_t other_orders = 0;
    for (uint64_t seed = test_seed(); seed < test_seed() + 20; seed++) {
        struct world *one = wander(seed), *two = wander(seed), *three = wander(seed + 1000);
        CHECK(same_trace(one, two));
        CHECK(memcmp(one->history, two->history, sizeof one->history) == 0);
        CHECK_EQ(skuai_env_now(&one->env), skuai_env_now(&two->env));
        CHECK_EQ(skuai_env_entropy(&one->env), skuai_env_entropy(&two->env));
        CHECK(!same_trace(one, three));
        other_orders += memcmp(one->history, three->history, sizeof one->history) != 0;
        world_destroy(one);
        world_destroy(two);
        world_destroy(three);
    }
    CHECK(other_orders > 10);
}

/* Hours pass in no time, and never too few of them. */
static void sleeps_for_hours(void *arg)
{
    struct vthread *self = arg;
    struct world *world = self->world;
    for (int i = 0; i < 10; i++) {
        uint64_t until = skuai_env_now(&world->env) + (self->index + 1) * 3600 * SKUA_S;
        CHECK(!skuai_env_park(&world->env, &self->parker, until));
        CHECK(skuai_env_now(&world->env) >= until);
        CHECK(skuai_env_now(&world->env) < until + SKUA_MS);
    }
    skuai_store_32(&world->over, skuai_load_32(&world->over, SKUAI_RELAXED) + 1, SKUAI_RELEASE);
}

TEST(virtual_time_is_jumped_over)
{
    struct world *world = world_create(test_seed());
    for (int i = 0; i < 3; i++)
        CHECK_OK(start(world, sleeps_for_hours));
    uint64_t begin = skuai_env_now(&world->env), hour = 3600 * SKUA_S;
    CHECK_EQ(skuai_sim_run_until(world->env.sim, &world->over, 3, begin + 5 * hour + hour / 2), -ETIMEDOUT);
    CHECK_EQ(skuai_env_now(&world->env), begin + 5 * hour + hour / 2); /* an idle simulation waits that long */
    CHECK_EQ(world->over.raw, 0);
    CHECK_OK(skuai_sim_run_until(world->env.sim, &world->over, 1, SKUA_NEVER));
    CHECK(skuai_env_now(&world->env) >= begin + 10 * hour);
    CHECK_OK(skuai_sim_run(world->env.sim, &world->over, 3));
    CHECK(skuai_env_now(&world->env) >= begin + 30 * hour && skuai_env_now(&world->env) < begin + 30 * hour + SKUA_S);
    CHECK_OK(skuai_sim_run(world->env.sim, &world->over, 3)); /* it has the value already */
    world_destroy(world);
}

static void parks(void *arg)
{
    struct vthread *self = arg;
    struct world *world = self->world;
    while (!skuai_env_park(&world->env, &self->parker, SKUA_NEVER))
        ;
    turn(self);
    CHECK_EQ(skuai_sim_run(world->env.sim, &world->over, 1), -EPERM); /* not from inside */
    skuai_store_32(&world->over, 1, SKUAI_RELEASE);
}

static void *drives_from_elsewhere(void *arg)
{
    struct world *world = arg;
    CHECK(!skuai_sim_is_owner(world->env.sim));
    CHECK_EQ(skuai_sim_run(world->env.sim, &world->over, 1), -EPERM);
    return NULL;
}

TEST(a_deadlock_is_found_and_a_token_ends_it)
{
    struct world *world = world_create(test_seed());
    pthread_t thread;
    CHECK(skuai_sim_is_owner(world->env.sim));
    CHECK_OK(start(world, parks));
    CHECK_EQ(skuai_sim_run(world->env.sim, &world->over, 1), -EDEADLK);
    CHECK_EQ(skuai_sim_run_until(world->env.sim, &world->over, 1, skuai_env_now(&world->env) + SKUA_S), -ETIMEDOUT);
    CHECK_EQ(pthread_create(&thread, NULL, drives_from_elsewhere, world), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(world->turns, 0);
    CHECK(skuai_env_unpark(&world->env, &world->threads[0].parker));  /* it sleeps */
    CHECK(!skuai_env_unpark(&world->env, &world->threads[0].parker)); /* it is awake already */
    CHECK_OK(skuai_sim_run(world->env.sim, &world->over, 1));
    CHECK_EQ(world->turns, 1);
    skuai_env_point(&world->env, SKUAI_POINT_PUSH); /* outside of any virtual thread: nothing to give way to */
    world_destroy(world);
}

static void ends(void *arg) { turn(arg); }

TEST(a_simulation_has_so_many_threads_and_no_more)
{
    struct world *world = world_create(test_seed());
    for (int i = 0; i < THREADS_MAX; i++)
        CHECK_OK(start(world, ends));
    struct vthread extra = { .flow = &extra.base };
    extra.thread = (struct skuai_thread){ .entry = ends, .arg = &extra, .base = &extra.base, .flow = &extra.flow };
    CHECK_EQ(skuai_env_thread_start(&world->env, &extra.thread, &extra.parker), -EAGAIN);
    world_destroy(world); /* joining runs them to their ends */
}

TEST(joining_runs_what_was_never_run)
{
    struct world *world = world_create(test_seed());
    CHECK_OK(start(world, ends));
    skuai_env_thread_join(&world->env, &world->threads[0].thread);
    CHECK_EQ(world->turns, 1);
    world->started = 0;
    world_destroy(world);
    struct skuai_sim *empty; /* nothing to run at all */
    CHECK_OK(skuai_sim_create(&empty, &(struct skuai_sim_config){ .seed = 1 }));
    CHECK_EQ(skuai_sim_run(empty, &(skua_word32){ 0 }, 1), -EDEADLK);
    skuai_sim_destroy(empty);
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

static void *uses_it_from_elsewhere(void *arg)
{
    CHECK_EQ(skua_block_on(arg, returns, NULL), -EPERM);
    CHECK_EQ(skua_go(returns, NULL), -EINVAL);
    CHECK_EQ(skua_runtime_shutdown(arg, 0, 0), -EPERM);
    return NULL;
}

TEST(a_simulated_runtime_is_its_creators)
{
    skua_runtime *rt;
    pthread_t thread;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .simulate = true, .sim_seed = test_seed() }));
    CHECK_EQ(pthread_create(&thread, NULL, uses_it_from_elsewhere, rt), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(skua_block_on(rt, returns, (void *)6), 6);
    CHECK_OK(skua_runtime_destroy(rt));
}
