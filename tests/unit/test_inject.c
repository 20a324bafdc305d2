/* The injection queue: batches, gaps, its stub; then producers and consumers on threads, each task once and every
 * producer's in its order.
 */
#include "sched/inject.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sched/env.h"
#include "support/test.h"

enum { PRODUCERS = 3, CONSUMERS = 2, BATCH = 8 };

static struct skuai_inject *inject_create(void)
{
    struct skuai_inject *inject = aligned_alloc(SKUAI_CACHE_LINE, sizeof *inject);
    CHECK(inject != NULL);
    memset(inject, 0xa5, sizeof *inject);
    skuai_inject_init(inject);
    return inject;
}

/* Pushes tasks[0 … count-1] as one batch. */
static void push(struct skuai_inject *inject, skua_task *tasks, uint64_t count)
{
    for (uint64_t i = 0; i + 1 < count; i++)
        skuai_store_ptr(&tasks[i].next, &tasks[i + 1], SKUAI_RELAXED); /* published by the push */
    skuai_store_ptr(&tasks[count - 1].next, tasks, SKUAI_RELAXED);     /* rubbish: the push sets it */
    skuai_inject_push(inject, tasks, &tasks[count - 1], count);
}

static void expect(struct skuai_inject *inject, uint32_t max, skua_task *first, int count)
{
    skua_task *tasks[64];
    CHECK_EQ(skuai_inject_take(inject, tasks, max), count);
    for (int i = 0; i < count; i++)
        CHECK(tasks[i] == first + i);
}

TEST(first_in_first_out_across_batches)
{
    struct skuai_inject *inject = inject_create();
    skua_task tasks[40];
    CHECK(skuai_inject_is_empty(inject));
    expect(inject, 5, NULL, 0);
    push(inject, tasks, 1);
    CHECK(!skuai_inject_is_empty(inject));
    push(inject, tasks + 1, 10);
    push(inject, tasks + 11, 2);
    CHECK_EQ(skuai_inject_count(inject), 13);
    expect(inject, 3, tasks, 3);
    push(inject, tasks + 13, 27);
    expect(inject, 64, tasks + 3, 37);
    CHECK(skuai_inject_is_empty(inject));
    CHECK_EQ(skuai_inject_count(inject), 0);
    expect(inject, 5, NULL, 0);
    free(inject);
}

TEST(the_last_one_can_be_taken_and_come_again)
{
    struct skuai_inject *inject = inject_create();
    skua_task tasks[2];
    for (int i = 0; i < 10; i++) { /* the stub goes round: behind the last task, to the front, behind it again */
        push(inject, &tasks[i % 2], 1);
        expect(inject, 1, &tasks[i % 2], 1);
        expect(inject, 1, NULL, 0);
    }
    push(inject, tasks, 2);
    expect(inject, 1, tasks, 1);
    push(inject, tasks, 1);
    expect(inject, 1, tasks + 1, 1);
    expect(inject, 64, tasks, 1);
    free(inject);
}

TEST(who_finds_it_locked_is_told_busy)
{
    struct skuai_inject *inject = inject_create();
    skua_task task;
    skuai_store_32(&inject->taking, 1, SKUAI_RELAXED);
    expect(inject, 1, NULL, 0); /* empty is empty, whoever holds it */
    push(inject, &task, 1);
    expect(inject, 1, NULL, SKUAI_INJECT_BUSY);
    skuai_store_32(&inject->taking, 0, SKUAI_RELAXED);
    expect(inject, 1, &task, 1);
    free(inject);
}

/* A producer between its two steps, by hand: what lies behind is there, and cannot be reached. */
static skua_task *half_push(struct skuai_inject *inject, skua_task *task)
{
    skuai_add_64(&inject->pushed, 1, SKUAI_SEQ_CST);
    skuai_store_ptr(&task->next, NULL, SKUAI_RELAXED);
    return skuai_exchange_ptr(&inject->newest, task, SKUAI_ACQ_REL);
}

TEST(a_gap_is_busy_and_not_empty)
{
    struct skuai_inject *inject = inject_create();
    skua_task tasks[4];
    skua_task *before = half_push(inject, &tasks[0]); /* right at the stub */
    CHECK(!skuai_inject_is_empty(inject));
    expect(inject, 4, NULL, SKUAI_INJECT_BUSY);
    push(inject, &tasks[1], 1);
    expect(inject, 4, NULL, SKUAI_INJECT_BUSY);
    skuai_store_ptr(&before->next, &tasks[0], SKUAI_RELEASE);
    expect(inject, 1, tasks, 1);
    before = half_push(inject, &tasks[2]); /* behind a task: that one is the last before the gap, and waits with it */
    CHECK(before == &tasks[1]);
    expect(inject, 4, NULL, SKUAI_INJECT_BUSY);
    push(inject, &tasks[3], 1);
    skuai_store_ptr(&before->next, &tasks[2], SKUAI_RELEASE);
    expect(inject, 4, tasks + 1, 3);
    CHECK(skuai_inject_is_empty(inject));
    free(inject);
}

