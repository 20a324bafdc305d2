/* Notifications (sync/notify.c, N1 … N3): one that is for one gets to exactly one, or is kept; whoever is cancelled
 * meanwhile. Who looks after he has started to wait misses nothing.
 */
/* model-sources: sched/op.c sync/notify.c */
#include "model/waits.h"
#include "skua/notify.h"

static skua_notify notify, other;
static struct { skua_op ops[2]; struct skuai_select word; } mine[3];
static int64_t got[3];
static int value;              /* plain: what a notification is about */
static skua_word32 condition;

static int64_t wait_once(unsigned i, enum waits_how how)
{
    mc_alloc(&mine[i], sizeof mine[i]);
    got[i] = waits_for(skua_notify_wait_prepare(&mine[i].ops[0], &notify), how);
    mc_free(&mine[i], sizeof mine[i]);
    return got[i];
}

static void reset(void)
{
    memset(mine, 0, sizeof mine);
    skua_notify_init(&notify);
    skua_notify_init(&other);
    value = 0;
    condition.raw = 0;
    for (unsigned i = 0; i < 3; i++) {
        got[i] = 1;
        mine[i].word.number = i + 1;
        mc_name(&mine[i].ops[0].state, "op%u.state", i);
    }
    mc_name(&notify.lock, "lock");
    mc_name(&notify.kept, "kept");
    mc_name(&condition, "condition");
}

static bool is_kept(skua_notify *n) { return skua_notify_try_wait(n) == 0; }

static void one(void *arg)
{
    (void)arg;
    SKUAI_WRITE(value, 1);
    skua_notify_one(&notify);
}
static void one_of_other(void *arg)
{
    (void)arg;
    skua_notify_one(&other);
}
static void straight(void *arg)
{
    (void)arg;
    got[0] = skua_notify_wait(&notify);
    mc_assert(SKUAI_READ(value) == 1, "what was done before is not seen");
}
static void impatient(void *arg) { wait_once((unsigned)(uintptr_t)arg, WAITS_OR_IS_CANCELED); }

static void one_setup(void)
{
    reset();
    mc_thread(one, NULL);
    mc_thread(straight, NULL);
}
static void one_finish(void) { mc_assert(!is_kept(&notify), "got and kept"); }
MC_TEST(one_waiter, .setup = one_setup, .finish = one_finish, .bound = MC_UNBOUNDED);

/* Who was notified may free it. */
static void waits_and_frees(void *arg)
{
    (void)arg;
    mc_assert(wait_once(0, WAITS_ON) == 0 && SKUAI_READ(value) == 1, "what was done before is not seen");
    mc_free(&notify, sizeof notify);
}
static void freed_setup(void)
{
    reset();
    mc_thread(one, NULL);
    mc_thread(waits_and_frees, NULL);
}
MC_TEST(freed_by_who_was_notified, .setup = freed_setup, .bound = 4, .max_executions = 300000);

static void canceled_setup(void)
{
    reset();
    mc_thread(one, NULL);
    mc_thread(impatient, (void *)0);
    mc_thread(impatient, (void *)1);
    mc_allow_blocked(2);
    mc_allow_blocked(3);
}
static void canceled_finish(void)
{
    int taken = (got[0] == 0) + (got[1] == 0);
    mc_assert(taken + is_kept(&notify) == 1, "a notification was lost, or doubled");
    mc_assert(taken == 1 || (!mc_is_blocked(2) && !mc_is_blocked(3)), "it is kept, and somebody waits");
    mc_assert(notify.waiters.first == NULL || taken == 1, "somebody is linked for ever");
}
MC_TEST(canceled, .setup = canceled_setup, .finish = canceled_finish, .stale = 3, .max_executions = 400000);

