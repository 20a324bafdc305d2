/* Barriers (sync/barrier.c, B1 … B3), and with them claims of many at once (skuai_op_claim_all()): all parties go on
 * together or none does, one leads; whoever is cancelled or decided for another arm meanwhile has not arrived.
 */
/* model-sources: sched/op.c sync/barrier.c sync/notify.c */
#include "model/waits.h"
#include "skua/barrier.h"
#include "skua/notify.h"

static skua_barrier barrier, second;
static skua_notify notify;
static struct { skua_op ops[3]; struct skuai_select word; } mine[4];
static int64_t got[4], results[4];
static int work[4]; /* plain: what each has done before it arrived */

static void reset(uint32_t parties)
{
    memset(mine, 0, sizeof mine);
    memset(work, 0, sizeof work);
    skua_barrier_init(&barrier, parties);
    skua_barrier_init(&second, parties);
    skua_notify_init(&notify);
    for (unsigned i = 0; i < 4; i++) {
        got[i] = results[i] = -1;
        mine[i].word.number = i + 1;
        mc_name(&mine[i].word.decided, "select %u", i);
        for (unsigned k = 0; k < 3; k++)
            mc_name(&mine[i].ops[k].state, "op%u.%u.state", i, k);
    }
    mc_name(&barrier.lock, "lock");
    mc_name(&second.lock, "second lock");
}

static int64_t arrive(unsigned i, enum waits_how how)
{
    mc_alloc(&mine[i], sizeof mine[i]);
    int64_t rc = waits_for(skua_barrier_wait_prepare(&mine[i].ops[0], &barrier), how);
    mc_free(&mine[i], sizeof mine[i]);
    return rc;
}
static void party(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    SKUAI_WRITE(work[i], 1);
    got[i] = arrive(i, WAITS_ON);
    mc_assert(SKUAI_READ(work[0]) + SKUAI_READ(work[1]) == 2, "what was done before is not seen");
}
static void impatient(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    got[i] = arrive(i, WAITS_OR_IS_CANCELED);
}

/* Two parties, twice. */
static int leaders;
static void twice(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    for (int round = 1; round <= 2; round++) {
        SKUAI_WRITE(work[i], round);
        leaders += arrive(i, WAITS_ON) == SKUA_BARRIER_LEADER;
        mc_assert(SKUAI_READ(work[1 - i]) >= round, "goes on before the other has arrived");
        (void)arrive(i, WAITS_ON);
    }
}
static void twice_setup(void)
{
    reset(2);
    leaders = 0;
    mc_thread(twice, (void *)0);
    mc_thread(twice, (void *)1);
}
static void twice_finish(void) { mc_assert(leaders == 2 && barrier.arrived == 0, "not one leader each time"); }
MC_TEST(two_parties_twice, .setup = twice_setup, .finish = twice_finish, .bound = 3,
        .max_executions = 300000);

/* Three come, one of whom may leave: two go on. */
static void canceled_setup(void)
{
    reset(2);
    work[0] = work[1] = 1;
    mc_allow_blocked(mc_thread(impatient, (void *)1));
    mc_allow_blocked(mc_thread(impatient, (void *)2));
    mc_allow_blocked(mc_thread(impatient, (void *)3));
}
static void canceled_finish(void)
{
    int lead = 0, follow = 0, left = 0, waiting = 0;
    for (unsigned i = 1; i <= 3; i++) {
        lead += got[i] == SKUA_BARRIER_LEADER;
        follow += got[i] == 0;
        left += got[i] == -ECANCELED;
        waiting += mc_is_blocked((int)i);
    }
    mc_assert(lead == follow && lead <= 1, "half the parties have gone on");
    mc_assert(lead + follow + left + waiting == 3, "somebody got something else");
    mc_assert(waiting == (int)barrier.arrived && waiting <= 1, "two wait for each other");
}
MC_TEST(canceled, .setup = canceled_setup, .finish = canceled_finish, .stale = 2, .max_executions = 300000);

/* Two parties by the other calls; who has come too early, or gives up, comes again. */
static void comes(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    SKUAI_WRITE(work[i], 1);
    got[i] = i == 0 ? skua_barrier_wait_until(&barrier, 1) : skua_barrier_try_wait(&barrier);
    mc_assert(got[i] >= 0 || got[i] == (i == 0 ? -ECANCELED : -EAGAIN), "another result");
    if (got[i] < 0) {
        mc_alloc(&mine[i], sizeof mine[i]);
        got[i] = waits_started(skua_barrier_wait_start(&mine[i].ops[0], &barrier));
        mc_free(&mine[i], sizeof mine[i]);
    }
    mc_assert(SKUAI_READ(work[0]) + SKUAI_READ(work[1]) == 2, "what was done before is not seen");
}
static void straight(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    SKUAI_WRITE(work[i], 1);
    got[i] = skua_barrier_wait(&barrier);
    mc_assert(SKUAI_READ(work[0]) + SKUAI_READ(work[1]) == 2, "what was done before is not seen");
}
static void other_calls_finish(void)
{
    mc_assert(got[0] + got[1] == SKUA_BARRIER_LEADER && barrier.arrived == 0, "not one leader");
}
static void tried_setup(void)
{
    reset(2);
    mc_thread(straight, (void *)0);
    mc_thread(comes, (void *)1);
}
MC_TEST(tried, .setup = tried_setup, .finish = other_calls_finish, .bound = 3, .stale = 2, .max_executions = 300000);
static void until_setup(void)
{
    reset(2);
    mc_thread(comes, (void *)0);
    mc_thread(straight, (void *)1);
}
MC_TEST(waited_until, .setup = until_setup, .finish = other_calls_finish, .bound = 3, .stale = 2,
        .max_executions = 300000);

