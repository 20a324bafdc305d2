/* Events (sync/event.c, E1 and E2): a manual one lets all go on, an automatic one exactly one for each set that is not
 * a second one; whoever is cancelled meanwhile. Who has waited may free it.
 */
/* model-sources: sched/op.c sync/event.c */
#include "model/waits.h"
#include "skua/event.h"

static skua_event event, other;
static struct { skua_op ops[2]; struct skuai_select word; } mine[3];
static int64_t got[3];
static int value; /* plain: what was done before the event was set */
static skua_word32 left;

static void reset(enum skua_event_kind kind)
{
    memset(mine, 0, sizeof mine);
    skua_event_init(&event, kind);
    skua_event_init(&other, kind);
    value = 0;
    left.raw = 0;
    for (unsigned i = 0; i < 3; i++) {
        got[i] = 1;
        mine[i].word.number = i + 1;
        mc_name(&mine[i].ops[0].state, "op%u.state", i);
    }
    mc_name(&event.lock, "lock");
    mc_name(&event.is_set, "is_set");
}

static void wait_once(unsigned i, enum waits_how how)
{
    mc_alloc(&mine[i], sizeof mine[i]);
    got[i] = waits_for(skua_event_wait_prepare(&mine[i].ops[0], &event), how);
    mc_free(&mine[i], sizeof mine[i]);
    if (got[i] == 0)
        mc_assert(SKUAI_READ(value) == 1, "what was done before is not seen");
}
static void waiter(void *arg) { wait_once((unsigned)(uintptr_t)arg, WAITS_ON); }
static void impatient(void *arg) { wait_once((unsigned)(uintptr_t)arg, WAITS_OR_IS_CANCELED); }
static void setter(void *arg)
{
    (void)arg;
    SKUAI_WRITE(value, 1);
    skua_event_set(&event);
}
static void other_setter(void *arg)
{
    (void)arg;
    skua_event_set(&other);
}

/* ---- manual ---- */

static void manual_setup(void)
{
    reset(SKUA_EVENT_MANUAL);
    mc_thread(setter, NULL);
    mc_thread(waiter, (void *)0);
    mc_thread(impatient, (void *)1);
}
static void manual_finish(void)
{
    mc_assert(got[0] == 0 && (got[1] == 0 || got[1] == -ECANCELED), "it was set, and somebody did not go on");
    mc_assert(skua_event_is_set(&event) && event.waiters.first == NULL, "it stays set, and nobody waits");
}
MC_TEST(manual, .setup = manual_setup, .finish = manual_finish, .stale = 3, .max_executions = 300000);

/* By whichever way, then it goes. */
enum how { CALLS, STARTS, TRIES };
static void frees(void *arg)
{
    switch ((enum how)(uintptr_t)arg) {
    case CALLS:
        got[0] = skua_event_wait(&event);
        break;
    case STARTS:
        mc_alloc(&mine[0], sizeof mine[0]);
        got[0] = waits_started(skua_event_wait_start(&mine[0].ops[0], &event));
        mc_free(&mine[0], sizeof mine[0]);
        break;
    case TRIES:
        while ((got[0] = skua_event_try_wait(&event)) == -EAGAIN)
            skuai_pause();
    }
    mc_assert(got[0] == 0, "another result");
    mc_assert(SKUAI_READ(value) == 1, "what was done before is not seen");
    mc_free(&event, sizeof event);
}
static void free_setup(enum how how)
{
    reset(SKUA_EVENT_MANUAL);
    mc_thread(setter, NULL);
    mc_thread(frees, (void *)(uintptr_t)how);
}
static void wait_and_free_setup(void) { free_setup(CALLS); }
static void start_and_free_setup(void) { free_setup(STARTS); }
static void try_and_free_setup(void) { free_setup(TRIES); }
MC_TEST(wait_and_free, .setup = wait_and_free_setup, .bound = MC_UNBOUNDED, .max_executions = 300000);
MC_TEST(start_and_free, .setup = start_and_free_setup, .bound = MC_UNBOUNDED, .max_executions = 300000);
MC_TEST(try_and_free, .setup = try_and_free_setup, .bound = MC_UNBOUNDED, .max_executions = 300000);

