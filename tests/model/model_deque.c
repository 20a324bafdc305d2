/* The run queue (sched/deque.c, D1 and D2) with room for two: an owner that pushes, sheds and takes, thieves that take
 * one or a batch. Each item is taken exactly once, oldest first, with what its pusher wrote; a sleeper's count does not
 * miss a push that did not see the sleeper.
 */
/* model-sources: sched/deque.c */
/* model-defines: SKUAI_DEQUE_CAPACITY=2u */
#include <string.h>

#include "model/mc.h"
#include "sched/deque.h"

enum { ITEMS = 8, CAPACITY = SKUAI_DEQUE_CAPACITY };

static struct skuai_deque deque;
static struct item {
    unsigned number;  /* plain: the pusher's, then the taker's */
    unsigned takes;   /* the truth */
} items[ITEMS];
static unsigned made; /* how many the owner has pushed */
static skua_word32 asleep;
static bool saw_sleeper, saw_nothing;

static struct item *make(void)
{
    struct item *item = &items[made++];
    SKUAI_WRITE(item->number, made);
    return item;
}

static unsigned taken(void *pointer)
{
    struct item *item = pointer;
    mc_assert(item >= items && item < items + ITEMS, "what was taken is no item");
    mc_assert(item->takes++ == 0, "an item was taken twice");
    unsigned number = SKUAI_READ(item->number);
    SKUAI_WRITE(item->number, 0);
    mc_assert(number == (unsigned)(item - items) + 1, "the item's content was lost");
    return number;
}

/* One take; the newest number that it got, so that a taker can tell the order. */
static int take(uint32_t max, uint32_t share, unsigned *newest)
{
    void *got[CAPACITY] = {NULL};
    int count = skuai_deque_take(&deque, got, max, share);
    mc_assert(count <= (int)max && count >= -1, "more than there was room for");
    for (int i = 0; i < count; i++) {
        unsigned number = taken(got[i]);
        mc_assert(number > *newest, "not in the order of the pushes");
        *newest = number;
    }
    return count;
}

/* ---- the owner ---- */

static void run_shed(void *item, void *newest)
{
    unsigned number = taken(item);
    mc_assert(number < *(unsigned *)newest, "shed, and not the newest first");
    *(unsigned *)newest = number;
}

static void push(void)
{
    struct item *item = make();
    if (skuai_deque_push(&deque, item, SKUAI_RELEASE))
        return;
    /* Full: sheds as schedule.c does; the newer half is run at once here. */
    unsigned newest = item->number;
    skuai_deque_shed(&deque, run_shed, &newest);
    taken(item);
}

static void owner_pushes(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        push();
}

static void owner_takes(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    push();
    push();
    while (take(1, 1, &newest) < 0) /* as worker.c's take_from() */
        ;
    push();
    push();
    while (take(1, 1, &newest) < 0)
        ;
}

/* What has been taken is room again, though `seen_top` is old. */
static void owner_refills(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    push();
    push();
    while (take(CAPACITY, 1, &newest) != 0)
        ;
    for (int i = 0; i < CAPACITY; i++)
        mc_assert(skuai_deque_push(&deque, make(), SKUAI_RELEASE), "full, and all has been taken");
}

static void owner_batch(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    for (int round = 0; round < 2; round++) {
        void *batch[2] = {make(), make()};
        skuai_deque_push_many(&deque, batch, 2);
        while (take(1, 1, &newest) != 0)
            ;
    }
}

/* ---- thieves ---- */

static void thief(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    take(1, 1, &newest);
    take(1, 1, &newest);
}
static void thief_half(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    take(CAPACITY, 2, &newest);
    take(CAPACITY, 2, &newest);
}
static void thief_all(void *arg)
{
    unsigned newest = 0;
    (void)arg;
    take(CAPACITY, 1, &newest);
    take(CAPACITY, 1, &newest);
}

static void reset(void)
{
    memset(&deque, 0, sizeof deque);
    memset(items, 0, sizeof items);
    made = 0;
    asleep.raw = 0;
    saw_sleeper = saw_nothing = false;
    mc_name(&deque.top, "top");
    mc_name(&deque.bottom, "bottom");
    mc_name(&asleep, "asleep");
    for (unsigned i = 0; i < CAPACITY; i++)
        mc_name(&deque.slots[i], "slot %u", i);
    for (unsigned i = 0; i < ITEMS; i++)
        mc_name(&items[i].number, "item %u", i + 1);
}

