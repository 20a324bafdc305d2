/* A runtime with several pollers: while all sleep each is slept in; events are noticed whoever computes; a descriptor
 * belongs to the poller of the worker that first waited for it; tasks from outside, timers and the end find whoever
 * sleeps, wherever. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/stream.h"
#include "sched/parker.h"
#include "sched/scheduler.h"
#include "sched/wait.h"
#include "skua/stream.h"
#include "support/with_runtime.h"

enum { WORKERS = 8, MANY = 40, ROUNDS = 50 };

static const uint32_t sharing[] = { 8, 4, 3, 2, 1 }; /* 1, 2, 3, 4 and 8 pollers */
#define EACH(per) for (size_t i_ = 0; i_ < sizeof sharing / sizeof sharing[0] && (per = sharing[i_], true); i_++)

static struct skuai_scheduler *scheduler_of(skua_runtime *rt) { return (struct skuai_scheduler *)(void *)rt; }

static skua_config config_with(uint32_t workers, uint32_t per)
{
    return (skua_config){ .workers = workers, .ignore_environment = true, .workers_per_poller = per };
}

static bool is_set(bool *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }
static void set(bool *flag) { __atomic_store_n(flag, true, __ATOMIC_RELEASE); }

/* In a fiber, and by plain threads that give the runtime. */
static void open_pair(skua_runtime *rt, skua_stream *pair[2])
{
    CHECK_OK(skua_stream_pair(pair, &(skua_socket_options){ .runtime = rt }));
}

static void exchange(skua_stream *from, skua_stream *to, char byte)
{
    char got = 0;
    CHECK_EQ(skua_write_all(from, &byte, 1), 1);
    CHECK_EQ(skua_read(to, &got, 1), 1);
    CHECK_EQ(got, byte);
}

static int echoes(void *arg)
{
    skua_stream *stream = arg;
    char byte;
    while (skua_read(stream, &byte, 1) == 1)
        CHECK_EQ(skua_write_all(stream, &byte, 1), 1);
    skua_stream_close(stream);
    return 0;
}

static int pings(void *arg)
{
    skua_stream *stream = arg;
    char byte;
    for (int i = 0; i < ROUNDS; i++) {
        char sent = (char)i;
        CHECK_EQ(skua_write_all(stream, &sent, 1), 1);
        CHECK_EQ(skua_read(stream, &byte, 1), 1);
        CHECK_EQ(byte, sent);
        if (i % 16 == 0)
            skua_sleep(SKUA_US);
    }
    skua_stream_close(stream);
    return 0;
}

/* ---- who sleeps where ------------------------------------------------------------------------------------------- */

static uint32_t slept_in(struct skuai_scheduler *sched)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sched->polls.count; i++)
        count += skuai_load_32(&sched->polls.of[i].owner, SKUAI_ACQUIRE) == SKUAI_POLL_BLOCKED;
    return count;
}

/* Until all sleep, one in each poller, and none is left out. A late kick wakes a sleeper that sleeps on, and maybe
 * elsewhere: so the words fit together only when that is over. */
static void wait_until_asleep(struct skuai_scheduler *sched)
{
    while (skuai_idle_sleeping(&sched->idle) != sched->nworkers || slept_in(sched) != sched->polls.count ||
           (sched->polls.count != 1 && skuai_load_32(&sched->polls.seats, SKUAI_RELAXED) != 0))
        sched_yield();
}

static int returns(void *arg) { return (int)(intptr_t)arg; }

struct echo_pair {
    skua_stream *pair[2];
    skua_task *echo;
};
static int begin_echo(void *arg)
{
    struct echo_pair *e = arg;
    open_pair(NULL, e->pair);
    CHECK_OK(skua_spawn(&e->echo, echoes, e->pair[1]));
    return 0;
}

/* Each time all go to sleep there is one in each poller; and whoever is woken from outside is found there. */
TEST(all_pollers_are_slept_in)
{
    uint32_t per;
    EACH(per) {
        skua_runtime *rt;
        skua_config config = config_with(WORKERS, per);
        struct echo_pair e;
        CHECK_OK(skua_runtime_create(&rt, &config));
        CHECK_EQ(scheduler_of(rt)->polls.count, (WORKERS + per - 1) / per);
        CHECK_EQ(slept_in(scheduler_of(rt)), 0);
        CHECK_EQ(skua_block_on(rt, begin_echo, &e), 0);
        for (int i = 0; i < ROUNDS; i++) {
            wait_until_asleep(scheduler_of(rt));
            exchange(e.pair[0], e.pair[0], (char)i);
            wait_until_asleep(scheduler_of(rt));
            CHECK_EQ(skua_block_on(rt, returns, (void *)7), 7);
        }
        skua_stream_close(e.pair[0]);
        CHECK_OK(skua_join(e.echo, NULL));
        wait_until_asleep(scheduler_of(rt));
        CHECK_OK(skua_runtime_destroy(rt));
    }
}

