/* The run queue: order, shares, being full, indices past 2^32; then an owner against thieves, and workers that steal
 * from each other, where every item is taken exactly once with what its producer wrote.
 */
#include "sched/deque.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "sched/env.h"
#include "support/test.h"

enum { CAPACITY = SKUAI_DEQUE_CAPACITY, THIEVES = 4, WORKERS = 4, STEAL_MAX = 64 };

/* As if so many had come and gone. */
static struct skuai_deque *deque_from(uint64_t index)
{
    struct skuai_deque *deque = aligned_alloc(SKUAI_CACHE_LINE, sizeof *deque);
    CHECK(deque != NULL);
    *deque = (struct skuai_deque){ .bottom = { index }, .seen_top = index, .top = { index } };
    return deque;
}

static void *item(uintptr_t number) { return (void *)(number + 1); }

static void push(struct skuai_deque *deque, uintptr_t number)
{
    CHECK(skuai_deque_push(deque, item(number), number % 2 ? SKUAI_SEQ_CST : SKUAI_RELEASE));
}

/* Takes, and expects count items from `first` on. */
static void expect(struct skuai_deque *deque, uint32_t max, uint32_t share, uintptr_t first, int count)
{
    void *items[CAPACITY];
    CHECK_EQ(skuai_deque_take(deque, items, max, share), count);
    for (int i = 0; i < count; i++)
        CHECK(items[i] == item(first + (uintptr_t)i));
}

TEST(first_in_first_out)
{
    struct skuai_deque *deque = deque_from(0);
    expect(deque, 1, 1, 0, 0);
    for (uintptr_t i = 0; i < 10; i++)
        push(deque, i);
    CHECK_EQ(skuai_deque_count(deque), 10);
    for (uintptr_t i = 0; i < 10; i++)
        expect(deque, 1, 1, i, 1);
    expect(deque, 1, 1, 0, 0);
    CHECK_EQ(skuai_deque_count(deque), 0);
    free(deque);
}

TEST(a_share_is_rounded_up_and_limited)
{
    struct skuai_deque *deque = deque_from(0);
    for (uintptr_t i = 0; i < 100; i++)
        push(deque, i);
    expect(deque, CAPACITY, 2, 0, 50);
    expect(deque, CAPACITY, 2, 50, 25);
    expect(deque, CAPACITY, 2, 75, 13);
    expect(deque, 5, 2, 88, 5);
    expect(deque, CAPACITY, 2, 93, 4);
    expect(deque, 1, 2, 97, 1);
    expect(deque, CAPACITY, 2, 98, 1);
    expect(deque, CAPACITY, 2, 99, 1); /* half of one is one */
    expect(deque, CAPACITY, 2, 100, 0);
    free(deque);
}

TEST(a_full_deque_refuses)
{
    struct skuai_deque *deque = deque_from(0);
    uintptr_t in = 0, out = 0;
    for (int turn = 0; turn < 3; turn++) {
        while (in - out < CAPACITY)
            push(deque, in++);
        CHECK(!skuai_deque_push(deque, item(in), SKUAI_RELEASE));
        CHECK(!skuai_deque_push(deque, item(in), SKUAI_SEQ_CST));
        CHECK_EQ(skuai_deque_count(deque), CAPACITY);
        expect(deque, 1, 1, out++, 1);
        push(deque, in++); /* room for just one, which the owner sees when it looks again */
        CHECK(!skuai_deque_push(deque, item(in), SKUAI_RELEASE));
        expect(deque, 100, 1, out, 100);
        out += 100;
    }
    expect(deque, CAPACITY, 1, out, CAPACITY - 100);
    free(deque);
}

TEST(many_are_pushed_as_one)
{
    struct skuai_deque *deque = deque_from(0);
    void *items[CAPACITY];
    uintptr_t in = 0, out = 0;
    for (uint32_t count = CAPACITY; count > 0; count -= count > 7 ? 7 : 1) {
        for (uint32_t i = 0; i < count; i++)
            items[i] = item(in + i);
        skuai_deque_push_many(deque, items, count);
        in += count;
        CHECK_EQ(skuai_deque_count(deque), count);
        expect(deque, CAPACITY, 1, out, (int)count);
        out = in;
    }
    free(deque);
}