static void finish(void)
{
    unsigned newest = 0;
    while (take(1, 1, &newest) != 0)
        ;
    for (unsigned i = 0; i < made; i++)
        mc_assert(items[i].takes == 1, "an item was lost");
}

static void one_thief_setup(void) { reset(); mc_thread(owner_takes, NULL); mc_thread(thief, NULL); }
MC_TEST(one_thief, .setup = one_thief_setup, .finish = finish, .bound = 3);

static void refills_setup(void) { reset(); mc_thread(owner_refills, NULL); mc_thread(thief, NULL); }
MC_TEST(refills, .setup = refills_setup, .finish = finish, .bound = 3);

static void two_thieves_setup(void)
{
    reset();
    mc_thread(owner_takes, NULL);
    mc_thread(thief, NULL);
    mc_thread(thief, NULL);
}
MC_TEST(two_thieves, .setup = two_thieves_setup, .finish = finish, .stale = 1);

static void sheds_setup(void) { reset(); mc_thread(owner_pushes, NULL); mc_thread(thief, NULL); }
MC_TEST(sheds, .setup = sheds_setup, .finish = finish, .bound = 3);

static void sheds_batches_setup(void)
{
    reset();
    mc_thread(owner_pushes, NULL);
    mc_thread(thief_half, NULL);
    mc_thread(thief_all, NULL);
}
MC_TEST(sheds_batches, .setup = sheds_batches_setup, .finish = finish, .stale = 1);

static void batches_setup(void)
{
    reset();
    mc_thread(owner_batch, NULL);
    mc_thread(thief_all, NULL);
    mc_thread(thief, NULL);
}
MC_TEST(batches, .setup = batches_setup, .finish = finish, .stale = 1);

/* ---- the sleeper's look (idle.h, P1 and P2) ---- */

static void pusher_looks(enum skuai_order order, bool many)
{
    void *item = make();
    if (many)
        skuai_deque_push_many(&deque, &item, 1);
    else
        skuai_deque_push(&deque, item, order);
    saw_sleeper = skuai_load_32(&asleep, SKUAI_SEQ_CST) != 0;
}
static void pusher(void *arg) { (void)arg; pusher_looks(SKUAI_SEQ_CST, false); }
static void pusher_of_many(void *arg) { (void)arg; pusher_looks(SKUAI_SEQ_CST, true); }
static void quiet_pusher(void *arg) { (void)arg; pusher_looks(SKUAI_RELEASE, false); }
/* What stays is out of sight between the claim and its publication. */
static void shedder(void *arg)
{
    unsigned newest = made + 1;
    (void)arg;
    skuai_deque_shed(&deque, run_shed, &newest);
    saw_sleeper = skuai_load_32(&asleep, SKUAI_SEQ_CST) != 0;
}
static void sleeper(void *arg)
{
    (void)arg;
    skuai_store_32(&asleep, 1, SKUAI_SEQ_CST);
    saw_nothing = skuai_deque_count(&deque) == 0;
}

/* What was pushed before and taken by a thief, so that top and bottom have a past. */
static void look_setup(void (*by)(void *))
{
    unsigned newest = 0;
    reset();
    push();
    take(1, 1, &newest);
    mc_thread_named("pusher", by, NULL);
    mc_thread(sleeper, NULL);
}
static void look_finish(void) { mc_assert(saw_sleeper || !saw_nothing, "neither has seen the other"); }
static void look_push_setup(void) { look_setup(pusher); }
static void look_push_many_setup(void) { look_setup(pusher_of_many); }
static void look_quiet_setup(void) { look_setup(quiet_pusher); }
static void look_shed_setup(void)
{
    reset();
    push();
    push();
    mc_thread(shedder, NULL);
    mc_thread(sleeper, NULL);
}
MC_TEST(look_push, .setup = look_push_setup, .finish = look_finish, .bound = MC_UNBOUNDED);
MC_TEST(look_push_many, .setup = look_push_many_setup, .finish = look_finish, .bound = MC_UNBOUNDED);
MC_TEST(look_shed, .setup = look_shed_setup, .finish = look_finish, .bound = MC_UNBOUNDED);
/* A push that only releases may be missed: who pushes so must not rely on the sleeper. */
MC_TEST_MUST_FAIL(look_quiet, "neither has seen the other", .setup = look_quiet_setup, .finish = look_finish);
