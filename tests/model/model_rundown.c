/* Run-down protection (sched/rundown.h, R1 … R4): nobody touches the thing after its owner has taken it away. */
/* model-sources: */
#include <string.h>

#include "model/mc.h"
#include "sched/rundown.h"

static struct skuai_rundown rundown;
static skua_word32 open, done;
static int thing;
static unsigned used;

static void user(void *arg)
{
    (void)arg;
    skuai_rundown_enter(&rundown);
    if (skuai_load_32(&open, SKUAI_SEQ_CST) != 0) {
        (void)SKUAI_READ(thing);
        used++;
    }
    skuai_rundown_leave(&rundown);
}
static void take_away(void)
{
    while (!skuai_rundown_is_over(&rundown))
        mc_yield();
    mc_free(&thing, sizeof thing);
}
static void owner(void *arg)
{
    (void)arg;
    skuai_store_32(&open, 0, SKUAI_SEQ_CST);
    take_away();
}

/* Whoever finishes what the owner waits for, and uses the thing after that. */
static void user_ahead(void *arg)
{
    (void)arg;
    skuai_rundown_enter_ahead(&rundown);
    skuai_add_32(&done, 1, SKUAI_RELEASE);
    (void)SKUAI_READ(thing);
    skuai_rundown_leave(&rundown);
}
static void owner_after(void *arg)
{
    while (skuai_load_32(&done, SKUAI_ACQUIRE) != (unsigned)(uintptr_t)arg)
        mc_yield();
    take_away();
}

static void reset(void)
{
    memset(&rundown, 0, sizeof rundown);
    open.raw = 1;
    done.raw = used = 0;
    mc_alloc(&thing, sizeof thing);
    mc_name(&rundown.users, "users");
    mc_name(&open, "open");
    mc_name(&done, "done");
    mc_name(&thing, "thing");
}
static void closes_setup(void)
{
    reset();
    mc_thread(owner, NULL);
    mc_thread(user, NULL);
    mc_thread(user, NULL);
}
MC_TEST(closes, .setup = closes_setup, .bound = 4);

static void ahead_setup(void)
{
    reset();
    mc_thread(owner_after, (void *)2);
    mc_thread(user_ahead, NULL);
    mc_thread(user_ahead, NULL);
}
MC_TEST(ahead, .setup = ahead_setup, .bound = 4);

/* The checker sees it if nobody counts. */
static void careless(void *arg)
{
    (void)arg;
    if (skuai_load_32(&open, SKUAI_SEQ_CST) != 0)
        (void)SKUAI_READ(thing);
}
static void careless_setup(void)
{
    reset();
    mc_thread(owner, NULL);
    mc_thread(careless, NULL);
}
MC_TEST_MUST_FAIL(careless, "race on", .setup = careless_setup);