TEST(indices_grow_past_32_bits)
{
    static const uint64_t starts[] = { UINT32_MAX - 5, (UINT64_C(1) << 33) - CAPACITY, INT64_MAX - 3 };
    for (int i = 0; i < 3; i++) {
        struct skuai_deque *deque = deque_from(starts[i]);
        for (uintptr_t k = 0; k < CAPACITY; k++)
            push(deque, k);
        CHECK(!skuai_deque_push(deque, item(0), SKUAI_RELEASE));
        CHECK_EQ(skuai_deque_count(deque), CAPACITY);
        expect(deque, CAPACITY, 2, 0, CAPACITY / 2);
        for (uintptr_t k = CAPACITY; k < CAPACITY + 20; k++)
            push(deque, k);
        expect(deque, CAPACITY, 1, CAPACITY / 2, CAPACITY / 2 + 20);
        CHECK_EQ(skuai_deque_count(deque), 0);
        free(deque);
    }
}

struct shed {
    uintptr_t next; /* expected: newest first */
    uint32_t count;
};

static void expect_shed(void *visited, void *arg)
{
    struct shed *shed = arg;
    CHECK(visited == item(shed->next));
    shed->next--;
    shed->count++;
}

/* Full or not, at every place in the ring: the older half stays, in order, and the rest is visited. */
static void check_shed(uint64_t start, uintptr_t count)
{
    struct skuai_deque *deque = deque_from(start);
    struct shed shed = { .next = count - 1 };
    uintptr_t keep = count < CAPACITY / 2 ? count : CAPACITY / 2;
    for (uintptr_t i = 0; i < count; i++)
        push(deque, i);
    CHECK_EQ(skuai_deque_shed(deque, expect_shed, &shed), count - keep);
    CHECK_EQ(shed.count, count - keep);
    CHECK_EQ(skuai_deque_count(deque), keep);
    for (uintptr_t i = keep; i < CAPACITY; i++) /* there is just that much room */
        push(deque, i);
    CHECK(!skuai_deque_push(deque, item(0), SKUAI_RELEASE));
    expect(deque, CAPACITY, 1, 0, CAPACITY);
    free(deque);
}

TEST(shedding_keeps_the_older_half)
{
    static const uintptr_t counts[] = { 0, 1, CAPACITY / 2 - 1, CAPACITY / 2, CAPACITY / 2 + 1, CAPACITY - 1,
                                        CAPACITY };
    static const uint64_t starts[] = { 0, 1, CAPACITY / 2 + 3, CAPACITY - 1, UINT32_MAX - CAPACITY / 4 };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
            check_shed(starts[i], counts[k]);
}

/* ---- an owner against thieves -------------------------------------------------------------------------------- */

/* What is handed over: plain memory, written before the push and by its one taker after. */
struct cell {
    uint64_t number;
    uint32_t taken;
};

struct heist {
    struct skuai_deque *deque;
    struct cell *cells;
    uint64_t count;
    skua_word64 gone; /* cells taken, or shed by the owner */
    pthread_barrier_t start;
};

struct thief {
    struct heist *heist;
    uint32_t max, share;
    uint64_t last; /* number of the newest cell it has had, plus 1 */
};

static void consume(struct heist *heist, uint64_t *last, void *const *items, int count)
{
    for (int i = 0; i < count; i++) {
        struct cell *cell = items[i];
        CHECK(cell == &heist->cells[cell->number]);
        CHECK_EQ(cell->taken++, 0);
        CHECK(cell->number >= *last); /* whoever takes, takes in order */
        *last = cell->number + 1;
    }
    skuai_add_64(&heist->gone, (uint64_t)count, SKUAI_RELEASE);
}

static void *thief_main(void *arg)
{
    struct thief *thief = arg;
    struct heist *heist = thief->heist;
    void *items[CAPACITY];
    pthread_barrier_wait(&heist->start);
    while (skuai_load_64(&heist->gone, SKUAI_ACQUIRE) != heist->count) {
        int count = skuai_deque_take(heist->deque, items, thief->max, thief->share);
        if (count > 0)
            consume(heist, &thief->last, items, count);
        else if (count == 0)
            sched_yield();
    }
    return NULL;
}

static void consume_shed(void *cell, void *heist)
{
    uint64_t any_order = 0;
    consume(heist, &any_order, &cell, 1);
}

/* Pushes all cells; takes some itself. */
static void own(struct heist *heist, uint64_t random)
{
    uint64_t last = 0;
    for (uint64_t i = 0; i < heist->count; i++) {
        struct cell *cell = &heist->cells[i];
        cell->number = i;
        while (!skuai_deque_push(heist->deque, cell, i % 2 ? SKUAI_SEQ_CST : SKUAI_RELEASE))
            skuai_deque_shed(heist->deque, consume_shed, heist);
        void *one;
        if (skuai_random_below(&random, 3) == 0 && skuai_deque_take(heist->deque, &one, 1, 1) == 1)
            consume(heist, &last, &one, 1);
        if (skuai_random_below(&random, 1000) == 0)
            sched_yield();
    }
}

