/* Once (sync/once.c, N1 and N2): one at a time does it, until it is done; whoever waits then goes on, or does it; what
 * was done is seen; whoever is cancelled meanwhile.
 */
/* model-sources: sched/op.c sync/once.c */
#include "model/waits.h"
#include "sched/scope.h"
#include "skua/once.h"

static skua_once once;
static skua_op ops[3];
static int64_t got[3];
static int inside, tries, failures; /* failures: so many tries will fail */
static int work;                    /* plain */
static int left_over;               /* who has not gone on yet */
static skua_scope *scopes[MC_THREADS];

skua_task *skua_self(void) { return NULL; }
skua_scope **skuai_thread_scopes(void) { return &scopes[mc.current]; }

static void reset(int fail)
{
    memset(ops, 0, sizeof ops);
    memset(&once, 0, sizeof once);
    inside = tries = work = 0;
    failures = fail;
    waits_misused = 0;
    left_over = 0;
    got[0] = got[1] = got[2] = 1;
    mc_name(&once.lock, "lock");
    mc_name(&once.state, "state");
    mc_name(&once.runner, "runner");
    for (unsigned i = 0; i < 3; i++)
        mc_name(&ops[i].state, "op%u.state", i);
}

static int does(void *arg)
{
    (void)arg;
    mc_assert(inside++ == 0, "two do it at a time");
    mc_assert(work == 0, "it is done again");
    int rc = ++tries <= failures ? -EIO : 0;
    if (rc == 0)
        SKUAI_WRITE(work, 1);
    inside--;
    return rc;
}

static void runs(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    got[i] = skua_once_run(&once, does, NULL);
    if (got[i] == 0)
        mc_assert(SKUAI_READ(work) == 1, "what was done is not seen");
}
/* By its halves, and maybe cancelled while it waits. */
static void enters(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&ops[i], sizeof ops[i]);
    got[i] = waits_for(skua_once_enter_prepare(&ops[i], &once), WAITS_OR_IS_CANCELED);
    mc_free(&ops[i], sizeof ops[i]);
    if (got[i] == 1) {
        got[i] = does(NULL);
        skua_once_leave(&once, got[i] == 0);
    } else if (got[i] == 0) {
        mc_assert(SKUAI_READ(work) == 1, "what was done is not seen");
    }
}

static void finish(void)
{
    int done = 0, failed = 0, canceled = 0;
    for (int i = 0; i < 3; i++) {
        done += got[i] == 0;
        failed += got[i] == -EIO;
        canceled += got[i] == -ECANCELED;
    }
    mc_assert(failed == (failures < tries ? failures : tries), "who has failed does not know");
    mc_assert(done + failed + canceled == 3 && waits_misused == 0, "somebody got something else");
    mc_assert(skua_once_is_done(&once) == (tries > failures), "it is done, or not");
    mc_assert(tries > failures || done == 0, "goes on, and it is not done");
    mc_assert(tries > failures || failed + canceled == 3, "somebody could have done it");
    mc_assert(once.waiters.first == NULL, "somebody is linked for ever");
    mc_assert(skuai_load_ptr(&once.runner, SKUAI_RELAXED) == NULL, "somebody does it for ever");
}

static void all_run_setup(void)
{
    reset(0);
    mc_thread(runs, (void *)0);
    mc_thread(runs, (void *)1);
    mc_thread(runs, (void *)2);
}
MC_TEST(all_run, .setup = all_run_setup, .finish = finish, .stale = 2, .max_executions = 300000);

static void first_fails_setup(void)
{
    reset(1);
    mc_thread(runs, (void *)0);
    mc_thread(enters, (void *)1);
    mc_thread(runs, (void *)2);
}
MC_TEST(the_first_fails, .setup = first_fails_setup, .finish = finish, .stale = 2, .max_executions = 300000);

static void two_fail_setup(void)
{
    reset(2);
    mc_thread(enters, (void *)0);
    mc_thread(enters, (void *)1);
    mc_thread(enters, (void *)2);
}
MC_TEST(two_fail, .setup = two_fail_setup, .finish = finish, .stale = 2, .max_executions = 300000);

