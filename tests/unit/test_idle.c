/* Who sleeps and whom to wake: the steps of idle.h by hand, then workers and producers on threads with the whole
 * protocol around a bag of work: none is left lying while all sleep.
 */
#include "sched/idle.h"

#include <pthread.h>
#include <sched.h>

#include "sched/env.h"
#include "support/test.h"

enum { WORKERS = 4, PRODUCERS = 2 };

struct house {
    struct skuai_idle idle;
    uint32_t stack[WORKERS];
    skua_word64 timer_next;
};

static void house_init(struct house *house)
{
    skuai_idle_init(&house->idle, WORKERS, house->stack);
    skuai_store_64(&house->timer_next, SKUA_NEVER, SKUAI_RELAXED);
}

static void settle(struct house *house, uint32_t worker, bool searching)
{
    skuai_idle_settle(&house->idle, worker, searching, &house->timer_next);
}

static uint64_t sleep_until(struct house *house, uint32_t worker)
{
    return skuai_idle_sleep_until(&house->idle, worker, &house->timer_next);
}

static void set_timer(struct house *house, uint64_t to_ns) { skuai_store_64(&house->timer_next, to_ns, SKUAI_RELAXED); }

static void expect_counts(const struct house *house, uint32_t sleeping, uint32_t searching)
{
    uint64_t counts = skuai_load_64(&house->idle.counts, SKUAI_RELAXED);
    CHECK_EQ((uint32_t)counts, sleeping);
    CHECK_EQ(counts >> 32, searching);
    CHECK_EQ(skuai_idle_sleeping(&house->idle), sleeping);
    CHECK_EQ(house->idle.depth, sleeping);
}

TEST(at_most_half_of_the_awake_search)
{
    struct house house;
    house_init(&house);
    expect_counts(&house, 0, 0);
    CHECK(skuai_idle_search(&house.idle));
    CHECK(skuai_idle_search(&house.idle));
    CHECK(!skuai_idle_search(&house.idle)); /* two of four */
    expect_counts(&house, 0, 2);
    settle(&house, 0, true);
    settle(&house, 1, true);
    expect_counts(&house, 2, 0);
    CHECK(skuai_idle_search(&house.idle));
    CHECK(!skuai_idle_search(&house.idle)); /* one of two */
    settle(&house, 2, true);
    CHECK(skuai_idle_search(&house.idle)); /* the only one awake may */
    settle(&house, 3, true);
    CHECK(!skuai_idle_search(&house.idle));
    expect_counts(&house, 4, 0);
}

TEST(who_finds_work_searches_no_more)
{
    struct house house;
    house_init(&house);
    CHECK(skuai_idle_search(&house.idle));
    CHECK(skuai_idle_search(&house.idle));
    skuai_idle_found(&house.idle);
    expect_counts(&house, 0, 1);
    skuai_idle_found(&house.idle);
    expect_counts(&house, 0, 0);
}

TEST(nobody_is_picked_while_somebody_searches)
{
    struct house house;
    house_init(&house);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), SKUAI_IDLE_NOBODY); /* nobody sleeps */
    settle(&house, 0, false);
    settle(&house, 1, false);
    CHECK(skuai_idle_search(&house.idle));
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), SKUAI_IDLE_NOBODY);
    skuai_idle_found(&house.idle);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 1);
    expect_counts(&house, 1, 1);                               /* the picked one searches */
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), SKUAI_IDLE_NOBODY); /* one at a time */
    CHECK(!skuai_idle_leave(&house.idle, 1));                  /* P4: it had been picked, and counts already */
    skuai_idle_found(&house.idle);
    expect_counts(&house, 1, 0);
}