static void run_heist(uint64_t seed, uint64_t from, uint32_t max, uint32_t share)
{
    struct heist heist = { .deque = deque_from(from), .count = test_scaled(100000) };
    heist.cells = calloc(heist.count, sizeof *heist.cells);
    CHECK(heist.cells != NULL);
    CHECK_EQ(pthread_barrier_init(&heist.start, NULL, THIEVES + 1), 0);
    struct thief thieves[THIEVES];
    pthread_t threads[THIEVES];
    for (uint32_t i = 0; i < THIEVES; i++) {
        thieves[i] = (struct thief){ .heist = &heist, .max = max, .share = share };
        CHECK_EQ(pthread_create(&threads[i], NULL, thief_main, &thieves[i]), 0);
    }
    pthread_barrier_wait(&heist.start);
    own(&heist, seed);
    for (uint32_t i = 0; i < THIEVES; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(skuai_deque_count(heist.deque), 0);
    for (uint64_t i = 0; i < heist.count; i++)
        CHECK_EQ(heist.cells[i].taken, 1);
    pthread_barrier_destroy(&heist.start);
    free(heist.cells);
    free(heist.deque);
}

TEST(thieves_take_each_item_once)
{
    run_heist(test_seed(), 0, 1, 1);
    run_heist(test_seed() + 1, UINT32_MAX - 1000, STEAL_MAX, 2);
    run_heist(test_seed() + 2, 0, CAPACITY, 1);
}

/* ---- workers that steal from each other ---------------------------------------------------------------------- */

struct crew {
    struct heist heist;                  /* its deque is not used */
    struct skuai_deque *deques[WORKERS];
};

struct worker {
    struct crew *crew;
    uint32_t index;
};

/* A stolen batch goes to the thief's own deque, which is empty, and may be stolen on. */
static int steal(struct crew *crew, uint32_t self, uint32_t victim)
{
    void *items[STEAL_MAX];
    int count = skuai_deque_take(crew->deques[victim], items, STEAL_MAX, 2);
    if (count > 0)
        skuai_deque_push_many(crew->deques[self], items, (uint32_t)count);
    return count;
}

static void *worker_main(void *arg)
{
    const struct worker *self = arg;
    struct crew *crew = self->crew;
    uint64_t random = test_seed() + self->index, next = 0, any_order;
    pthread_barrier_wait(&crew->heist.start);
    uint64_t mine = self->index == 0 ? crew->heist.count : 0; /* the first makes all the work */
    while (skuai_load_64(&crew->heist.gone, SKUAI_ACQUIRE) != crew->heist.count) {
        void *one;
        while (next < mine && skuai_deque_push(crew->deques[0], &crew->heist.cells[next], SKUAI_SEQ_CST))
            next++;
        int count = skuai_deque_take(crew->deques[self->index], &one, 1, 1);
        any_order = 0;
        if (count == 1)
            consume(&crew->heist, &any_order, &one, 1);
        uint32_t victim = (self->index + 1 + skuai_random_below(&random, WORKERS - 1)) % WORKERS;
        if (count == 0 && steal(crew, self->index, victim) == 0)
            sched_yield();
    }
    return NULL;
}

TEST(workers_steal_from_each_other)
{
    struct crew crew = { .heist = { .count = test_scaled(100000) } };
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    crew.heist.cells = calloc(crew.heist.count, sizeof *crew.heist.cells);
    CHECK(crew.heist.cells != NULL);
    CHECK_EQ(pthread_barrier_init(&crew.heist.start, NULL, WORKERS), 0);
    for (uint64_t i = 0; i < crew.heist.count; i++)
        crew.heist.cells[i].number = i;
    for (uint32_t i = 0; i < WORKERS; i++)
        crew.deques[i] = deque_from(UINT32_MAX - 100 * i);
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ &crew, i };
        CHECK_EQ(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (uint64_t i = 0; i < crew.heist.count; i++)
        CHECK_EQ(crew.heist.cells[i].taken, 1);
    for (uint32_t i = 0; i < WORKERS; i++) {
        CHECK_EQ(skuai_deque_count(crew.deques[i]), 0);
        free(crew.deques[i]);
    }
    pthread_barrier_destroy(&crew.heist.start);
    free(crew.heist.cells);
}