/* By the other calls. */
static void leaves(int64_t *result)
{
    if (*result == 1) {
        *result = does(NULL);
        skua_once_leave(&once, *result == 0);
    } else if (*result == 0) {
        mc_assert(SKUAI_READ(work) == 1, "what was done is not seen");
    }
}
static void tries_to_enter(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    while ((got[i] = skua_once_try_enter(&once)) == -EAGAIN)
        skuai_pause();
    leaves(&got[i]);
}
static void enters_until(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    got[i] = skua_once_enter_until(&once, 1);
    leaves(&got[i]);
}
static void starts_to_enter(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&ops[i], sizeof ops[i]);
    got[i] = waits_started(skua_once_enter_start(&ops[i], &once));
    mc_free(&ops[i], sizeof ops[i]);
    leaves(&got[i]);
}
static void calls_setup(void)
{
    reset(1);
    mc_thread(tries_to_enter, (void *)0);
    mc_thread(enters_until, (void *)1);
    mc_thread(starts_to_enter, (void *)2);
}
MC_TEST(other_calls, .setup = calls_setup, .finish = finish, .stale = 2, .max_executions = 300000);

/* A value that is made when it is first wanted. */
static skua_lazy lazy;
static int makes(void **made, void *arg)
{
    int rc = does(arg);
    *made = &work;
    return rc;
}
static void wants(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    void *made = NULL;
    got[i] = skua_lazy_get(&lazy, makes, NULL, &made);
    mc_assert((got[i] == 0) == (made == &work), "a value and no value");
}
static void peeks(void *arg)
{
    void *made = skua_lazy_peek(&lazy);
    (void)arg;
    mc_assert(made == NULL || (made == &work && SKUAI_READ(work) == 1), "what was made is not seen");
}
static void lazy_setup(void)
{
    reset(1);
    memset(&lazy, 0, sizeof lazy);
    mc_thread(wants, (void *)0);
    mc_thread(wants, (void *)1);
    mc_thread(peeks, NULL);
}
static void lazy_finish(void)
{
    mc_assert(got[0] + got[1] == -EIO && skua_lazy_peek(&lazy) == &work, "one has failed, and the other has not");
}
MC_TEST(made_when_wanted, .setup = lazy_setup, .finish = lazy_finish, .bound = 3, .stale = 2, .max_executions = 300000);

/* Who leaves without having entered is told. */
static void leaves_uninvited(void *arg)
{
    (void)arg;
    skua_once_leave(&once, true);
    mc_assert(waits_misused == 1 && !skua_once_is_done(&once), "nobody has done it");
    got[0] = skua_once_try_enter(&once);
    mc_assert(got[0] == 1 && skua_once_try_enter(&once) == -EAGAIN, "one at a time");
    skua_once_leave(&once, false);
    mc_assert(waits_for(skua_once_enter_prepare(&ops[0], &once), WAITS_ON) == 1, "it is to be done still");
    skua_once_leave(&once, true);
    mc_assert(waits_misused == 1 && skua_once_try_enter(&once) == 0, "it is done");
    skua_once_leave(&once, false);
    mc_assert(waits_misused == 2 && skua_once_is_done(&once), "it stays done");
}
static void uninvited_setup(void)
{
    reset(0);
    mc_thread(leaves_uninvited, NULL);
}
MC_TEST(left_without_entering, .setup = uninvited_setup);

/* Who has gone on frees it, if nobody else is at it. */
static void runs_and_frees(void *arg)
{
    runs(arg);
    if (++left_over == 2)
        mc_free(&once, sizeof once);
}
static void free_setup(void)
{
    reset(0);
    got[2] = 0;
    mc_thread(runs_and_frees, (void *)0);
    mc_thread(runs_and_frees, (void *)1);
}
MC_TEST(freed, .setup = free_setup, .bound = 4, .max_executions = 300000);

/* Who needs it to do it is told. */
static int needs_itself(void *arg)
{
    return skua_once_run(&once, does, arg);
}
static void deadlocks(void *arg)
{
    (void)arg;
    got[0] = skua_once_run(&once, needs_itself, NULL);
}
static void deadlock_setup(void)
{
    reset(0);
    mc_thread(deadlocks, NULL);
    mc_thread(runs, (void *)1);
}
static void deadlock_finish(void)
{
    mc_assert((got[0] == -EDEADLK && waits_misused == 1) || (got[0] == 0 && waits_misused == 0), "not told");
    mc_assert(got[1] == 0, "it was not left to the other");
}
MC_TEST(waits_for_itself, .setup = deadlock_setup, .finish = deadlock_finish, .bound = 4, .max_executions = 300000);
