/* Wait groups (sync/wait_group.c, A1 … A3): nobody goes on before all are done, nobody waits when they are, all that
 * was done is seen, and who has waited may free it; whoever is cancelled meanwhile.
 */
/* model-sources: sched/op.c sync/wait_group.c */
#include "model/waits.h"
#include "skua/wait_group.h"

static skua_wait_group group;
static skua_op ops[3];
static int64_t got[3];
static int work[3]; /* plain: what each has done */
static skua_word32 left;

static void reset(uint64_t count)
{
    memset(ops, 0, sizeof ops);
    memset(work, 0, sizeof work);
    skua_wait_group_init(&group, count);
    left.raw = 0;
    waits_misused = 0;
    got[0] = got[1] = got[2] = 1;
    mc_name(&group.word, "word");
    mc_name(&group.lock, "lock");
    for (unsigned i = 0; i < 3; i++)
        mc_name(&ops[i].state, "op%u.state", i);
}

static void done(void *arg)
{
    SKUAI_WRITE(work[(uintptr_t)arg], 1);
    skua_wait_group_done(&group);
}
static void all_seen(int count)
{
    for (int i = 0; i < count; i++)
        mc_assert(SKUAI_READ(work[i]) == 1, "goes on before all are done");
}
static void wait_once(unsigned i, enum waits_how how)
{
    mc_alloc(&ops[i], sizeof ops[i]);
    got[i] = waits_for(skua_wait_group_wait_prepare(&ops[i], &group), how);
    mc_free(&ops[i], sizeof ops[i]);
    if (got[i] == 0)
        all_seen(2);
}
static void waits(void *arg) { wait_once((unsigned)(uintptr_t)arg, WAITS_ON); }

/* Waits, maybe twice, and frees it. */
static void waits_and_frees(void *arg)
{
    (void)arg;
    wait_once(0, WAITS_OR_IS_CANCELED);
    if (got[0] == -ECANCELED)
        got[0] = skua_wait_group_wait(&group);
    all_seen(2);
    mc_free(&group, sizeof group);
}
static void free_setup(void)
{
    reset(2);
    mc_thread(waits_and_frees, NULL);
    mc_thread(done, (void *)0);
    mc_thread(done, (void *)1);
}
MC_TEST(freed_by_who_has_waited, .setup = free_setup, .bound = 3, .max_executions = 300000);

/* The same by a try. */
static void tries_and_frees(void *arg)
{
    (void)arg;
    while ((got[0] = skua_wait_group_try_wait(&group)) == -EAGAIN)
        skuai_pause();
    all_seen(2);
    mc_free(&group, sizeof group);
}
static void waits_elsewhere(void *arg)
{
    (void)arg;
    mc_alloc(&ops[1], sizeof ops[1]);
    got[1] = waits_started(skua_wait_group_wait_start(&ops[1], &group));
    mc_free(&ops[1], sizeof ops[1]);
    all_seen(2);
    if (skuai_add_32(&left, 1, SKUAI_ACQ_REL) == 1)
        mc_free(&group, sizeof group);
}
static void tries_elsewhere(void *arg)
{
    (void)arg;
    while ((got[0] = skua_wait_group_try_wait(&group)) == -EAGAIN)
        skuai_pause();
    all_seen(2);
    if (skuai_add_32(&left, 1, SKUAI_ACQ_REL) == 1)
        mc_free(&group, sizeof group);
}
static void tried_setup(void)
{
    reset(2);
    mc_thread(tries_and_frees, NULL);
    mc_thread(done, (void *)0);
    mc_thread(done, (void *)1);
}
MC_TEST(freed_by_who_has_tried, .setup = tried_setup, .bound = 3, .max_executions = 300000);
/* With one who waits, the last to be done is under the lock when the count is 0. */
static void tried_beside_setup(void)
{
    reset(2);
    work[0] = 1;
    skua_wait_group_done(&group);
    mc_thread(tries_elsewhere, NULL);
    mc_thread(waits_elsewhere, NULL);
    mc_thread(done, (void *)1);
}
MC_TEST(tried_beside_a_waiter, .setup = tried_beside_setup, .bound = 3, .stale = 2, .max_executions = 300000);

static void until(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    got[i] = skua_wait_group_wait_until(&group, 1);
    mc_assert(got[i] == 0 || got[i] == -ECANCELED, "another result");
    if (got[i] == 0)
        all_seen(2);
}
static void until_setup(void)
{
    reset(2);
    mc_thread(until, (void *)0);
    mc_thread(done, (void *)0);
    mc_thread(done, (void *)1);
}
static void until_finish(void)
{
    mc_assert(group.waiters.first == NULL && skua_wait_group_try_wait(&group) == 0, "somebody is linked for ever");
}
MC_TEST(waited_until, .setup = until_setup, .finish = until_finish, .bound = 3, .max_executions = 300000);

static void two_setup(void)
{
    reset(2);
    mc_thread(waits, (void *)0);
    mc_thread(waits, (void *)1);
    mc_thread(done, (void *)0);
    mc_thread(done, (void *)1);
}
static void two_finish(void)
{
    mc_assert(got[0] == 0 && got[1] == 0 && skua_wait_group_count(&group) == 0, "not all went on");
    mc_assert(group.waiters.first == NULL && waits_misused == 0, "somebody is linked for ever");
}
MC_TEST(two_waiters, .setup = two_setup, .finish = two_finish, .stale = 1, .max_executions = 300000);

/* One more is added by somebody who is still counted. */
static void adds(void *arg)
{
    (void)arg;
    skua_wait_group_add(&group, 1);
    done((void *)0);
    done((void *)1);
}
static void adds_setup(void)
{
    reset(1);
    mc_thread(waits, (void *)0);
    mc_thread(adds, NULL);
}
static void one_finish(void) { mc_assert(got[0] == 0 && waits_misused == 0, "did not go on"); }
MC_TEST(added_meanwhile, .setup = adds_setup, .finish = one_finish, .bound = MC_UNBOUNDED, .max_executions = 300000);

/* One too many is told, and makes nothing wrong. */
static void misuse_setup(void)
{
    reset(1);
    mc_thread(done, (void *)0);
    mc_thread(done, (void *)1);
}
static void misuse_finish(void)
{
    mc_assert(waits_misused == 1 && skua_wait_group_count(&group) == 0, "misuse is not told once");
}
MC_TEST(one_too_many, .setup = misuse_setup, .finish = misuse_finish, .bound = MC_UNBOUNDED);

static void adds_too_many(void *arg)
{
    (void)arg;
    mc_assert(skua_wait_group_try_wait(&group) == -EAGAIN, "so many are not done");
    skua_wait_group_add(&group, 1);
    mc_assert(waits_misused == 1 && skua_wait_group_count(&group) == SKUA_WAIT_GROUP_MAX, "one too many");
}
static void most_setup(void)
{
    reset(SKUA_WAIT_GROUP_MAX);
    mc_thread(adds_too_many, NULL);
}
MC_TEST(most_and_one, .setup = most_setup);
