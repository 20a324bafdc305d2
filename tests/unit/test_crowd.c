/* Crowded processors (sched/crowd.h): the kernel is asked, a crowd is found, and all is served while there is one. */
#define _GNU_SOURCE
#include "sched/crowd.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sched/rest.h"
#include "sched/scheduler.h"
#include "support/with_runtime.h"

/* ---- the kernel's accounts -------------------------------------------------------------------------------------- */

static bool kernel_says(void)
{
    uint64_t ran = 0, waited;
    return skuai_crowd_read(skuai_thread_number(), &ran, &waited) && ran != 0;
}

TEST(accounts_grow)
{
    if (!kernel_says())
        TEST_SKIP("the kernel does not say how long threads wait for a processor");
    uint64_t before, after = 0, waited_before, waited;
    CHECK(skuai_crowd_read(skuai_thread_number(), &before, &waited_before));
    while (after <= before)
        CHECK(skuai_crowd_read(skuai_thread_number(), &after, &waited));
    CHECK(waited >= waited_before);
}

TEST(nobody_has_no_accounts)
{
    uint64_t ran, waited;
    CHECK(!skuai_crowd_read(-1, &ran, &waited));
    CHECK(!skuai_crowd_read(0, &ran, &waited)); /* there is no thread 0 */
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

enum { PAIRS = 16 };

struct pair {
    skua_stream *ends[2];
    int rounds;
};

static int answers(void *arg)
{
    struct pair *pair = arg;
    char byte;
    while (skua_read(pair->ends[1], &byte, 1) == 1)
        CHECK_EQ(skua_write_all(pair->ends[1], &byte, 1), 1);
    return 0;
}

static int asks(void *arg)
{
    struct pair *pair = arg;
    for (int i = 0; i < pair->rounds; i++) {
        char byte = (char)i;
        CHECK_EQ(skua_write_all(pair->ends[0], &byte, 1), 1);
        CHECK_EQ(skua_read(pair->ends[0], &byte, 1), 1);
        CHECK_EQ(byte, (char)i);
    }
    CHECK_OK(skua_stream_shutdown_write(pair->ends[0]));
    return 0;
}

/* So many messages there and back between each pair of tasks. */
static void exchange(int rounds)
{
    struct pair pairs[PAIRS];
    skua_task *tasks[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        int ends[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        pairs[i].rounds = rounds;
        for (int end = 0; end < 2; end++)
            CHECK_OK(skua_stream_open(&pairs[i].ends[end], NULL, ends[end]));
        CHECK_OK(skua_spawn(&tasks[2 * i], answers, &pairs[i]));
        CHECK_OK(skua_spawn(&tasks[2 * i + 1], asks, &pairs[i]));
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    for (int i = 0; i < PAIRS; i++)
        for (int end = 0; end < 2; end++)
            skua_stream_close(pairs[i].ends[end]);
}

static struct skuai_scheduler *scheduler(void) { return skuai_worker_self()->sched; }
static uint64_t begun(void)
{
    skua_stats stats;
    skua_runtime_stats(skua_runtime_self(), &stats);
    return stats.crowds;
}

/* ---- a crowd is found ------------------------------------------------------------------------------------------- */

static int exchange_until_crowded(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100 && begun() == 0; i++)
        exchange(1000);
    exchange(1000);
    return begun() != 0;
}

/* Workers that share one processor. */
TEST(is_found)
{
    cpu_set_t all, one;
    if (!kernel_says())
        TEST_SKIP("the kernel does not say how long threads wait for a processor");
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    bool was_found = run_on(4, exchange_until_crowded, NULL) != 0;
    CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
    if (!was_found)
        TEST_SKIP("too slow here to be many events");
}

/* ---- all is served while there is one ---------------------------------------------------------------------------- */

/* Whatever the guard sees. */
static void make_crowded(void)
{
    struct skuai_crowd *crowd = &scheduler()->crowd;
    skuai_store_64(&crowd->until_ns, SKUA_NEVER, SKUAI_RELAXED);
    skuai_store_32(&crowd->limit, 1, SKUAI_RELAXED);
}

static int exchange_crowded(void *arg)
{
    (void)arg;
    exchange(1);
    make_crowded();
    exchange((int)test_scaled(200));
    return 0;
}
TEST(messages_arrive)
{
    for (uint32_t workers = 2; workers <= 8; workers *= 2)
        CHECK_EQ(run_on(workers, exchange_crowded, NULL), 0);
}

/* What waits behind a task that holds its worker runs elsewhere: what has been woken, what is woken by an event, by a
 * timer, and what was spawned. */
struct held {
    skua_event woken;
    struct pair pair;
    skua_task *waits, *sleeps, *answers;
    int done; /* __atomic */
};
static int counts_awake(void *arg)
{
    struct held *held = arg;
    CHECK_OK(skua_event_wait(&held->woken));
    __atomic_fetch_add(&held->done, 1, __ATOMIC_RELEASE);
    return 0;
}
static int counts_slept(void *arg)
{
    struct held *held = arg;
    CHECK_OK(skua_sleep(1000));
    __atomic_fetch_add(&held->done, 1, __ATOMIC_RELEASE);
    return 0;
}
static int counts(void *arg)
{
    struct held *held = arg;
    __atomic_fetch_add(&held->done, 1, __ATOMIC_RELEASE);
    return 0;
}
static int counts_answer(void *arg)
{
    struct held *held = arg;
    char byte;
    CHECK_EQ(skua_read(held->pair.ends[0], &byte, 1), 1);
    __atomic_fetch_add(&held->done, 1, __ATOMIC_RELEASE);
    return 0;
}
static int holds(void *arg)
{
    struct held *held = arg;
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    for (int end = 0; end < 2; end++)
        CHECK_OK(skua_stream_open(&held->pair.ends[end], NULL, ends[end]));
    skua_event_init(&held->woken, SKUA_EVENT_MANUAL);
    CHECK_OK(skua_spawn(&held->waits, counts_awake, held));
    CHECK_OK(skua_spawn(&held->sleeps, counts_slept, held));
    CHECK_OK(skua_spawn(&held->answers, counts_answer, held));
    CHECK_OK(skua_sleep(1000)); /* they wait now, or soon */
    make_crowded();
    skua_event_set(&held->woken);
    skua_task *late;
    CHECK_OK(skua_spawn(&late, counts, held));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    while (__atomic_load_n(&held->done, __ATOMIC_ACQUIRE) != 4)
        ;
    skua_task *tasks[] = { late, held->waits, held->sleeps, held->answers };
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    for (int end = 0; end < 2; end++)
        skua_stream_close(held->pair.ends[end]);
    return 0;
}
TEST(others_run_behind_a_hog)
{
    for (int i = 0; i < (int)test_scaled(20); i++)
        CHECK_EQ(run_in((skua_config){ .workers = 2, .stuck_ns = SKUA_NEVER, .ignore_environment = true }, holds,
                        &(struct held){ .done = 0 }), 0);
}

/* Of those that one batch of events has woken the first holds the worker until the second one runs. */
struct meeting {
    struct pair pair;
    int met; /* __atomic */
};
static int meets(struct meeting *meeting, int end)
{
    char byte;
    CHECK_EQ(skua_read(meeting->pair.ends[end], &byte, 1), 1);
    __atomic_fetch_add(&meeting->met, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&meeting->met, __ATOMIC_ACQUIRE) != 2)
        ;
    return 0;
}
static int meets_at_0(void *arg) { return meets(arg, 0); }
static int meets_at_1(void *arg) { return meets(arg, 1); }
static int waits_for_both(void *arg)
{
    struct meeting *meeting = arg;
    skua_task *tasks[2];
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    for (int end = 0; end < 2; end++)
        CHECK_OK(skua_stream_open(&meeting->pair.ends[end], NULL, ends[end]));
    CHECK_OK(skua_spawn(&tasks[0], meets_at_0, meeting));
    CHECK_OK(skua_spawn(&tasks[1], meets_at_1, meeting));
    CHECK_OK(skua_sleep(1000));
    make_crowded();
    for (int end = 0; end < 2; end++)
        CHECK_EQ(write(ends[end], "x", 1), 1);
    for (int end = 0; end < 2; end++)
        CHECK_OK(skua_join(tasks[end], NULL));
    for (int end = 0; end < 2; end++)
        skua_stream_close(meeting->pair.ends[end]);
    return 0;
}
TEST(a_batch_behind_a_hog)
{
    for (int i = 0; i < (int)test_scaled(20); i++)
        CHECK_EQ(run_in((skua_config){ .workers = 2, .stuck_ns = SKUA_NEVER, .ignore_environment = true },
                        waits_for_both, &(struct meeting){ .met = 0 }), 0);
}

/* One that is awake and does not come to the events is not enough: the limit goes, or all messages went through the
 * guard. */
static int holds_until(void *arg)
{
    while (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) == 0)
        ;
    return 0;
}
static int exchange_beside_a_hog(void *arg)
{
    int is_over = 0;
    skua_task *hog;
    (void)arg;
    exchange(1);
    CHECK_OK(skua_spawn(&hog, holds_until, &is_over));
    CHECK_OK(skua_yield());
    make_crowded();
    while (skuai_load_32(&scheduler()->crowd.limit, SKUAI_RELAXED) != 0)
        exchange(10);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    return skua_join(hog, NULL);
}
TEST(no_limit_beside_a_hog)
{
    CHECK_EQ(run_in((skua_config){ .workers = 2, .stuck_ns = SKUA_NEVER, .ignore_environment = true },
                    exchange_beside_a_hog, NULL), 0);
}