static uint32_t woken_at_once(uint32_t awake, enum skuai_idle_part part)
{
    enum { MANY = 16 };
    struct skuai_idle idle;
    uint32_t stack[MANY], woken = 0;
    skua_word64 timer_next;
    skuai_store_64(&timer_next, SKUA_NEVER, SKUAI_RELAXED);
    skuai_idle_init(&idle, MANY, stack);
    for (uint32_t i = awake; i < MANY; i++)
        skuai_idle_settle(&idle, i, false, &timer_next);
    while (skuai_idle_pick(&idle, part) != SKUAI_IDLE_NOBODY)
        woken++;
    return woken;
}
TEST(the_more_are_awake_the_more_are_woken_at_once)
{
    CHECK_EQ(woken_at_once(0, SKUAI_IDLE_QUARTER), 1);
    CHECK_EQ(woken_at_once(3, SKUAI_IDLE_QUARTER), 1);
    CHECK_EQ(woken_at_once(8, SKUAI_IDLE_QUARTER), 3); /* 2 of 10 are not a quarter, 3 of 11 are */
    CHECK_EQ(woken_at_once(0, SKUAI_IDLE_HALF), 1);
    CHECK_EQ(woken_at_once(3, SKUAI_IDLE_HALF), 3); /* 3 of 6 */
}

TEST(the_last_to_settle_is_woken_first_and_the_timekeeper_last)
{
    struct house house;
    house_init(&house);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), SKUAI_IDLE_NOBODY);
    for (uint32_t i = 0; i < WORKERS; i++)
        settle(&house, i, false);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 0); /* the first; nobody's timers were sooner */
    static const uint32_t order[] = { 3, 2, 1, 0 };
    for (int i = 0; i < WORKERS; i++) {
        CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), order[i]);
        skuai_idle_found(&house.idle);
    }
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), SKUAI_IDLE_NOBODY);
    expect_counts(&house, 0, 0);
    set_timer(&house, 500);
    settle(&house, 2, false);
    settle(&house, 0, false);
    set_timer(&house, 400);
    settle(&house, 1, false);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 1); /* on top of the stack, and kept there */
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 0);
    skuai_idle_found(&house.idle);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 2);
    skuai_idle_found(&house.idle);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 1);
}

TEST(the_timekeeper_sleeps_until_the_next_timer)
{
    struct house house;
    house_init(&house);
    set_timer(&house, 1000);
    settle(&house, 0, false);
    settle(&house, 1, false);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 0);
    CHECK_EQ(sleep_until(&house, 0), 1000);
    CHECK_EQ(sleep_until(&house, 1), SKUA_NEVER);
    set_timer(&house, 300); /* lowered by one that is awake, … */
    settle(&house, 2, false); /* … which takes the role over */
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 2);
    CHECK_EQ(sleep_until(&house, 2), 300);
    CHECK_EQ(sleep_until(&house, 0), SKUA_NEVER);
    settle(&house, 3, false); /* as soon is not sooner */
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 2);
    set_timer(&house, 2000); /* raised: the timekeeper's next answer is what later settlers go by */
    CHECK_EQ(sleep_until(&house, 2), 2000);
    CHECK(skuai_idle_leave(&house.idle, 3));
    set_timer(&house, 1500);
    settle(&house, 3, false);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 3);
}

TEST(leaving_by_oneself)
{
    struct house house;
    house_init(&house);
    for (uint32_t i = 0; i < WORKERS; i++)
        settle(&house, i, false);
    CHECK(skuai_idle_leave(&house.idle, 1)); /* from the middle */
    CHECK(!skuai_idle_leave(&house.idle, 1));
    expect_counts(&house, 3, 0);
    CHECK(skuai_idle_leave(&house.idle, 0)); /* the timekeeper: the role is free */
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), SKUAI_IDLE_NOBODY);
    expect_counts(&house, 2, 0);
    CHECK_EQ(sleep_until(&house, 2), SKUA_NEVER);
    settle(&house, 0, false);
    CHECK_EQ(skuai_idle_timekeeper(&house.idle), 0);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 3);
    skuai_idle_found(&house.idle);
    CHECK_EQ(skuai_idle_pick(&house.idle, SKUAI_IDLE_QUARTER), 2);
}

/* ---- the whole protocol -------------------------------------------------------------------------------------- */

struct factory {
    struct house house;
    skua_word64 bag, made, done; /* work: in sight; ever made; ever done */
    skua_word32 closed;
    uint64_t each; /* by each producer */
    struct skuai_parker parkers[WORKERS];
};