/* A barrier for nobody is one for one. */
static void alone(void *arg)
{
    (void)arg;
    mc_assert(waits_misused == 2 && skua_barrier_try_wait(&barrier) == SKUA_BARRIER_LEADER, "nobody else is to come");
}
static void nobody_setup(void)
{
    waits_misused = 0;
    reset(0);
    mc_thread(alone, NULL);
}
MC_TEST(for_nobody, .setup = nobody_setup);

/* ---- arms ---- */

/* In a select with a notification. */
static void selects(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *arms[] = { skua_barrier_wait_prepare(&mine[i].ops[0], &barrier),
                        skua_notify_wait_prepare(&mine[i].ops[1], &notify) };
    got[i] = waits_select(&mine[i].word, arms, 2, WAITS_ON);
    if (got[i] == 0)
        results[i] = SKUAI_READ(mine[i].ops[0].result);
    mc_free(&mine[i], sizeof mine[i]);
}
static void notifies(void *arg)
{
    (void)arg;
    skua_notify_one(&notify);
}
static int passed(unsigned first, unsigned last)
{
    int count = 0;
    for (unsigned i = first; i <= last; i++)
        count += results[i] >= 0;
    return count;
}

/* Two selects and one notification: who gets it has not arrived, and the other one waits. */
static void arms_setup(void)
{
    reset(2);
    mc_allow_blocked(mc_thread(selects, (void *)0));
    mc_allow_blocked(mc_thread(selects, (void *)1));
    mc_thread(notifies, NULL);
}
static void arms_finish(void)
{
    int pair = passed(0, 1);
    bool is_kept = skua_notify_try_wait(&notify) == 0;
    mc_assert(pair == 0 || pair == 2, "half the parties have gone on");
    mc_assert(pair == 0 || results[0] + results[1] == SKUA_BARRIER_LEADER, "not one leader");
    mc_assert((pair == 2) == is_kept, "the notification is lost, or doubled");
    mc_assert(barrier.arrived == (pair == 2 ? 0u : 1u), "an arm that has not taken effect has arrived");
}
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 1, .max_executions = 300000);

/* Three parties, two of them arms. */
static void lone(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    results[i] = arrive(i, WAITS_ON);
}
static void mixed_setup(void)
{
    reset(3);
    mc_allow_blocked(mc_thread(selects, (void *)1));
    mc_allow_blocked(mc_thread(lone, (void *)0));
    mc_allow_blocked(mc_thread(selects, (void *)2));
    mc_thread(notifies, NULL);
}
static void mixed_finish(void)
{
    int all = passed(0, 2);
    bool is_kept = skua_notify_try_wait(&notify) == 0;
    mc_assert(all == 0 || all == 3, "some of the parties have gone on");
    mc_assert((all == 3) == is_kept, "the notification is lost, or doubled");
    mc_assert(barrier.arrived == (all == 3 ? 0u : 2u), "an arm that has not taken effect has arrived");
}
MC_TEST(three_of_which_two_are_arms, .setup = mixed_setup, .finish = mixed_finish, .stale = 1,
        .max_executions = 300000);

/* Two selects at two barriers, in opposite orders: they pass one of them together. */
static void at_both(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *arms[] = { skua_barrier_wait_prepare(&mine[i].ops[0], i == 0 ? &barrier : &second),
                        skua_barrier_wait_prepare(&mine[i].ops[1], i == 0 ? &second : &barrier) };
    int64_t arm = waits_select(&mine[i].word, arms, 2, WAITS_ON);
    got[i] = i == 0 ? arm : 1 - arm; /* which barrier */
    mc_free(&mine[i], sizeof mine[i]);
}
static void at_both_setup(void)
{
    reset(2);
    mc_thread(at_both, (void *)0);
    mc_thread(at_both, (void *)1);
}
static void at_both_finish(void)
{
    mc_assert(got[0] == got[1] && got[0] >= 0, "they have passed different barriers");
    mc_assert(barrier.arrived == 0 && second.arrived == 0, "somebody has arrived for ever");
}
MC_TEST(at_both, .setup = at_both_setup, .finish = at_both_finish, .bound = 3,
        .max_executions = 300000);

/* One select is not two parties. */
static void doubled(void *arg)
{
    (void)arg;
    mc_alloc(&mine[0], sizeof mine[0]);
    skua_op *arms[] = { skua_barrier_wait_prepare(&mine[0].ops[0], &barrier),
                        skua_barrier_wait_prepare(&mine[0].ops[1], &barrier) };
    got[0] = waits_select(&mine[0].word, arms, 2, WAITS_ON);
    mc_free(&mine[0], sizeof mine[0]);
}
static void doubled_setup(void)
{
    reset(2);
    work[0] = work[1] = 1;
    mc_thread(doubled, NULL);
    mc_thread(party, (void *)1);
}
static void doubled_finish(void)
{
    mc_assert(got[0] >= 0 && got[1] >= 0, "the two have not met");
    mc_assert(barrier.arrived == 0, "somebody has arrived for ever");
}
MC_TEST(one_select_is_one_party, .setup = doubled_setup, .finish = doubled_finish, .bound = 3,
        .max_executions = 300000);