/* Counted, and not yet exchanged: a producer in its first step. */
TEST(a_push_counts_from_its_first_step)
{
    struct skuai_inject *inject = inject_create();
    skua_task task;
    skuai_add_64(&inject->pushed, 1, SKUAI_SEQ_CST);
    CHECK(!skuai_inject_is_empty(inject));
    CHECK_EQ(skuai_inject_count(inject), 1);
    expect(inject, 1, NULL, SKUAI_INJECT_BUSY);
    skuai_store_64(&inject->pushed, 0, SKUAI_RELAXED);
    push(inject, &task, 1);
    expect(inject, 1, &task, 1);
    free(inject);
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

struct traffic {
    struct skuai_inject *inject;
    uint64_t each;                /* tasks per producer */
    skua_task *tasks[PRODUCERS];  /* task->result: its number, written by its producer; then by its one taker */
    skua_word64 taken;
    pthread_barrier_t start;
};

struct party {
    struct traffic *traffic;
    uint32_t index;
};

static void *producer_main(void *arg)
{
    const struct party *self = arg;
    struct traffic *traffic = self->traffic;
    skua_task *tasks = traffic->tasks[self->index];
    uint64_t random = test_seed() + self->index;
    pthread_barrier_wait(&traffic->start);
    for (uint64_t i = 0; i < traffic->each;) {
        uint64_t count = 1 + skuai_random_below(&random, 5);
        if (count > traffic->each - i)
            count = traffic->each - i;
        for (uint64_t k = i; k < i + count; k++)
            tasks[k].result = (int64_t)k;
        push(traffic->inject, tasks + i, count);
        i += count;
        if (skuai_random_below(&random, 50) == 0)
            sched_yield();
    }
    return NULL;
}

static uint32_t producer_of(const struct traffic *traffic, const skua_task *task)
{
    for (uint32_t i = 0; i < PRODUCERS; i++)
        if (task >= traffic->tasks[i] && task < traffic->tasks[i] + traffic->each)
            return i;
    CHECK(false);
    return 0;
}

static void *consumer_main(void *arg)
{
    const struct party *self = arg;
    struct traffic *traffic = self->traffic;
    int64_t last[PRODUCERS] = { -1, -1, -1 };
    uint64_t total = PRODUCERS * traffic->each, random = test_seed() + 100 + self->index;
    pthread_barrier_wait(&traffic->start);
    while (skuai_load_64(&traffic->taken, SKUAI_RELAXED) != total) {
        skua_task *tasks[BATCH];
        int count = skuai_inject_take(traffic->inject, tasks, 1 + skuai_random_below(&random, BATCH));
        if (count <= 0) {
            sched_yield();
            continue;
        }
        for (int i = 0; i < count; i++) {
            uint32_t from = producer_of(traffic, tasks[i]);
            CHECK(tasks[i] == &traffic->tasks[from][tasks[i]->result]);
            CHECK(tasks[i]->result > last[from]);
            last[from] = tasks[i]->result;
            tasks[i]->result = -1;
        }
        skuai_add_64(&traffic->taken, (uint64_t)count, SKUAI_RELAXED);
    }
    return NULL;
}

TEST(producers_and_consumers)
{
    struct traffic traffic = { .inject = inject_create(), .each = test_scaled(50000) };
    struct party parties[PRODUCERS + CONSUMERS];
    pthread_t threads[PRODUCERS + CONSUMERS];
    CHECK_EQ(pthread_barrier_init(&traffic.start, NULL, PRODUCERS + CONSUMERS), 0);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        CHECK((traffic.tasks[i] = calloc(traffic.each, sizeof(skua_task))) != NULL);
    for (uint32_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
        parties[i] = (struct party){ .traffic = &traffic, .index = i };
        CHECK_EQ(pthread_create(&threads[i], NULL, i < PRODUCERS ? producer_main : consumer_main, &parties[i]), 0);
    }
    for (uint32_t i = 0; i < PRODUCERS + CONSUMERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK(skuai_inject_is_empty(traffic.inject));
    CHECK_EQ(skuai_load_64(&traffic.inject->pushed, SKUAI_RELAXED), PRODUCERS * traffic.each);
    CHECK_EQ(skuai_load_64(&traffic.inject->taken, SKUAI_RELAXED), PRODUCERS * traffic.each);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        for (uint64_t k = 0; k < traffic.each; k++)
            CHECK_EQ(traffic.tasks[i][k].result, -1);
        free(traffic.tasks[i]);
    }
    pthread_barrier_destroy(&traffic.start);
    free(traffic.inject);
}
