/* How late timers are: in the virtual time of a simulation, where it is exact. */
#include "skua/rate_limiter.h"
#include "support/with_runtime.h"

static void stats_now(skua_stats *stats) { skua_runtime_stats(skua_runtime_self(), stats); }

static uint64_t all_of(const uint64_t late[SKUA_LATES])
{
    uint64_t sum = 0;
    for (int i = 0; i < SKUA_LATES; i++)
        sum += late[i];
    return sum;
}

static int sleeps(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_MS);
}

/* A timer ends a millisecond after its sleeper has begun, and everybody computes for as long as says `arg`. */
static int computes_meanwhile(void *arg)
{
    skua_task *sleeper;
    CHECK_OK(skua_spawn(&sleeper, sleeps, NULL));
    CHECK_OK(skua_yield());
    CHECK_OK(skua_yield());
    skua_sim_compute(*(uint64_t *)arg);
    return skua_join(sleeper, NULL);
}

static void check_late(uint64_t compute_ns, enum skua_late late)
{
    skua_runtime *rt;
    skua_stats stats;
    skua_worker_stats worker;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 1, .simulate = true, .sim_seed = test_seed(),
                                                      .ignore_environment = true }));
    CHECK_EQ(skua_block_on(rt, computes_meanwhile, &compute_ns), 0);
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(stats.timers, 1);
    CHECK_EQ(all_of(stats.timers_late), 1);
    CHECK_EQ(stats.timers_late[late], 1);
    CHECK_EQ(stats.timers_late_ns, stats.timers_late_max_ns);
    if (compute_ns > 0)
        CHECK(stats.timers_late_ns + SKUA_MS >= compute_ns);
    CHECK_OK(skua_runtime_worker_stats(rt, 0, &worker));
    CHECK_EQ(worker.timers + stats.timers_guard, 1); /* one of the two has found it */
    CHECK_EQ(worker.timers_late[late], worker.timers);
    CHECK_EQ(worker.timers_late_ns, worker.timers * stats.timers_late_ns);
    CHECK_EQ(worker.timers_late_max_ns, worker.timers * stats.timers_late_ns);
    CHECK_OK(skua_runtime_destroy(rt));
}

TEST(each_bound)
{
    check_late(0, SKUA_LATE_100US);
    check_late(SKUA_MS + 500 * SKUA_US, SKUA_LATE_1MS);
    check_late(6 * SKUA_MS, SKUA_LATE_10MS);
    check_late(60 * SKUA_MS, SKUA_LATE_100MS);
    check_late(600 * SKUA_MS, SKUA_LATE_1S);
    check_late(6 * SKUA_S, SKUA_LATE_MORE);
}

/* Somebody is late, and many are not: the sum is of all, the greatest of one. */
static int many(void *arg)
{
    skua_stats stats;
    uint64_t compute_ns = 50 * SKUA_MS;
    (void)arg;
    for (int i = 0; i < 100; i++)
        CHECK_OK(skua_sleep(SKUA_S));
    CHECK_EQ(computes_meanwhile(&compute_ns), 0);
    stats_now(&stats);
    CHECK_EQ(all_of(stats.timers_late), 101);
    CHECK_EQ(stats.timers, 101);
    CHECK_EQ(stats.timers_late[SKUA_LATE_100MS], 1);
    CHECK(stats.timers_late_max_ns >= 49 * SKUA_MS && stats.timers_late_max_ns < 60 * SKUA_MS);
    CHECK(stats.timers_late_ns >= stats.timers_late_max_ns && stats.timers_late_ns < 101 * SKUA_MS);
    return 0;
}
TEST(sum_and_greatest) { CHECK_EQ(run_seeded(test_seed(), 1, many, NULL), 0); }

/* Whose turn comes sooner than it seemed, since one before it gave up, is not late. */
static int acquires(void *arg) { return skua_rate_limiter_acquire(arg, 1); }
static int acquires_much(void *arg) { return skua_rate_limiter_acquire(arg, 100); }
static int gives_up(void *arg)
{
    skua_rate_limiter limiter = SKUA_RATE_LIMITER_INIT(1, SKUA_S, 100);
    skua_task *first, *second;
    skua_stats stats;
    (void)arg;
    CHECK_OK(skua_rate_limiter_acquire(&limiter, 100)); /* all that there is at first */
    CHECK_OK(skua_spawn(&first, acquires_much, &limiter));
    CHECK_OK(skua_sleep(SKUA_MS));
    CHECK_OK(skua_spawn(&second, acquires, &limiter)); /* behind it, in 101 seconds */
    CHECK_OK(skua_sleep(50 * SKUA_S));
    skua_cancel(first);
    CHECK_OK(skua_join(first, NULL));
    CHECK_OK(skua_join(second, NULL)); /* since 49 seconds there would have been enough for it alone */
    stats_now(&stats);
    CHECK(stats.timers >= 3);
    CHECK(stats.timers_late_max_ns < SKUA_S);
    return 0;
}
TEST(hastened_timers_are_not_late) { CHECK_EQ(run_seeded(test_seed(), 1, gives_up, NULL), 0); }

/* On real threads: whatever it is, each has been counted once. */
static int naps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        CHECK_OK(skua_sleep(10 * SKUA_US));
    return 0;
}
static int crowd(void *arg)
{
    skua_group g;
    (void)arg;
    skua_group_init(&g);
    for (int i = 0; i < 50; i++)
        CHECK_OK(skua_group_go(&g, naps, NULL));
    return (int)skua_group_wait(&g);
}
TEST(by_threads)
{
    skua_runtime *rt;
    skua_stats stats;
    CHECK_OK(skua_runtime_create(&rt, &(skua_config){ .workers = 4, .ignore_environment = true }));
    CHECK_EQ(skua_block_on(rt, crowd, NULL), 0);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    skua_runtime_stats(rt, &stats);
    CHECK_EQ(all_of(stats.timers_late), stats.timers);
    CHECK(stats.timers <= 1000); /* some had passed before they were armed */
    CHECK(stats.timers_late_max_ns <= stats.timers_late_ns || stats.timers == 0);
    CHECK_OK(skua_runtime_destroy(rt));
}
