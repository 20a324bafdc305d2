/* The injection queue (sched/inject.h) against Concurrency Kit's: P producers, C consumers, ITEMS items per iteration.
 *
 * All threads start together; the time is from the first one's start to the last one's end, by their own clocks, and
 * the CPU time is theirs added up. Who finds the queue empty, full or busy pauses for a while and then yields its
 * processor; this is the same for all queues. Each item must come out once: the sum of their numbers tells.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/harness.h"
#include "bench/queues.h"
#include "sched/inject.h"

enum {
    ITEMS = 1 << 16,
    BATCH = 64,          /* the most a worker takes at once */
    THREADS_MAX = 4,     /* of each kind */
    PAUSES = 32          /* before the processor is yielded; untuned */
};

/* ---- ours ---------------------------------------------------------------------------------------------------- */

static void inject_clear(void *queue) { skuai_inject_init(queue); }

static void *inject_create(void)
{
    struct skuai_inject *inject = aligned_alloc(SKUAI_CACHE_LINE, sizeof *inject);
    if (inject != NULL)
        skuai_inject_init(inject);
    return inject;
}

static uint32_t inject_push(void *queue, skua_task *items, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        skuai_store_ptr(&items[i].next, &items[i + 1], SKUAI_RELAXED); /* published by the push */
    skuai_inject_push(queue, items, &items[count - 1], count);
    return count;
}

static uint32_t inject_take(void *queue, skua_task **items, uint32_t max)
{
    int count = skuai_inject_take(queue, items, max);
    return count > 0 ? (uint32_t)count : 0;
}

static const struct bench_queue inject_queue = {
    .runtime = BENCH_OURS, .create = inject_create, .destroy = free, .clear = inject_clear, .push = inject_push,
    .take = inject_take,
};

/* ---- the threads --------------------------------------------------------------------------------------------- */

struct crew;

struct member {
    struct crew *crew;
    pthread_t thread;
    uint32_t index; /* among its kind */
    uint64_t begin_ns, end_ns, cpu_ns;
    uint64_t sum;
    skua_word64 taken __attribute__((aligned(SKUAI_CACHE_LINE))); /* by its thread; consumers read each other's */
} __attribute__((aligned(SKUAI_CACHE_LINE)));

struct crew {
    const struct bench_queue *kind;
    void *queue;
    skua_task *items;
    uint32_t producers, consumers, push_max, take_max;
    uint32_t share, total; /* items per producer, of all */
    bool stop;             /* handed over by the barrier */
    pthread_barrier_t barrier;
    skua_word32 started __attribute__((aligned(SKUAI_CACHE_LINE)));
    struct member members[2 * THREADS_MAX];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void back_off(uint32_t *turns)
{
    if (++*turns < PAUSES) {
        skuai_pause();
        return;
    }
    *turns = 0;
    sched_yield();
}

static void produce(struct crew *crew, uint32_t index)
{
    skua_task *items = &crew->items[index * crew->share];
    uint32_t turns = 0;
    for (uint32_t done = 0; done < crew->share;) {
        uint32_t left = crew->share - done;
        uint32_t pushed = crew->kind->push(crew->queue, items + done, left < crew->push_max ? left : crew->push_max);
        done += pushed;
        if (pushed == 0)
            back_off(&turns);
    }
}

static bool all_taken(const struct crew *crew)
{
    uint64_t taken = 0;
    for (uint32_t i = 0; i < crew->consumers; i++)
        taken += skuai_load_64(&crew->members[i].taken, SKUAI_RELAXED); /* only grows; the barrier orders the rest */
    return taken == crew->total;
}

static void consume(struct crew *crew, struct member *self)
{
    skua_task *taken[BATCH];
    uint64_t count = 0, sum = 0;
    uint32_t turns = 0;
    for (;;) {
        uint32_t n = crew->kind->take(crew->queue, taken, crew->take_max);
        if (n == 0) {
            if (all_taken(crew))
                break;
            back_off(&turns);
            continue;
        }
        for (uint32_t i = 0; i < n; i++)
            sum += (uint64_t)taken[i]->result;
        count += n;
        skuai_store_64(&self->taken, count, SKUAI_RELAXED);
    }
    self->sum = sum;
}

static void *work(void *arg)
{
    struct member *self = arg;
    struct crew *crew = self->crew;
    bool consumer = self < &crew->members[crew->consumers];
    for (;;) {
        pthread_barrier_wait(&crew->barrier);
        if (crew->stop)
            return NULL;
        /* The barrier wakes one after the other; who is awake waits for the others. */
        skuai_add_32(&crew->started, 1, SKUAI_RELAXED);
        while (skuai_load_32(&crew->started, SKUAI_RELAXED) != crew->producers + crew->consumers)
            sched_yield();
        uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        self->begin_ns = clock_ns(CLOCK_MONOTONIC);
        if (consumer)
            consume(crew, self);
        else
            produce(crew, self->index);
        self->end_ns = clock_ns(CLOCK_MONOTONIC);
        self->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
        pthread_barrier_wait(&crew->barrier);
    }
}

/* ---- the benchmark ------------------------------------------------------------------------------------------- */

static uint32_t items_per_producer(int producers) { return (uint32_t)(ITEMS / producers / BATCH * BATCH); }

/* One iteration. */
static bool move_all(struct crew *crew, uint64_t *wall_ns, uint64_t *cpu_ns)
{
    uint32_t count = crew->producers + crew->consumers;
    crew->kind->clear(crew->queue);
    skuai_store_32(&crew->started, 0, SKUAI_RELAXED); /* handed over by the barrier, as what follows */
    for (uint32_t i = 0; i < count; i++)
        skuai_store_64(&crew->members[i].taken, 0, SKUAI_RELAXED);
    pthread_barrier_wait(&crew->barrier);
    pthread_barrier_wait(&crew->barrier);
    uint64_t begin_ns = UINT64_MAX, end_ns = 0, sum = 0;
    *cpu_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct member *member = &crew->members[i];
        begin_ns = member->begin_ns < begin_ns ? member->begin_ns : begin_ns;
        end_ns = member->end_ns > end_ns ? member->end_ns : end_ns;
        *cpu_ns += member->cpu_ns;
        sum += i < crew->consumers ? member->sum : 0;
    }
    *wall_ns = end_ns - begin_ns;
    return sum == (uint64_t)crew->total * (crew->total + 1) / 2;
}

