/* Spare workers: while tasks hold all workers, computing or blocked, the others go on; when they return all is as
 * before. Without spare workers most of this would hang: nothing here counts time.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sched/scheduler.h"
#include "sched/spares.h"
#include "skua/event.h"
#include "skua/fd.h"
#include "skua/parallel.h"
#include "support/with_runtime.h"

static bool is_set(const int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0; }
static void set(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }

/* Holds its worker until it is told. */
struct hog {
    int begun, stop; /* __atomic */
};
static int holds(void *arg)
{
    struct hog *hog = arg;
    set(&hog->begun);
    while (!is_set(&hog->stop))
        sched_yield(); /* the processor, not the worker */
    return 0;
}

enum { HOGS = 16 };
struct hogs {
    struct hog of[HOGS];
    skua_task *tasks[HOGS];
    int count;
};

/* From a plain thread. */
static skua_task *spawn_on(skua_runtime *rt, skua_fiber_fn *fn, void *arg)
{
    skua_task *task;
    CHECK_OK(skua_spawn_with(&task, &(skua_spawn_attr){ .runtime = rt }, fn, arg));
    return task;
}

/* From a plain thread: all of them are held at once, whoever runs them. */
static void start_hogs(skua_runtime *rt, struct hogs *hogs, int count)
{
    *hogs = (struct hogs){ .count = count };
    for (int i = 0; i < count; i++)
        hogs->tasks[i] = spawn_on(rt, holds, &hogs->of[i]);
    for (int i = 0; i < count; i++)
        while (!is_set(&hogs->of[i].begun))
            sched_yield();
}

static void end_hogs(struct hogs *hogs)
{
    for (int i = 0; i < hogs->count; i++)
        set(&hogs->of[i].stop);
    for (int i = 0; i < hogs->count; i++)
        CHECK_OK(skua_join(hogs->tasks[i], NULL));
}

static skua_runtime *create(uint32_t workers, uint32_t spares, struct counted_memory *memory)
{
    skua_runtime *rt;
    skua_config config = { .workers = workers, .spare_workers = spares, .ignore_environment = true,
                           .stuck_ns = SKUA_MS, .alloc = counted_alloc, .free = counted_free,
                           .memory_context = memory, .workers_per_poller = test_workers_per_poller() };
    *memory = (struct counted_memory){ 0, 0 };
    CHECK_OK(skua_runtime_create(&rt, &config));
    return rt;
}

static skua_stats stats_of(skua_runtime *rt)
{
    skua_stats stats;
    skua_runtime_stats(rt, &stats);
    return stats;
}

static void end(skua_runtime *rt, struct counted_memory *memory)
{
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(stats_of(rt).live, 0);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory->blocks, 0);
    CHECK_EQ(memory->bytes, 0);
}

/* ---- what goes on meanwhile -------------------------------------------------------------------------------------- */

static int64_t sum(int64_t from, int64_t to)
{
    int64_t total = 0;
    for (int64_t i = from; i < to; i++)
        total += i;
    return total;
}

static void adds(void *context, size_t begin, size_t end_of)
{
    __atomic_fetch_add((int64_t *)context, sum((int64_t)begin, (int64_t)end_of), __ATOMIC_RELAXED);
}

struct sleeper {
    SKUA_FRAME;
    struct {
        uint64_t ns;
    } in;
    skua_sleep_op op;
};
SKUA_ASYNC(sleeper)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->op, self->in.ns));
    SKUA_END(7);
}

static int writes(void *fd)
{
    return write(*(int *)fd, "x", 1) == 1 ? 0 : -errno;
}