struct hand {
    struct factory *factory;
    uint32_t index;
};

static void wake_one(struct factory *factory)
{
    uint32_t picked = skuai_idle_pick(&factory->house.idle, SKUAI_IDLE_QUARTER);
    if (picked != SKUAI_IDLE_NOBODY)
        skuai_unpark_real(&factory->parkers[picked]);
}

static bool take_work(struct factory *factory)
{
    uint64_t seen = skuai_load_64(&factory->bag, SKUAI_SEQ_CST); /* P2's second look, and every other */
    while (seen != 0)
        if (skuai_cas_64(&factory->bag, &seen, seen - 1, SKUAI_SEQ_CST))
            return true;
    return false;
}

/* As worker.c's: enters the set, looks once more, sleeps. Whether the worker counts as searching afterwards. */
static bool sleep_until_needed(struct factory *factory, uint32_t worker, bool searching)
{
    settle(&factory->house, worker, searching);
    if (skuai_load_64(&factory->bag, SKUAI_SEQ_CST) == 0 && skuai_load_32(&factory->closed, SKUAI_SEQ_CST) == 0)
        while (!skuai_park_real(&factory->parkers[worker], sleep_until(&factory->house, worker)))
            ;
    return !skuai_idle_leave(&factory->house.idle, worker);
}

static void *worker_main(void *arg)
{
    const struct hand *self = arg;
    struct factory *factory = self->factory;
    bool searching = false;
    for (;;) {
        if (!searching)
            searching = skuai_idle_search(&factory->house.idle);
        if (take_work(factory)) {
            if (searching) { /* P3 */
                skuai_idle_found(&factory->house.idle);
                wake_one(factory);
            }
            searching = false;
            skuai_add_64(&factory->done, 1, SKUAI_RELEASE);
            continue;
        }
        if (skuai_load_32(&factory->closed, SKUAI_SEQ_CST) != 0)
            break;
        searching = sleep_until_needed(factory, self->index, searching);
    }
    if (searching)
        skuai_idle_found(&factory->house.idle);
    return NULL;
}

/* Makes work in spurts, and now and then waits until all of it is done: that is where a lost wake shows. */
static void *producer_main(void *arg)
{
    const struct hand *self = arg;
    struct factory *factory = self->factory;
    uint64_t random = test_seed() + self->index;
    for (uint64_t i = 0; i < factory->each; i++) {
        skuai_add_64(&factory->made, 1, SKUAI_RELAXED);
        skuai_add_64(&factory->bag, 1, SKUAI_SEQ_CST); /* P1 */
        wake_one(factory);
        if (skuai_random_below(&random, 4) != 0)
            continue;
        uint64_t made = skuai_load_64(&factory->made, SKUAI_RELAXED);
        while (skuai_load_64(&factory->done, SKUAI_ACQUIRE) < made)
            sched_yield();
    }
    return NULL;
}

TEST(no_work_is_left_lying_while_all_sleep)
{
    struct factory factory = { .each = test_scaled(10000) };
    struct hand hands[WORKERS + PRODUCERS];
    pthread_t threads[WORKERS + PRODUCERS];
    house_init(&factory.house);
    for (uint32_t i = 0; i < WORKERS + PRODUCERS; i++) {
        hands[i] = (struct hand){ &factory, i < WORKERS ? i : i - WORKERS };
        CHECK_EQ(pthread_create(&threads[i], NULL, i < WORKERS ? worker_main : producer_main, &hands[i]), 0);
    }
    for (uint32_t i = WORKERS; i < WORKERS + PRODUCERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    while (skuai_load_64(&factory.done, SKUAI_ACQUIRE) != PRODUCERS * factory.each)
        sched_yield();
    skuai_store_32(&factory.closed, 1, SKUAI_SEQ_CST);
    for (uint32_t i = 0; i < WORKERS; i++)
        skuai_unpark_real(&factory.parkers[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    expect_counts(&factory.house, 0, 0);
    CHECK_EQ(skuai_idle_timekeeper(&factory.house.idle), SKUAI_IDLE_NOBODY);
    CHECK_EQ(factory.bag.raw, 0);
}