static void measure(struct bench_state *state, struct crew *crew)
{
    uint32_t count = crew->producers + crew->consumers, running = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &crew->members[i];
        member->crew = crew;
        member->index = i < crew->consumers ? i : i - crew->consumers;
        if (pthread_create(&member->thread, NULL, work, member) != 0)
            abort(); /* the others wait at the barrier for ever */
        running++;
    }
    while (bench_next(state)) {
        uint64_t wall_ns, cpu_ns;
        if (!move_all(crew, &wall_ns, &cpu_ns)) {
            bench_fail(state, "items were lost or came twice");
            break;
        }
        bench_set_time(state, wall_ns, cpu_ns);
    }
    crew->stop = true;
    pthread_barrier_wait(&crew->barrier);
    while (running > 0)
        pthread_join(crew->members[--running].thread, NULL);
}

static void run(struct bench_state *state)
{
    const struct bench_queue *kind = bench_context(state);
    struct crew *crew = aligned_alloc(SKUAI_CACHE_LINE, sizeof *crew);
    skua_task *items = aligned_alloc(SKUAI_CACHE_LINE, ITEMS * sizeof *items);
    void *queue = kind->create();
    if (crew != NULL && items != NULL && queue != NULL) {
        *crew = (struct crew){ .kind = kind, .queue = queue, .items = items };
        crew->producers = (uint32_t)bench_arg(state, 0);
        crew->consumers = (uint32_t)bench_arg(state, 1);
        crew->push_max = (uint32_t)bench_arg(state, 2);
        crew->take_max = (uint32_t)bench_arg(state, 3);
        crew->share = items_per_producer((int)crew->producers);
        crew->total = crew->share * crew->producers;
        for (uint32_t i = 0; i < crew->total; i++)
            items[i] = (skua_task){ .result = (int64_t)i + 1 };
        pthread_barrier_init(&crew->barrier, NULL, crew->producers + crew->consumers + 1);
        measure(state, crew);
        pthread_barrier_destroy(&crew->barrier);
    } else {
        bench_fail(state, "no memory");
    }
    if (queue != NULL)
        kind->destroy(queue);
    free(items);
    free(crew);
}

static void register_queue(const struct bench_queue *kind, int producers, int consumers, int push, int take)
{
    if (kind->producers_spin && producers > sysconf(_SC_NPROCESSORS_ONLN))
        return;
    bench_register(&(struct bench){
        .name = "inject",
        .runtime = kind->runtime,
        .run = run,
        .context = kind,
        .ops = (double)(items_per_producer(producers) * (uint32_t)producers),
        .self_timed = true,
        .args = { { "producers", producers }, { "consumers", consumers }, { "push", push }, { "take", take } },
    });
}

BENCH_FILE
{
    static const struct {
        int push, take;
    } modes[] = { { 1, 1 }, { 1, BATCH }, { BATCH, BATCH } };
    for (size_t mode = 0; mode < sizeof modes / sizeof modes[0]; mode++) {
        for (int pair = 0; pair < THREADS_MAX * THREADS_MAX; pair++) {
            int producers = pair / THREADS_MAX + 1, consumers = pair % THREADS_MAX + 1;
            register_queue(&inject_queue, producers, consumers, modes[mode].push, modes[mode].take);
            for (uint32_t i = 0; i < bench_ck_queue_count; i++)
                register_queue(bench_ck_queues[i], producers, consumers, modes[mode].push, modes[mode].take);
        }
    }
}
