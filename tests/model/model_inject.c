/* The injection queue (sched/inject.c, I1 … I3): producers with single tasks and batches, consumers that take turns. No
 * task is lost or taken twice; a producer's tasks come out in its order, with what it wrote; a gap is BUSY and not
 * empty; a task that was taken is nobody else's (mc_free: no late link is stored into it); the stub comes and goes.
 */
/* model-sources: sched/inject.c */
#include <string.h>

#include "model/mc.h"
#include "sched/inject.h"

enum { TASKS = 4, PRODUCERS = 2 };

static struct skuai_inject inject;
static skua_task tasks[TASKS]; /* 0 and 1 are the first producer's, 2 and 3 the second's */
static unsigned takes[TASKS];
static unsigned pushed, returned; /* the truth, but for pushes and takes that are under way */
static skua_word32 done[PRODUCERS], asleep;
static bool saw_sleeper, saw_nothing;

/* ---- producers ---- */

static void push(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        SKUAI_WRITE(tasks[i].result, (int64_t)i + 1);
    for (unsigned i = first; i + 1 < first + count; i++)
        skuai_store_ptr(&tasks[i].next, &tasks[i + 1], SKUAI_RELAXED);
    skuai_inject_push(&inject, &tasks[first], &tasks[first + count - 1], count);
    pushed += count;
}

static void producer(void *arg) /* of two */
{
    unsigned first = (unsigned)(uintptr_t)arg;
    push(first, 1);
    push(first + 1, 1);
}
static void batch_producer(void *arg) { push((unsigned)(uintptr_t)arg, 2); }
static void small_producer(void *arg) { push((unsigned)(uintptr_t)arg, 1); }

/* ---- consumers ---- */

static void taken(skua_task *task, unsigned *newest)
{
    unsigned i = (unsigned)(task - tasks), producer_of = i / 2;
    mc_assert(task >= tasks && i < TASKS, "what was taken is no task");
    mc_assert(takes[i]++ == 0, "a task was taken twice");
    mc_assert(SKUAI_READ(task->result) == (int64_t)i + 1, "the task's content was lost");
    mc_assert(i + 1 > newest[producer_of], "not in the producer's order");
    newest[producer_of] = i + 1;
    mc_free(task, sizeof *task); /* its run may end at once */
}

static int take(uint32_t max, unsigned *newest)
{
    skua_task *got[TASKS];
    int count = skuai_inject_take(&inject, got, max);
    for (int i = 0; i < count; i++)
        taken(got[i], newest);
    returned += count > 0 ? (unsigned)count : 0;
    return count;
}

static void consumer(void *arg)
{
    unsigned newest[PRODUCERS] = {0};
    uint32_t max = (uint32_t)(uintptr_t)arg;
    take(max, newest);
    take(max, newest);
}
/* Until it has all. */
static void patient_consumer(void *arg)
{
    unsigned newest[PRODUCERS] = {0}, count = (unsigned)(uintptr_t)arg;
    while (returned < count)
        if (take(TASKS, newest) <= 0)
            skuai_pause();
}

static void reset(void)
{
    memset(&inject, 0xdd, sizeof inject); /* initialization sets all that it goes by */
    memset(tasks, 0, sizeof tasks);
    memset(takes, 0, sizeof takes);
    memset(done, 0, sizeof done);
    asleep.raw = 0;
    pushed = returned = 0;
    saw_sleeper = saw_nothing = false;
    skuai_inject_init(&inject);
    mc_name(&inject.newest, "newest");
    mc_name(&inject.pushed, "pushed");
    mc_name(&inject.taking, "taking");
    mc_name(&inject.taken, "taken");
    mc_name(&inject.oldest, "oldest");
    mc_name(&inject.stub.next, "stub.next");
    for (unsigned i = 0; i < TASKS; i++) {
        mc_name(&tasks[i].next, "task%u.next", i + 1);
        mc_name(&tasks[i].result, "task%u.result", i + 1);
    }
}

/* All that was pushed comes out now, in one go: there are no gaps left. */
static void finish(void)
{
    unsigned newest[PRODUCERS] = {0}, left = pushed - returned;
    if (left > 0) {
        mc_assert(!skuai_inject_is_empty(&inject), "empty with tasks in it");
        mc_assert(take(TASKS, newest) == (int)left, "a task was lost");
    }
    mc_assert(skuai_inject_is_empty(&inject), "not empty with nothing in it");
    mc_assert(take(1, newest) == 0, "a task from nowhere");
}

static void one_each_setup(void)
{
    reset();
    mc_thread(producer, (void *)0);
    mc_thread(consumer, (void *)TASKS);
}
MC_TEST(one_each, .setup = one_each_setup, .finish = finish, .bound = 4);

static void producers_setup(void)
{
    reset();
    mc_thread(producer, (void *)0);
    mc_thread(small_producer, (void *)2);
    mc_thread(consumer, (void *)TASKS);
}
MC_TEST(producers, .setup = producers_setup, .finish = finish);

static void batches_setup(void)
{
    reset();
    mc_thread(batch_producer, (void *)0);
    mc_thread(batch_producer, (void *)2);
    mc_thread(consumer, (void *)1);
}
MC_TEST(batches, .setup = batches_setup, .finish = finish);

