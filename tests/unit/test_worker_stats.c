/* Counters of single workers: their sums are the runtime's, and what each is and does is said. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/with_runtime.h"

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        skua_yield();
    return 0;
}

static int spawns(void *arg)
{
    skua_task *tasks[50];
    (void)arg;
    for (int i = 0; i < 50; i++)
        CHECK_OK(skua_spawn(&tasks[i], yields, NULL));
    for (int i = 0; i < 50; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return skua_sleep(SKUA_MS);
}

static bool all_sleep(skua_runtime *rt, uint32_t workers)
{
    skua_worker_stats worker;
    for (uint32_t i = 0; i < workers; i++) {
        CHECK_OK(skua_runtime_worker_stats(rt, i, &worker));
        if (worker.state != SKUA_WORKER_ASLEEP)
            return false;
    }
    return true;
}

static void compare_sums(skua_runtime *rt, uint32_t workers, uint64_t spawned_outside)
{
    skua_stats total;
    skua_worker_stats sum = { .index = 0 }, one;
    skua_runtime_stats(rt, &total);
    CHECK_EQ(total.workers, workers);
    for (uint32_t i = 0; skua_runtime_worker_stats(rt, i, &one) == 0; i++) {
        CHECK_EQ(one.index, i);
        CHECK_EQ(one.is_spare, i >= workers);
        CHECK_EQ(one.queued, 0);
        for (size_t j = 0; j < sizeof one.reserved / sizeof one.reserved[0]; j++)
            CHECK_EQ(one.reserved[j], 0);
        sum.spawned += one.spawned;
        sum.polls += one.polls;
        sum.steals += one.steals;
        sum.stolen += one.stolen;
        sum.steal_attempts += one.steal_attempts;
        sum.overflows += one.overflows;
        sum.injected += one.injected;
        sum.timers += one.timers;
        sum.parks += one.parks;
        sum.poller_parks += one.poller_parks;
        sum.poller_looks += one.poller_looks;
        CHECK(one.poller_parks <= one.parks);
    }
    CHECK_EQ(sum.spawned + spawned_outside, total.spawned);
    CHECK_EQ(sum.polls, total.polls);
    CHECK(sum.polls >= 51 + 50 * 3);
    CHECK_EQ(sum.steals, total.steals);
    CHECK_EQ(sum.stolen, total.stolen);
    CHECK_EQ(sum.overflows, total.overflows);
    CHECK_EQ(sum.injected, total.injected);
    CHECK_EQ(sum.timers + total.timers_guard, total.timers);
    CHECK_EQ(sum.parks, total.parks);
    CHECK_EQ(sum.poller_parks, total.poller_parks);
    CHECK_EQ(sum.poller_looks, total.poller_looks);
}

TEST(the_sums_are_the_runtimes)
{
    skua_runtime *rt;
    skua_worker_stats worker;
    skua_config config = { .workers = 3, .stuck_ns = SKUA_NEVER, .ignore_environment = true };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, spawns, NULL), 0);
    while (!all_sleep(rt, 3))
        skua_yield();
    compare_sums(rt, 3, 1);
    uint64_t cpu_ns = 0;
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_OK(skua_runtime_worker_stats(rt, i, &worker));
        CHECK(worker.parks > 0);
        cpu_ns += worker.cpu_ns;
    }
    CHECK(cpu_ns > 0);
    CHECK_EQ(skua_runtime_worker_stats(rt, 3, &worker), -EINVAL); /* without spare ones */
    CHECK_EQ(skua_runtime_worker_stats(rt, UINT32_MAX, &worker), -EINVAL);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_worker_stats(rt, 0, &worker)); /* its thread has ended, and the counters stay */
    CHECK_EQ(worker.cpu_ns, 0);
    compare_sums(rt, 3, 1);
    CHECK_OK(skua_runtime_destroy(rt));
}

static int reads(void *arg)
{
    skua_stream *stream;
    char byte;
    CHECK_OK(skua_stream_open(&stream, NULL, *(int *)arg));
    CHECK_EQ(skua_read(stream, &byte, 1), 1);
    skua_stream_close(stream);
    return 0;
}

/* Who has nothing to do but to wait for a descriptor borrows the poller to sleep in. */
TEST(sleeps_in_the_poller)
{
    skua_runtime *rt;
    skua_task *reader;
    skua_worker_stats worker = { .polls = 0 };
    skua_stats total;
    int ends[2];
    skua_config config = { .workers = 1, .ignore_environment = true };
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_spawn_with(&reader, &(skua_spawn_attr){ .runtime = rt }, reads, &ends[0]));
    while (worker.polls == 0 || worker.state != SKUA_WORKER_ASLEEP) /* poller_parks is counted when it ends */
        CHECK_OK(skua_runtime_worker_stats(rt, 0, &worker));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(skua_join(reader, NULL));
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_OK(skua_runtime_worker_stats(rt, 0, &worker));
    skua_runtime_stats(rt, &total);
    CHECK_EQ(worker.poller_parks, total.poller_parks);
    CHECK_EQ(worker.poller_looks, total.poller_looks);
    CHECK(worker.poller_parks <= worker.parks);
    CHECK(worker.poller_parks + worker.poller_looks + total.poller_looks_guard > 0); /* one has found the event */
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(close(ends[1]), 0);
}

static int holds(void *arg)
{
    while (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) == 0)
        ;
    return 0;
}

static int releases(void *arg)
{
    skua_worker_stats spare;
    CHECK_OK(skua_runtime_worker_stats(skua_runtime_self(), 1, &spare)); /* which runs this */
    CHECK_EQ(spare.is_spare, true);
    CHECK_EQ(spare.state, SKUA_WORKER_AWAKE);
    CHECK(spare.polls > 0);
    CHECK_OK(skua_runtime_worker_stats(skua_runtime_self(), 0, &spare));
    CHECK_EQ(spare.is_spare, false);
    CHECK_EQ(spare.state, SKUA_WORKER_AWAKE);
    __atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
    return 0;
}

TEST(spare_workers_are_behind_the_others)
{
    skua_runtime *rt;
    skua_task *hog;
    int stop = 0;
    skua_config config = { .workers = 1, .spare_workers = 1, .stuck_ns = SKUA_MS, .ignore_environment = true };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_spawn_with(&hog, &(skua_spawn_attr){ .runtime = rt }, holds, &stop));
    for (skua_stats stats = { .polls = 0 }; stats.polls == 0;)
        skua_runtime_stats(rt, &stats);
    CHECK_EQ(skua_block_on(rt, releases, &stop), 0);
    CHECK_OK(skua_join(hog, NULL));
    CHECK_OK(skua_runtime_destroy(rt));
}

static int looks(void *arg)
{
    skua_worker_stats worker;
    (void)arg;
    CHECK_EQ(spawns(NULL), 0);
    CHECK_OK(skua_runtime_worker_stats(skua_runtime_self(), 0, &worker));
    CHECK_EQ(worker.cpu_ns, 0);
    return 0;
}
TEST(in_a_simulation) { CHECK_EQ(run_seeded(1, 2, looks, NULL), 0); }