/* Tasks, timers, descriptors, computations. */
static int all_sorts(void *arg)
{
    skua_task *task;
    int64_t result, total = 0;
    int ends[2];
    char byte;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(skua_sleep(i % 10 == 0 ? 1000 : 0));
        CHECK_OK(SKUA_SPAWN(&task, sleeper, .ns = (uint64_t)i * 10));
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, 7);
        CHECK_OK(skua_yield());
    }
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
    skua_fd *fd;
    CHECK_OK(skua_fd_open(&fd, NULL, ends[0]));
    CHECK_OK(skua_spawn(&task, writes, &ends[1]));
    CHECK_EQ(skua_fd_wait(fd, SKUA_READABLE), SKUA_READABLE);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_OK(skua_join(task, NULL));
    skua_fd_close(fd);
    CHECK_OK(close(ends[0]));
    CHECK_OK(close(ends[1]));
    CHECK_OK(skua_parallel_for(0, 10000, adds, &total));
    CHECK_EQ(total, sum(0, 10000));
    return 0;
}

static void go_on_beside(uint32_t workers)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(workers, workers, &memory);
    for (int round = 0; round < 3; round++) {
        start_hogs(rt, &hogs, (int)workers);
        CHECK_EQ(skua_block_on(rt, all_sorts, NULL), 0);
        end_hogs(&hogs);
        CHECK_EQ(skua_block_on(rt, all_sorts, NULL), 0);
    }
    CHECK(stats_of(rt).spares_begun >= 1);
    CHECK(stats_of(rt).stuck >= 1);
    end(rt, &memory);
}
TEST(others_go_on_1) { go_on_beside(1); }
TEST(others_go_on_2) { go_on_beside(2); }
TEST(others_go_on_4) { go_on_beside(4); }

/* ---- what lies in the held worker's own queues ------------------------------------------------------------------- */

static int notes(void *arg)
{
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELEASE);
    return 0;
}

/* Waits, in its worker, for what it has spawned: in the next-slot and in the deque. */
static int waits_for_its_own(void *arg)
{
    int done = 0;
    int count = *(int *)arg;
    for (int i = 0; i < count; i++)
        CHECK_OK(skua_go(notes, &done));
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) != count)
        sched_yield();
    return 0;
}
TEST(the_own_queues_of_who_is_held)
{
    struct counted_memory memory;
    static const int counts[] = { 1, 2, 50, 2000 };
    skua_runtime *rt = create(1, 1, &memory);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(skua_block_on(rt, waits_for_its_own, (int *)(uintptr_t)&counts[i]), 0);
    end(rt, &memory);
}

/* Blocked in the kernel: it takes no processor time. */
static int reads_blocking(void *fd)
{
    char byte;
    return read(*(int *)fd, &byte, 1) == 1 ? 0 : -errno;
}
TEST(who_is_blocked_in_the_kernel)
{
    struct counted_memory memory;
    skua_runtime *rt = create(1, 1, &memory);
    int ends[2];
    skua_task *reader, *writer;
    int64_t result;
    CHECK_OK(pipe(ends));
    reader = spawn_on(rt, reads_blocking, &ends[0]);
    writer = spawn_on(rt, writes, &ends[1]);
    CHECK_OK(skua_join(reader, &result));
    CHECK_EQ(result, 0);
    CHECK_OK(skua_join(writer, NULL));
    CHECK_OK(close(ends[0]));
    CHECK_OK(close(ends[1]));
    end(rt, &memory);
}

/* ---- fork-join --------------------------------------------------------------------------------------------------- */

static void begin_run(struct skuai_worker *worker) { skuai_count(&worker->counters.polls, 1); }
static void look_around(struct skuai_worker *worker) { skuai_count(&worker->counters.looks, 1); }

/* Whoever looks around steps aside for tasks: it is not stuck, unless jobs wait that only a worker would run. The
 * guard's looks as if the instants were these; one spare at most, of which none can be made. */