static void consumers_setup(void)
{
    reset();
    mc_thread(producer, (void *)0);
    mc_thread(consumer, (void *)1);
    mc_thread(consumer, (void *)2);
}
MC_TEST(consumers, .setup = consumers_setup, .finish = finish);

static void two_and_two_setup(void)
{
    reset();
    mc_thread(batch_producer, (void *)0);
    mc_thread(small_producer, (void *)2);
    mc_thread(consumer, (void *)1);
    mc_thread(consumer, (void *)2);
}
MC_TEST(two_and_two, .setup = two_and_two_setup, .finish = finish, .stale = 2);

/* A task's link is cleared by its producer and set by the next one, or by the consumer for the stub; here the stores
 * may also take effect the other way round, as far as the exchange of `newest` lets them. */
static void links_setup(void)
{
    reset();
    mc_thread(small_producer, (void *)0);
    mc_thread(small_producer, (void *)2);
}
static void stub_links_setup(void)
{
    reset();
    mc_thread(producer, (void *)0);
    mc_thread(consumer, (void *)1);
}
MC_TEST(links, .setup = links_setup, .finish = finish, .bound = MC_UNBOUNDED, .reorder_stores = true);
MC_TEST(stub_links, .setup = stub_links_setup, .finish = finish, .reorder_stores = true);

/* Who comes again on 0 and BUSY gets all in the end. */
static void patient_setup(void)
{
    reset();
    mc_thread(small_producer, (void *)0);
    mc_thread(small_producer, (void *)2);
    mc_thread(patient_consumer, (void *)2);
}
MC_TEST(patient, .setup = patient_setup, .finish = finish);

/* ---- empty or not ---- */

static void telling_producer(void *arg)
{
    uintptr_t who = (uintptr_t)arg;
    push((unsigned)who * 2, 1);
    skuai_store_32(&done[who], 1, SKUAI_RELEASE);
}
/* Another producer may be in its gap before the task, a consumer may have taken the other's: it is not empty. */
static void looker(void *arg)
{
    (void)arg;
    if (skuai_load_32(&done[0], SKUAI_ACQUIRE) == 0 || skuai_load_32(&done[1], SKUAI_ACQUIRE) == 0)
        return;
    mc_assert(!skuai_inject_is_empty(&inject), "two were pushed and one may be taken, and it is said to be empty");
}
static void taker_of_one(void *arg)
{
    unsigned newest[PRODUCERS] = {0};
    (void)arg;
    take(1, newest);
}
static void not_empty_setup(void)
{
    reset();
    mc_thread(telling_producer, (void *)0);
    mc_thread(telling_producer, (void *)1);
    mc_thread(taker_of_one, NULL);
    mc_thread(looker, NULL);
}
MC_TEST(not_empty, .setup = not_empty_setup, .finish = finish, .stale = 2);

/* A finished push behind another's gap: take may say BUSY, not 0. */
static void sure_consumer(void *arg)
{
    unsigned newest[PRODUCERS] = {0};
    (void)arg;
    if (skuai_load_32(&done[0], SKUAI_ACQUIRE) != 0)
        mc_assert(take(1, newest) != 0, "a finished push is there, and take says empty");
}
static void busy_setup(void)
{
    reset();
    mc_thread(telling_producer, (void *)0);
    mc_thread(telling_producer, (void *)1);
    mc_thread(sure_consumer, NULL);
}
MC_TEST(busy, .setup = busy_setup, .finish = finish, .bound = 3);

/* Two are there and each consumer takes at most one, so neither is told that it is empty: the lock is BUSY, too. */
static void two_there_setup(void)
{
    reset();
    push(0, 2);
    done[0].raw = 1;
    mc_thread(sure_consumer, NULL);
    mc_thread(sure_consumer, NULL);
}
MC_TEST(two_there, .setup = two_there_setup, .finish = finish, .bound = MC_UNBOUNDED);

/* ---- the sleeper's look (idle.h, P1 and P2) ---- */

static void pusher(void *arg)
{
    (void)arg;
    push(0, 1);
    saw_sleeper = skuai_load_32(&asleep, SKUAI_SEQ_CST) != 0;
}
static void sleeper(void *arg)
{
    (void)arg;
    skuai_store_32(&asleep, 1, SKUAI_SEQ_CST);
    saw_nothing = skuai_inject_is_empty(&inject);
}
static void look_setup(void) { reset(); mc_thread(pusher, NULL); mc_thread(sleeper, NULL); }
/* Another's task may come before, behind or instead of the pusher's, and be taken. */
static void look_past_setup(void)
{
    look_setup();
    mc_thread(small_producer, (void *)2);
    mc_thread(taker_of_one, NULL);
}
static void look_finish(void)
{
    if (!saw_sleeper && saw_nothing)
        mc_assert(takes[0] == 1, "neither has seen the other, and the task lies there");
}
MC_TEST(look, .setup = look_setup, .finish = look_finish, .bound = MC_UNBOUNDED);
MC_TEST(look_past, .setup = look_past_setup, .finish = look_finish, .stale = 2);