/* By starts, tries and calls. */
static void takes(unsigned i, int64_t result)
{
    got[i] = result;
    mc_assert(result == 0 || result == -ECANCELED || result == -EAGAIN, "another result");
    if (result == 0)
        mc_assert(SKUAI_READ(value) == 1, "what was done before is not seen");
}
static void starts_to_wait(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    int64_t result = waits_started(skua_notify_wait_start(&mine[i].ops[0], &notify));
    mc_free(&mine[i], sizeof mine[i]);
    takes(i, result);
}
static void tries(void *arg) { takes((unsigned)(uintptr_t)arg, skua_notify_try_wait(&notify)); }
static void until(void *arg) { takes((unsigned)(uintptr_t)arg, skua_notify_wait_until(&notify, 1)); }
static void started_setup(void)
{
    reset();
    mc_thread(one, NULL);
    mc_allow_blocked(mc_thread(starts_to_wait, (void *)0));
    mc_thread(tries, (void *)1);
    mc_allow_blocked(mc_thread(until, (void *)2));
}
static void started_finish(void)
{
    bool kept = is_kept(&notify);
    mc_assert((got[0] == 0) + (got[1] == 0) + (got[2] == 0) + kept == 1, "a notification was lost, or doubled");
    mc_assert((!mc_is_blocked(2) && !mc_is_blocked(4)) || !kept, "it is kept, and somebody waits");
}
MC_TEST(started, .setup = started_setup, .finish = started_finish, .stale = 2, .max_executions = 300000);

static void selects(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *arms[] = { skua_notify_wait_prepare(&mine[i].ops[0], &notify),
                        skua_notify_wait_prepare(&mine[i].ops[1], &other) };
    got[i] = waits_select(&mine[i].word, arms, 2, WAITS_OR_IS_CANCELED);
    mc_free(&mine[i], sizeof mine[i]);
}
static void arms_setup(void)
{
    reset();
    mc_thread(selects, (void *)0);
    mc_thread(one, NULL);
    mc_thread(one_of_other, NULL);
}
static void arms_finish(void)
{
    mc_assert(is_kept(&notify) == (got[0] != 0) && is_kept(&other) == (got[0] != 1),
              "not exactly the arm that took effect got a notification");
}
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 2, .max_executions = 300000);

/* Starts to wait, looks, and then awaits: against who makes the condition true and notifies all. */
static void looker(void *arg)
{
    (void)arg;
    mc_alloc(&mine[0], sizeof mine[0]);
    skua_op *op = skua_notify_wait_start(&mine[0].ops[0], &notify);
    if (skuai_load_32(&condition, SKUAI_RELAXED) == 0)
        got[0] = waits_await(op, WAITS_ON);
    else if (!waits_interrupt(op, -ECANCELED))
        waits_await(op, WAITS_ON);
    mc_assert(skuai_load_32(&condition, SKUAI_RELAXED) == 1, "goes on too early");
    mc_free(&mine[0], sizeof mine[0]);
}
static void all(void *arg)
{
    (void)arg;
    skuai_store_32(&condition, 1, SKUAI_RELAXED);
    skua_notify_all(&notify);
}
static void look_setup(void)
{
    reset();
    mc_thread(looker, NULL);
    mc_thread(all, NULL);
}
static void look_finish(void) { mc_assert(!is_kept(&notify), "notify_all is for nobody later"); }
MC_TEST(start_then_look, .setup = look_setup, .finish = look_finish, .bound = 4);

/* Known wrong: looks, and then starts to wait. */
static void hasty(void *arg)
{
    (void)arg;
    if (skuai_load_32(&condition, SKUAI_RELAXED) == 0)
        wait_once(0, WAITS_ON);
}
static void hasty_setup(void)
{
    reset();
    mc_thread(hasty, NULL);
    mc_thread(all, NULL);
}
MC_TEST_MUST_FAIL(look_then_start, "a wake-up was lost", .setup = hasty_setup);

/* All who wait, one after the other, and the memory goes with the last. */
static skua_word32 gone;
static void all_two(void *arg)
{
    (void)arg;
    while (skuai_load_32(&condition, SKUAI_ACQUIRE) != 2)
        skuai_pause();
    skua_notify_all(&notify);
}
static void starts(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *op = skua_notify_wait_start(&mine[i].ops[0], &notify);
    skuai_add_32(&condition, 1, SKUAI_RELEASE);
    got[i] = waits_await(op, WAITS_ON);
    mc_free(&mine[i], sizeof mine[i]);
    if (skuai_add_32(&gone, 1, SKUAI_ACQ_REL) == 1)
        mc_free(&notify, sizeof notify);
}
static void all_setup(void)
{
    reset();
    gone.raw = 0;
    mc_thread(starts, (void *)0);
    mc_thread(starts, (void *)1);
    mc_thread(all_two, NULL);
}
static void all_finish(void) { mc_assert(got[0] == 0 && got[1] == 0, "not all were notified"); }
MC_TEST(all_who_wait, .setup = all_setup, .finish = all_finish, .stale = 2, .max_executions = 300000);