TEST(who_looks_around_is_not_stuck)
{
    enum { STUCK_NS = 10 };
    static struct skuai_worker worker;
    struct skuai_worker *workers[] = { &worker };
    struct skuai_scheduler *sched = aligned_alloc(SKUAI_CACHE_LINE, sizeof *sched);
    CHECK(sched != NULL);
    memset(sched, 0, sizeof *sched);
    sched->workers = workers;
    sched->nworkers = 1;
    sched->spares = (struct skuai_spares){ .max = 1, .stuck_ns = STUCK_NS, .failed = true };
    worker.sched = sched;
    int task;
    skuai_store_ptr(&worker.next, &task, SKUAI_RELAXED); /* waits there, and nobody takes it */
    begin_run(&worker);
    CHECK(!skuai_spares_watch(sched, 100, false));
    look_around(&worker);
    CHECK(!skuai_spares_watch(sched, 100 + STUCK_NS, false)); /* no run has begun, but it has looked */
    CHECK(!skuai_spares_watch(sched, 100 + 2 * STUCK_NS - 1, false));
    CHECK_EQ(skuai_load_64(&sched->spares.stuck, SKUAI_RELAXED), 0);
    CHECK(skuai_spares_watch(sched, 100 + 2 * STUCK_NS, false)); /* nor has it looked */
    look_around(&worker);
    CHECK(!skuai_spares_watch(sched, 100 + 3 * STUCK_NS, false));
    skuai_store_32(&sched->strands.offering, 1, SKUAI_RELAXED);
    CHECK(skuai_spares_watch(sched, 100 + 3 * STUCK_NS, false));
    begin_run(&worker);
    CHECK(!skuai_spares_watch(sched, 100 + 4 * STUCK_NS, false));
    CHECK_EQ(skuai_load_64(&sched->spares.stuck, SKUAI_RELAXED), 1);
    free(sched);
}

/* Forks and joins, and so looks around, until it is told. */
SKUA_PARALLEL(int, goes_on, const int *, told, int, depth)
{
    if (depth == 0)
        return is_set(told);
    SKUA_FORK(left, goes_on, told, depth - 1);
    int right = SKUA_CALL(goes_on, told, depth - 1);
    return SKUA_JOIN(goes_on, left) | right;
}
struct computing {
    int begun, told; /* __atomic */
};
static int computes(void *arg)
{
    struct computing *computing = arg;
    set(&computing->begun);
    while (SKUA_RUN(goes_on, &computing->told, 8) == 0)
        ;
    return 0;
}

SKUA_PARALLEL(int, tells, skua_event *, event)
{
    skua_event_set(event);
    return 1;
}
SKUA_PARALLEL(int, waits_for_its_job, skua_event *, event)
{
    SKUA_FORK(job, tells, event);
    CHECK_OK(skua_event_wait(event));
    return SKUA_JOIN(tells, job);
}
static int offers(void *event) { return SKUA_RUN(waits_for_its_job, event); }

/* While all workers are at fork-join, a fiber waits for a job of its own, which has nobody else to run it. */
TEST(jobs_of_who_waits_for_them)
{
    struct counted_memory memory;
    struct computing computing[2] = { { 0, 0 }, { 0, 0 } };
    skua_event event;
    skua_task *tasks[2];
    skua_runtime *rt = create(2, 2, &memory);
    skua_event_init(&event, SKUA_EVENT_MANUAL);
    for (int i = 0; i < 2; i++)
        tasks[i] = spawn_on(rt, computes, &computing[i]);
    for (int i = 0; i < 2; i++)
        while (!is_set(&computing[i].begun))
            sched_yield();
    CHECK_EQ(skua_block_on(rt, offers, &event), 1);
    for (int i = 0; i < 2; i++) {
        set(&computing[i].told);
        CHECK_OK(skua_join(tasks[i], NULL));
    }
    end(rt, &memory);
}

/* ---- limits and ends --------------------------------------------------------------------------------------------- */

/* A spare is held itself, and another comes; no more than so many. */
TEST(spares_that_are_held)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(2, 3, &memory);
    start_hogs(rt, &hogs, 4); /* two of them on spares */
    CHECK_EQ(skua_block_on(rt, all_sorts, NULL), 0);
    CHECK(stats_of(rt).spares_begun >= 3);
    struct hog late = { 0, 1 };
    skua_task *task;
    set(&hogs.of[0].stop);
    task = spawn_on(rt, holds, &late);
    CHECK_OK(skua_join(task, NULL));
    end_hogs(&hogs);
    end(rt, &memory);
}

