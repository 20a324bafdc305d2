/* Who notices that a descriptor has something to say, or that a timer's time has come, and that it is counted: a worker
 * that sleeps in the poller, a worker between two tasks, or the guard while no worker looks. */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "io/stream.h"
#include "sched/scheduler.h"
#include "skua/stream.h"
#include "support/with_runtime.h"

enum { ROUNDS = 20 };

static struct skuai_scheduler *scheduler_of(skua_runtime *rt) { return (struct skuai_scheduler *)(void *)rt; }

/* One worker, and a fiber that reads bytes until the end. */
struct world {
    skua_runtime *rt;
    skua_stream *pair[2]; /* the test's, the reader's */
    skua_task *reader;
    uint32_t got; /* __atomic */
    bool is_busy; /* __atomic */
    bool stop;    /* __atomic */
};

static int reads_all(void *arg)
{
    struct world *w = arg;
    char byte;
    while (skua_read(w->pair[1], &byte, 1) == 1)
        __atomic_fetch_add(&w->got, 1, __ATOMIC_RELEASE);
    return 0;
}

static skua_stats stats_of(struct world *w)
{
    skua_stats stats;
    skua_runtime_stats(w->rt, &stats);
    return stats;
}

static void wait_until_asleep(struct world *w)
{
    struct skuai_scheduler *sched = scheduler_of(w->rt);
    while (skuai_idle_sleeping(&sched->idle) != sched->nworkers ||
           skuai_load_32(&sched->polls.of[0].owner, SKUAI_ACQUIRE) != SKUAI_POLL_BLOCKED)
        sched_yield();
}

static void send_one(struct world *w) { CHECK_EQ(skua_write_all(w->pair[0], "x", 1), 1); }

static void wait_for(struct world *w, uint32_t got)
{
    while (__atomic_load_n(&w->got, __ATOMIC_ACQUIRE) != got)
        sched_yield();
}

static void begin(struct world *w)
{
    skua_config config = { .workers = 1, .ignore_environment = true };
    *w = (struct world){ .stop = false };
    CHECK_OK(skua_runtime_create(&w->rt, &config));
    CHECK_OK(skua_stream_pair(w->pair, &(skua_socket_options){ .runtime = w->rt }));
    CHECK_OK(skua_spawn_with(&w->reader, &(skua_spawn_attr){ .runtime = w->rt }, reads_all, w));
    wait_until_asleep(w); /* what was writable was told */
}

static void end(struct world *w)
{
    skua_stream_close(w->pair[0]);
    CHECK_OK(skua_join(w->reader, NULL));
    skua_stream_close(w->pair[1]);
    CHECK_OK(skua_runtime_destroy(w->rt));
}

TEST(one_that_sleeps)
{
    struct world w;
    begin(&w);
    skua_stats before = stats_of(&w);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        send_one(&w);
        wait_for(&w, i);
        wait_until_asleep(&w);
    }
    skua_stats after = stats_of(&w);
    CHECK_EQ(after.events_slept - before.events_slept, ROUNDS);
    CHECK_EQ(after.events_looked, before.events_looked);
    CHECK_EQ(after.events_guard, before.events_guard);
    end(&w);
}

static int yields_on(void *arg)
{
    struct world *w = arg;
    __atomic_store_n(&w->is_busy, true, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED))
        CHECK_OK(skua_yield());
    return 0;
}
/* The guard helps where the worker has lost its processor. A byte that comes before the reader waits again needs no
 * event, and its event may be one with the next byte's. */
TEST(one_between_tasks)
{
    struct world w;
    skua_task *busy;
    begin(&w);
    CHECK_OK(skua_spawn_with(&busy, &(skua_spawn_attr){ .runtime = w.rt }, yields_on, &w));
    while (!__atomic_load_n(&w.is_busy, __ATOMIC_RELAXED))
        sched_yield();
    skua_stats before = stats_of(&w), after;
    uint32_t sent = 0;
    do {
        send_one(&w);
        wait_for(&w, ++sent);
        after = stats_of(&w);
        CHECK_EQ(after.events_slept, before.events_slept);
        CHECK(after.events_looked + after.events_guard <= before.events_looked + before.events_guard + sent);
    } while (sent < ROUNDS || after.events_looked == before.events_looked);
    __atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
    CHECK_OK(skua_join(busy, NULL));
    end(&w);
}

/* Together they keep more in the deque than is run between two looks around. */
enum { YIELDERS = 200, SPAN_NS = 20 * SKUA_MS, APART_NS = 400 * SKUA_US };

struct crowd {
    struct world *world;
    uint64_t until_ns, seen_ns, looks; /* the one worker's */
};
static int looks_on(void *arg)
{
    struct crowd *crowd = arg;
    struct skuai_poll *poll = scheduler_of(crowd->world->rt)->polls.of;
    while (skua_now() < crowd->until_ns) {
        uint64_t looked = skuai_load_64(&poll->looked_ns, SKUAI_RELAXED);
        crowd->looks += looked != crowd->seen_ns;
        crowd->seen_ns = looked;
        CHECK_OK(skua_yield());
    }
    return 0;
}
static int crowds(void *arg)
{
    struct crowd crowd = { .world = arg };
    skua_task *tasks[YIELDERS];
    uint64_t begin = skua_now();
    crowd.until_ns = skua_after(SPAN_NS);
    for (int i = 0; i < YIELDERS; i++)
        CHECK_OK(skua_spawn(&tasks[i], looks_on, &crowd));
    for (int i = 0; i < YIELDERS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    /* One for each look of the worker's, and as many again for the guard, and for the begin and the end. */
    CHECK(crowd.looks <= 2 * ((skua_now() - begin) / APART_NS) + 8);
    CHECK(crowd.looks >= 1);
    return 0;
}
/* It is not the poller's turn after every few of them: that was a system call for six events of 500 connections. */
TEST(one_with_enough_to_do_leaves_the_poller_alone)
{
    struct world w;
    skua_task *task;
    begin(&w);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = w.rt }, crowds, &w));
    CHECK_OK(skua_join(task, NULL));
    end(&w);
}

/* Leaves its worker only when the byte, and the timer, have been noticed nevertheless. */
static int computes(void *arg)
{
    struct world *w = arg;
    skua_sleep_op nap;
    skua_stats before = stats_of(w);
    CHECK_EQ(write(skua_stream_fd(w->pair[0]), "x", 1), 1);
    while (!skuai_readiness_has(skuai_source_readiness(skuai_stream_source(w->pair[1])), SKUAI_READING))
        skuai_pause();
    skua_stats after = stats_of(w);
    CHECK_EQ(after.events_guard - before.events_guard, 1);
    CHECK_EQ(after.events_slept, before.events_slept);
    CHECK_EQ(after.events_looked, before.events_looked);
    do { /* again if its time had come before there was a timer; and it is counted when all have been expired */
        skua_op *op = skua_sleep_start(&nap, SKUA_MS);
        while (!skua_op_is_done(op))
            skuai_pause();
        CHECK_OK(skua_await(op));
        after = stats_of(w);
    } while (after.timers_guard == before.timers_guard);
    CHECK_EQ(after.timers - before.timers, after.timers_guard - before.timers_guard);
    return 0;
}
TEST(the_guard)
{
    struct world w;
    skua_task *task;
    begin(&w);
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = w.rt }, computes, &w));
    CHECK_OK(skua_join(task, NULL));
    wait_for(&w, 1);
    end(&w);
}