/* Known wrong: is_set alone does not say that the setter is done with it. */
static void hasty(void *arg)
{
    (void)arg;
    while (!skua_event_is_set(&event))
        skuai_pause();
    mc_free(&event, sizeof event);
}
static void hasty_setup(void)
{
    reset(SKUA_EVENT_MANUAL);
    mc_thread(setter, NULL);
    mc_thread(hasty, NULL);
}
MC_TEST_MUST_FAIL(seen_set_and_freed, "free", .setup = hasty_setup);

/* A reset takes back what has been set, or comes too late or too early. */
static bool was_set;
static void resetter(void *arg)
{
    (void)arg;
    was_set = skua_event_reset(&event);
}
static void reset_setup(void)
{
    reset(SKUA_EVENT_AUTO);
    mc_thread(setter, NULL);
    mc_thread(resetter, NULL);
    mc_allow_blocked(mc_thread(waiter, (void *)0));
}
static void reset_finish(void)
{
    mc_assert((got[0] == 0) + was_set + skua_event_is_set(&event) == 1, "one set, and not one effect");
    mc_assert(!mc_is_blocked(3) || was_set, "set, and the waiter has not gone on");
}
MC_TEST(reset, .setup = reset_setup, .finish = reset_finish, .stale = 3, .max_executions = 300000);

/* ---- automatic ---- */

static void auto_setup(void)
{
    reset(SKUA_EVENT_AUTO);
    mc_thread(setter, NULL);
    mc_allow_blocked(mc_thread(waiter, (void *)0));
    mc_allow_blocked(mc_thread(impatient, (void *)1));
}
static void auto_finish(void)
{
    mc_assert((got[0] == 0) + (got[1] == 0) + skua_event_is_set(&event) == 1, "one set, and not one effect");
    mc_assert(got[0] == 0 || got[1] == 0, "it is set, and somebody waits");
}
MC_TEST(automatic, .setup = auto_setup, .finish = auto_finish, .stale = 3, .max_executions = 300000);

/* By calls, starts and tries. */
static void takes(unsigned i, int64_t result)
{
    got[i] = result;
    mc_assert(result == 0 || result == -ECANCELED || result == -EAGAIN, "another result");
    if (result == 0)
        mc_assert(SKUAI_READ(value) == 1, "what was done before is not seen");
}
static void starts(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    int64_t result = waits_started(skua_event_wait_start(&mine[i].ops[0], &event));
    mc_free(&mine[i], sizeof mine[i]);
    takes(i, result);
}
static void tries(void *arg) { takes((unsigned)(uintptr_t)arg, skua_event_try_wait(&event)); }
static void until(void *arg) { takes((unsigned)(uintptr_t)arg, skua_event_wait_until(&event, 1)); }
static void started_setup(void)
{
    reset(SKUA_EVENT_AUTO);
    mc_thread(setter, NULL);
    mc_allow_blocked(mc_thread(starts, (void *)0));
    mc_thread(tries, (void *)1);
    mc_allow_blocked(mc_thread(until, (void *)2));
}
static void started_finish(void)
{
    mc_assert((got[0] == 0) + (got[1] == 0) + (got[2] == 0) + skua_event_is_set(&event) == 1,
              "one set, and not one effect");
    mc_assert((!mc_is_blocked(2) && !mc_is_blocked(4)) || !skua_event_is_set(&event), "it is set, and somebody waits");
}
MC_TEST(started, .setup = started_setup, .finish = started_finish, .stale = 2, .max_executions = 300000);

static void selects(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *arms[] = { skua_event_wait_prepare(&mine[i].ops[0], &event),
                        skua_event_wait_prepare(&mine[i].ops[1], &other) };
    got[i] = waits_select(&mine[i].word, arms, 2, WAITS_OR_IS_CANCELED);
    mc_free(&mine[i], sizeof mine[i]);
}
static void arms_setup(void)
{
    reset(SKUA_EVENT_AUTO);
    mc_thread(selects, (void *)0);
    mc_thread(setter, NULL);
    mc_thread(other_setter, NULL);
}
static void arms_finish(void)
{
    mc_assert(skua_event_is_set(&event) == (got[0] != 0) && skua_event_is_set(&other) == (got[0] != 1),
              "not exactly the arm that took effect has reset its event");
}
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 2, .max_executions = 300000);