TEST(one_spare_at_most)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(1, 1, &memory);
    start_hogs(rt, &hogs, 2); /* no spare is left */
    skua_task *task;
    int done = 0;
    task = spawn_on(rt, notes, &done);
    for (int i = 0; i < 1000; i++)
        sched_yield();
    CHECK_EQ(stats_of(rt).spares_begun, 1);
    end_hogs(&hogs);
    CHECK_OK(skua_join(task, NULL));
    CHECK_EQ(done, 1);
    end(rt, &memory);
}

static int sleeps_long(void *arg)
{
    (void)arg;
    return skua_sleep(30 * SKUA_MS);
}
/* A timer that was armed on a spare, whose wheel nobody but others see to when it has retired. */
TEST(timers_of_a_spare_that_has_retired)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(1, 1, &memory);
    for (int i = 0; i < 3; i++) {
        skua_task *tasks[8];
        start_hogs(rt, &hogs, 1);
        for (int k = 0; k < 8; k++)
            tasks[k] = spawn_on(rt, sleeps_long, NULL);
        CHECK_EQ(skua_block_on(rt, all_sorts, NULL), 0); /* by now they sleep */
        end_hogs(&hogs);
        for (int k = 0; k < 8; k++)
            CHECK_OK(skua_join(tasks[k], NULL));
    }
    end(rt, &memory);
}

/* Yielding for ever on a spare: it retires all the same. */
static int yields(void *arg)
{
    struct hog *until = arg;
    set(&until->begun);
    while (!is_set(&until->stop))
        CHECK_OK(skua_yield());
    return 0;
}
TEST(a_spare_that_is_never_idle_retires)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(1, 1, &memory);
    struct hog until[4] = { 0 };
    skua_task *tasks[4];
    start_hogs(rt, &hogs, 1);
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn_on(rt, yields, &until[i]);
        while (!is_set(&until[i].begun))
            sched_yield();
    }
    end_hogs(&hogs);
    for (int round = 0; round < 3; round++) { /* begins again: so it was parked, or about to be */
        start_hogs(rt, &hogs, 1);
        CHECK_EQ(skua_block_on(rt, all_sorts, NULL), 0);
        end_hogs(&hogs);
    }
    for (int i = 0; i < 4; i++) {
        set(&until[i].stop);
        CHECK_OK(skua_join(tasks[i], NULL));
    }
    end(rt, &memory);
}

/* None if they are not wanted, and of one worker none by itself. */
static void hold_without(bool never)
{
    struct counted_memory memory = { 0, 0 };
    skua_config config = { .workers = 1, .ignore_environment = true, .stuck_ns = never ? SKUA_NEVER : SKUA_MS,
                           .spare_workers = never ? 1 : 0, .alloc = counted_alloc, .free = counted_free,
                           .memory_context = &memory };
    skua_runtime *rt;
    struct hogs hogs;
    skua_task *task;
    int done = 0;
    CHECK_OK(skua_runtime_create(&rt, &config));
    start_hogs(rt, &hogs, 1);
    task = spawn_on(rt, notes, &done);
    struct timespec while_ = { 0, 20000000 };
    nanosleep(&while_, NULL); /* of those that could have begun one */
    CHECK_EQ(__atomic_load_n(&done, __ATOMIC_ACQUIRE), 0);
    CHECK_EQ(stats_of(rt).spares_begun, 0);
    end_hogs(&hogs);
    CHECK_OK(skua_join(task, NULL));
    end(rt, &memory);
}

TEST(no_spares) { hold_without(true); }
TEST(no_spares_of_one_worker) { hold_without(false); }

/* A shutdown that finds a spare held: as with a worker. */
TEST(shutdown_while_a_spare_is_held)
{
    struct counted_memory memory;
    struct hogs hogs;
    skua_runtime *rt = create(1, 1, &memory);
    start_hogs(rt, &hogs, 2);
    CHECK_EQ(skua_runtime_shutdown(rt, 0, SKUA_MS), -EBUSY);
    end_hogs(&hogs);
    int rc = skua_runtime_shutdown(rt, 0, SKUA_MS);
    CHECK(rc == 0 || rc == -ETIMEDOUT);
    CHECK_OK(skua_runtime_destroy(rt));
    CHECK_EQ(memory.blocks, 0);
}