/* ---- many ------------------------------------------------------------------------------------------------------- */

static int many(void *arg)
{
    (void)arg;
    skua_task *tasks[2 * MANY];
    for (int i = 0; i < MANY; i++) {
        skua_stream *pair[2];
        open_pair(NULL, pair);
        CHECK_OK(skua_spawn(&tasks[2 * i], echoes, pair[1]));
        CHECK_OK(skua_spawn(&tasks[2 * i + 1], pings, pair[0]));
    }
    for (int i = 0; i < 2 * MANY; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(many_connections)
{
    uint32_t per;
    EACH(per)
        for (uint32_t workers = 1; workers <= WORKERS; workers += workers)
            CHECK_EQ(run_in(config_with(workers, per), many, NULL), 0);
}

/* ---- hogs ------------------------------------------------------------------------------------------------------- */

struct hogs {
    uint32_t count;     /* how many compute */
    uint32_t computing; /* __atomic */
    bool stop;          /* __atomic */
    uint32_t waiting;   /* __atomic: readers that are about to wait */
    uint32_t got;       /* __atomic: bytes */
    skua_stream *pairs[WORKERS][2];
};

static int hog(void *arg)
{
    struct hogs *h = arg;
    __atomic_fetch_add(&h->computing, 1, __ATOMIC_RELAXED);
    while (!is_set(&h->stop))
        skuai_pause();
    return 0;
}

struct reader {
    struct hogs *h;
    int which;
};
static int reads_one(void *arg)
{
    struct reader *r = arg;
    char byte;
    __atomic_fetch_add(&r->h->waiting, 1, __ATOMIC_RELAXED);
    CHECK_EQ(skua_read(r->h->pairs[r->which][1], &byte, 1), 1);
    if (__atomic_add_fetch(&r->h->got, 1, __ATOMIC_RELAXED) == WORKERS)
        set(&r->h->stop);
    return 0;
}

/* Which poller watches it: put there by hand, so that there are some in each. */
static void watch_in(struct skuai_scheduler *sched, skua_stream *stream, uint32_t which)
{
    struct skuai_source *source = skuai_stream_source(stream);
    skuai_lock_acquire(&source->lock);
    CHECK(source->armed);
    skuai_driver_unwatch(source->driver, source->shard, source->fd);
    source->shard = which;
    uint64_t life = skuai_life_of(skuai_load_64(&source->readiness, SKUAI_RELAXED));
    CHECK_OK(skuai_driver_watch(source->driver, which, source->fd, life << 32 | source->index));
    skuai_lock_release(&source->lock);
    CHECK(which < sched->polls.count);
}

/* Readers in all pollers, then hogs on all workers, or on all but one, and then the bytes, from a plain thread: each
 * arrives while they compute. */
struct outside {
    struct hogs *h;
    uint32_t hogs;
};
static void *sends(void *arg)
{
    struct outside *o = arg;
    while (__atomic_load_n(&o->h->computing, __ATOMIC_RELAXED) != o->hogs)
        sched_yield();
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(skua_write_all(o->h->pairs[i][0], "x", 1), 1);
    return NULL;
}

static void under_hogs(uint32_t per, uint32_t count)
{
    struct hogs h = { .count = count };
    struct reader readers[WORKERS];
    skua_task *tasks[WORKERS], *hogs[WORKERS];
    skua_runtime *rt;
    pthread_t sender;
    struct outside outside = { &h, count };
    skua_config config = config_with(WORKERS, per);
    CHECK_OK(skua_runtime_create(&rt, &config));
    skua_spawn_attr attr = { .runtime = rt };
    for (int i = 0; i < WORKERS; i++) {
        readers[i] = (struct reader){ &h, i };
        open_pair(rt, h.pairs[i]);
        CHECK_OK(skua_spawn_with(&tasks[i], &attr, reads_one, &readers[i]));
    }
    while (__atomic_load_n(&h.waiting, __ATOMIC_RELAXED) != WORKERS)
        sched_yield();
    wait_until_asleep(scheduler_of(rt));
    for (uint32_t i = 0; i < WORKERS; i++)
        watch_in(scheduler_of(rt), h.pairs[i][1], i % scheduler_of(rt)->polls.count);
    wait_until_asleep(scheduler_of(rt)); /* what was writable was told */
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(skua_spawn_with(&hogs[i], &attr, hog, &h));
    CHECK_EQ(pthread_create(&sender, NULL, sends, &outside), 0);
    if (count == WORKERS) /* readers run when a hog has ended: what is seen is that the guard has told them */
        for (int i = 0; i < WORKERS; i++) {
            struct skuai_source *source = skuai_stream_source(h.pairs[i][1]);
            while (!skuai_readiness_has(skuai_source_readiness(source), SKUAI_READING))
                sched_yield();
        }
    if (count == WORKERS)
        set(&h.stop);
    for (uint32_t i = 0; i < count; i++)
        CHECK_OK(skua_join(hogs[i], NULL));
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    CHECK_EQ(pthread_join(sender, NULL), 0);
    for (int i = 0; i < WORKERS; i++) {
        skua_stream_close(h.pairs[i][0]);
        skua_stream_close(h.pairs[i][1]);
    }
    CHECK_OK(skua_runtime_destroy(rt));
}
TEST(all_compute_but_one)
{
    uint32_t per;
    EACH(per)
        under_hogs(per, WORKERS - 1);
}
TEST(all_compute)
{
    uint32_t per;
    EACH(per)
        under_hogs(per, WORKERS);
}

/* ---- to which poller a descriptor belongs ----------------------------------------------------------------------- */

/* Again if the time was over before it waited. Returns the worker on which it did, or NULL: a plain thread. */
static struct skuai_worker *wait_in_vain(skua_stream *stream)
{
    struct skuai_worker *worker;
    char byte;
    do {
        SKUA_DEADLINE(SKUA_MS);
        worker = skuai_worker_self();
        CHECK_EQ(skua_read(stream, &byte, 1), -ETIMEDOUT);
    } while (!skuai_stream_source(stream)->armed);
    return worker;
}
static int waits_here(void *arg)
{
    skua_stream **pair = arg;
    struct skuai_source *source = skuai_stream_source(pair[0]);
    struct skuai_worker *worker = wait_in_vain(pair[0]);
    CHECK_EQ(source->shard, worker->home - worker->sched->polls.of);
    return (int)source->shard;
}
static int waits_on_all(void *arg)
{
    skua_stream *pairs[WORKERS][2];
    skua_task *tasks[WORKERS];
    (void)arg;
    for (int i = 0; i < WORKERS; i++) {
        open_pair(NULL, pairs[i]);
        CHECK_OK(skua_spawn(&tasks[i], waits_here, pairs[i]));
    }
    for (int i = 0; i < WORKERS; i++) {
        int64_t shard;
        CHECK_OK(skua_join(tasks[i], &shard));
        exchange(pairs[i][1], pairs[i][0], 'x');
        CHECK_EQ(skuai_stream_source(pairs[i][0])->shard, shard); /* whoever waits for it later */
        skua_stream_close(pairs[i][0]);
        skua_stream_close(pairs[i][1]);
    }
    return 0;
}
TEST(it_belongs_to_the_home_of_who_first_waits)
{
    uint32_t per;
    EACH(per)
        CHECK_EQ(run_in(config_with(WORKERS, per), waits_on_all, NULL), 0);
}

/* Neither a plain thread nor a task of another runtime has a home here. */
static int waits_for_a_strangers(void *arg)
{
    skua_stream **pair = arg;
    struct skuai_source *source = skuai_stream_source(pair[0]);
    (void)wait_in_vain(pair[0]);
    CHECK_EQ(source->shard, source->index % 4);
    return 0;
}
TEST(of_strangers_the_number_decides)
{
    skua_runtime *rt, *other;
    skua_config config = config_with(WORKERS, 2), small = config_with(2, 1);
    skua_stream *pairs[WORKERS][2];
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(skua_runtime_create(&other, &small));
    for (int i = 0; i < WORKERS; i++) {
        open_pair(rt, pairs[i]);
        if (i % 2 == 0)
            CHECK_EQ(waits_for_a_strangers(pairs[i]), 0);
        else
            CHECK_EQ(skua_block_on(other, waits_for_a_strangers, pairs[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        exchange(pairs[i][1], pairs[i][0], (char)i);
        skua_stream_close(pairs[i][0]);
        skua_stream_close(pairs[i][1]);
    }
    CHECK_OK(skua_runtime_destroy(other));
    CHECK_OK(skua_runtime_destroy(rt));
}

/* The same memory, closed and opened again, waited for here and there. */
static int reuses(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4 * ROUNDS; i++) {
        skua_stream *pair[2];
        skua_task *echo;
        open_pair(NULL, pair);
        CHECK_OK(skua_spawn(&echo, echoes, pair[1]));
        if (i % 3 == 0)
            skua_yield();
        exchange(pair[0], pair[0], (char)i);
        skua_stream_close(pair[0]);
        CHECK_OK(skua_join(echo, NULL));
    }
    return 0;
}
static int reuses_many(void *arg)
{
    (void)arg;
    skua_task *tasks[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_spawn(&tasks[i], reuses, NULL));
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}
TEST(closed_and_opened_again)
{
    uint32_t per;
    EACH(per)
        CHECK_EQ(run_in(config_with(4, per), reuses_many, NULL), 0);
}

/* ---- making them ------------------------------------------------------------------------------------------------ */

static void *opens(void *rt)
{
    skua_stream *pair[2];
    open_pair(rt, pair);
    exchange(pair[0], pair[1], 'x');
    skua_stream_close(pair[0]);
    skua_stream_close(pair[1]);
    return NULL;
}
TEST(threads_that_make_them_at_once)
{
    for (int round = 0; round < ROUNDS; round++) {
        skua_runtime *rt;
        skua_config config = config_with(4, 1);
        pthread_t threads[3];
        CHECK_OK(skua_runtime_create(&rt, &config));
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, opens, rt), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        wait_until_asleep(scheduler_of(rt));
        CHECK_OK(skua_runtime_destroy(rt));
    }
}

/* ---- idle ------------------------------------------------------------------------------------------------------- */

static uint64_t used_ns(struct skuai_scheduler *sched)
{
    uint64_t ns = skuai_thread_cpu_ns(&sched->guard.thread);
    for (uint32_t i = 0; i < sched->nworkers; i++)
        ns += skuai_thread_cpu_ns(&sched->workers[i]->thread);
    return ns;
}

/* What the threads have used and how often workers have slept: neither grows. So none makes a system call. */
TEST(idle_uses_no_processor)
{
    uint32_t per;
    EACH(per) {
        skua_runtime *rt;
        skua_config config = config_with(WORKERS, per);
        struct skuai_scheduler *sched;
        skua_stats stats;
        CHECK_OK(skua_runtime_create(&rt, &config));
        sched = scheduler_of(rt);
        opens(rt);
        uint64_t parks, cpu_ns;
        int tries = 0;
        do { /* until the guard sleeps, and what was freed has been given back */
            CHECK(tries++ < 100);
            wait_until_asleep(sched);
            skua_runtime_stats(rt, &stats);
            parks = stats.parks;
            cpu_ns = used_ns(sched);
            usleep(100000);
            skua_runtime_stats(rt, &stats);
        } while (parks != stats.parks || cpu_ns != used_ns(sched));
        CHECK_OK(skua_runtime_destroy(rt));
    }
}

/* ---- timers ----------------------------------------------------------------------------------------------------- */

static int sleeps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        CHECK_OK(skua_sleep(SKUA_MS / 4 * (uint64_t)(1 + i % 3)));
    return 0;
}
/* Sleepers come and go in all pollers: who keeps the time is one of them. */
static int sleeps_among_events(void *arg)
{
    skua_task *tasks[WORKERS], *others[2 * WORKERS];
    (void)arg;
    for (int i = 0; i < WORKERS; i++) {
        skua_stream *pair[2];
        open_pair(NULL, pair);
        CHECK_OK(skua_spawn(&others[2 * i], echoes, pair[1]));
        CHECK_OK(skua_spawn(&others[2 * i + 1], pings, pair[0]));
        CHECK_OK(skua_spawn(&tasks[i], sleeps, NULL));
    }
    for (int i = 0; i < WORKERS; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    for (int i = 0; i < 2 * WORKERS; i++)
        CHECK_OK(skua_join(others[i], NULL));
    for (int i = 0; i < 20; i++) /* and when nothing else happens */
        CHECK_OK(skua_sleep(SKUA_MS / 4));
    return 0;
}
TEST(timers_among_events)
{
    uint32_t per;
    EACH(per)
        CHECK_EQ(run_in(config_with(4, per), sleeps_among_events, NULL), 0);
}

/* ---- what it is made by ----------------------------------------------------------------------------------------- */

#if !defined(SKUAI_NO_HWLOC)
static int counts_pollers(void *arg)
{
    *(uint32_t *)arg = scheduler_of(skua_runtime_self())->polls.count;
    return many(NULL);
}
TEST(a_poller_for_each_numa_node)
{
    uint32_t count = 0;
    test_allow_heap_growth(4096); /* what setenv() makes is libc's for good */
    CHECK_EQ(setenv("HWLOC_SYNTHETIC", "numa:4 core:2 pu:1", 1), 0);
    CHECK_EQ(run_in(config_with(WORKERS, SKUA_PER_NUMA_NODE), counts_pollers, &count), 0);
    CHECK_EQ(count, 4);
    CHECK_EQ(run_in(config_with(3, SKUA_PER_NUMA_NODE), counts_pollers, &count), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(unsetenv("HWLOC_SYNTHETIC"), 0);
}
#endif

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        skua_yield();
        CHECK_OK(skua_sleep(SKUA_MS));
    }
    return 0;
}
TEST(a_simulation_has_none)
{
    skua_config config = config_with(4, 1);
    config.simulate = true;
    config.sim_seed = test_seed();
    CHECK_EQ(run_in(config, yields, NULL), 0);
}
