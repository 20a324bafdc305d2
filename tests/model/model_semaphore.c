/* Semaphores (sync/semaphore.c, P1 … P4): no permit is made or lost, whoever is cancelled meanwhile; who waits is woken
 * when there is enough for him; a large request is not overtaken; who has taken all permits may free the semaphore.
 */
/* model-sources: sched/op.c sync/semaphore.c */
#include "model/waits.h"
#include "skua/semaphore.h"

static skua_semaphore semaphore;
static skua_semaphore_op ops[4];
static struct skuai_select words[2];
static int64_t got[4];
static int held;   /* permits that the test has */
static int guarded; /* plain: by a permit */

static int64_t acquire(unsigned i, uint64_t permits, enum waits_how how)
{
    mc_alloc(&ops[i], sizeof ops[i]);
    got[i] = waits_for(skua_semaphore_acquire_prepare(&ops[i], &semaphore, permits), how);
    mc_free(&ops[i], sizeof ops[i]);
    return got[i];
}

static void reset(uint64_t permits)
{
    memset(ops, 0, sizeof ops);
    memset(words, 0, sizeof words);
    memset(got, 0, sizeof got);
    skua_semaphore_init(&semaphore, permits);
    held = guarded = 0;
    words[0].number = 1;
    words[1].number = 2;
    mc_name(&semaphore.word, "word");
    mc_name(&semaphore.lock, "lock");
    for (unsigned i = 0; i < 4; i++)
        mc_name(&ops[i].op.state, "op%u.state", i);
}

static void all_are_back(void) /* of one */
{
    mc_assert(skua_semaphore_available(&semaphore) == 1, "a permit was lost or made");
    mc_assert(semaphore.waiters.first == NULL, "somebody is linked for ever");
}

/* ---- as a lock: taken by whichever way, given back ---- */

static void work(void)
{
    mc_assert(held++ == 0, "two have the only permit");
    SKUAI_WRITE(guarded, SKUAI_READ(guarded) + 1);
    held--;
    skua_semaphore_release(&semaphore, 1);
}
static void holder(void *arg)
{
    if (acquire((unsigned)(uintptr_t)arg, 1, WAITS_ON) == 0)
        work();
}
static void impatient(void *arg)
{
    if (acquire((unsigned)(uintptr_t)arg, 1, WAITS_OR_IS_CANCELED) == 0)
        work();
}
static void straight(void *arg)
{
    (void)arg;
    if (skua_semaphore_acquire(&semaphore, 1) == 0)
        work();
}
static void starter(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&ops[i], sizeof ops[i]);
    got[i] = waits_started(skua_semaphore_acquire_start(&ops[i], &semaphore, 1));
    mc_free(&ops[i], sizeof ops[i]);
    if (got[i] == 0)
        work();
}
static void until(void *arg)
{
    (void)arg;
    int rc = skua_semaphore_acquire_until(&semaphore, 1, 1);
    mc_assert(rc == 0 || rc == -ECANCELED, "another result");
    if (rc == 0)
        work();
}
static void trier(void *arg)
{
    (void)arg;
    if (skua_semaphore_try_acquire(&semaphore, 1) == 0)
        work();
}

static void lock_setup(void)
{
    reset(1);
    mc_thread(straight, NULL);
    mc_thread(holder, (void *)1);
    mc_thread(trier, NULL);
}
static void lock_finish(void)
{
    all_are_back();
    mc_assert(guarded >= 2, "not everybody had it");
}
MC_TEST(as_a_lock, .setup = lock_setup, .finish = lock_finish, .stale = 3, .max_executions = 300000);

static void started_setup(void)
{
    reset(1);
    mc_thread(starter, (void *)0);
    mc_thread(starter, (void *)1);
    mc_thread(until, NULL);
}
MC_TEST(started, .setup = started_setup, .finish = lock_finish, .stale = 2, .max_executions = 300000);

static void canceled_setup(void)
{
    reset(1);
    mc_thread(straight, NULL);
    mc_thread(impatient, (void *)1);
    mc_thread(holder, (void *)2);
}
MC_TEST(canceled, .setup = canceled_setup, .finish = lock_finish, .stale = 2, .max_executions = 300000);

/* ---- a large request is served first, and is in nobody's way when it has gone ---- */

static int order;
static int large_at, small_at;
static void wants_two(void *arg)
{
    if (acquire(0, 2, (enum waits_how)(uintptr_t)arg) == 0)
        large_at = ++order;
}
static void wants_one(void *arg)
{
    (void)arg;
    if (acquire(1, 1, WAITS_ON) == 0)
        small_at = ++order;
}
static void gives_one(void *arg)
{
    (void)arg;
    skua_semaphore_release(&semaphore, 1);
}
static void line_setup(enum waits_how how)
{
    reset(1);
    order = large_at = small_at = 0;
    /* The large one is first in the line, before any thread runs. */
    mc_thread(wants_two, (void *)(uintptr_t)how);
    mc_thread(wants_one, NULL);
}
static void withdrawn_head_setup(void)
{
    line_setup(WAITS_OR_IS_CANCELED);
    mc_thread(gives_one, NULL);
    mc_allow_blocked(1); /* two permits are enough for the large one or for the small one */
    mc_allow_blocked(2);
}
static void withdrawn_head_finish(void)
{
    uint64_t available = skua_semaphore_available(&semaphore);
    uint64_t taken = (large_at != 0 ? 2u : 0u) + (small_at != 0 ? 1u : 0u);
    mc_assert(available + taken == 2, "a permit was lost or made");
    mc_assert(large_at != 0 || small_at != 0, "nobody was served");
    mc_assert(large_at != 0 || got[0] == -ECANCELED || mc_is_blocked(1), "the large one got something else");
    mc_assert(!mc_is_blocked(2) || large_at != 0, "who was in the way has gone, and nobody is served");
}
MC_TEST(withdrawn_head, .setup = withdrawn_head_setup, .finish = withdrawn_head_finish, .stale = 2,
        .max_executions = 300000);

/* In one thread: who comes later has nothing before who waits, and all of it when that one has gone. */
static void stands_in_line(void *arg)
{
    bool withdraws = arg != NULL;
    skua_op *large = skuai_op_start(skua_semaphore_acquire_prepare(&ops[0], &semaphore, 2));
    skua_op *small = skua_semaphore_acquire_start(&ops[1], &semaphore, 1);
    mc_assert(!skuai_op_is_done(large) && !skuai_op_is_done(small), "overtaken");
    mc_assert(skua_semaphore_try_acquire(&semaphore, 1) == -EAGAIN, "overtaken by a try");
    if (withdraws)
        mc_assert(waits_interrupt(large, -ECANCELED) && waits_await(large, WAITS_ON) == -ECANCELED, "nobody has it");
    else
        skua_semaphore_release(&semaphore, 1);
    mc_assert(skuai_op_is_done(large) && skuai_op_is_done(small) == withdraws, "the first has got it, or the second");
    if (!withdraws)
        skua_semaphore_release(&semaphore, 1);
    mc_assert(skuai_op_is_done(small) && skua_semaphore_available(&semaphore) == 0, "then the other");
}
static void line_of_two_setup(void)
{
    reset(1);
    mc_thread(stands_in_line, NULL);
}
static void line_left_setup(void)
{
    reset(1);
    mc_thread(stands_in_line, &semaphore);
}
MC_TEST(line_of_two, .setup = line_of_two_setup);
MC_TEST(line_left, .setup = line_left_setup);

/* ---- arms ---- */

static skua_semaphore other;
static bool gives_back;
static void selects(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&ops[2 * i], 2 * sizeof ops[0]);
    skua_op *arms[] = { skua_semaphore_acquire_prepare(&ops[2 * i], &semaphore, 1),
                        skua_semaphore_acquire_prepare(&ops[2 * i + 1], &other, 1) };
    int64_t arm = waits_select(&words[i], arms, 2, WAITS_ON);
    got[i] = arm;
    if (arm == 0 && gives_back)
        work();
    mc_free(&ops[2 * i], 2 * sizeof ops[0]);
    mc_free(&words[i], sizeof words[i]);
}
static void gives_other(void *arg)
{
    (void)arg;
    skua_semaphore_release(&other, 1);
}
static void arms_setup(void)
{
    reset(0);
    skua_semaphore_init(&other, 0);
    gives_back = false;
    mc_thread(selects, (void *)0);
    mc_thread(gives_one, NULL);
    mc_thread(gives_other, NULL);
}
static void arms_finish(void)
{
    uint64_t left = skua_semaphore_available(&semaphore), other_left = skua_semaphore_available(&other);
    mc_assert(left == (got[0] == 0 ? 0 : 1) && other_left == (got[0] == 0 ? 1 : 0),
              "not exactly the arm that took effect took a permit");
    mc_assert(semaphore.waiters.first == NULL && other.waiters.first == NULL, "an arm is linked for ever");
}
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 2, .max_executions = 300000);

/* A permit that a decided arm does not take goes to who waits behind it. */
static void behind_setup(void)
{
    arms_setup();
    gives_back = true;
    mc_thread(holder, (void *)3);
}
static void behind_finish(void)
{
    mc_assert(got[3] == 0 && guarded >= 1, "the permit did not come to who waits behind an arm");
}
MC_TEST(behind_an_arm, .setup = behind_setup, .finish = behind_finish, .stale = 1, .max_executions = 200000);

/* ---- numbers ---- */

static uint64_t forgotten;
static void forgets(void *arg)
{
    (void)arg;
    forgotten = skua_semaphore_forget(&semaphore, 2);
}
static void takes_one(void *arg)
{
    (void)arg;
    got[2] = skua_semaphore_try_acquire(&semaphore, 1);
}
static void forget_setup(void)
{
    reset(1);
    mc_thread(forgets, NULL);
    mc_thread(gives_one, NULL);
    mc_thread(takes_one, NULL);
}
static void forget_finish(void)
{
    mc_assert(got[2] == 0 || got[2] == -EAGAIN, "another result");
    mc_assert(skua_semaphore_available(&semaphore) + forgotten + (got[2] == 0) == 2, "a permit was lost or made");
    mc_assert(forgotten <= 2 && (forgotten == 2 || got[2] == 0 || skua_semaphore_available(&semaphore) == 1),
              "what was there was not forgotten");
}
MC_TEST(forgotten, .setup = forget_setup, .finish = forget_finish, .bound = 3, .stale = 2, .max_executions = 300000);

/* A try finds what is there, whoever else is at it. */
static void forgets_one(void *arg)
{
    (void)arg;
    forgotten = skua_semaphore_forget(&semaphore, 1);
}
static void try_setup(void)
{
    reset(2);
    mc_thread(forgets_one, NULL);
    mc_thread(takes_one, NULL);
}
static void try_finish(void) { mc_assert(got[2] == 0 && forgotten == 1, "there was one for each"); }
MC_TEST(tried, .setup = try_setup, .finish = try_finish, .bound = MC_UNBOUNDED);

static void goes_to_the_limits(void *arg)
{
    (void)arg;
    uint64_t most = SKUA_SEMAPHORE_MAX;
    mc_assert(skua_semaphore_available(&semaphore) == most && waits_misused == 1, "begins with one too many");
    skua_semaphore_release(&semaphore, 1);
    mc_assert(skua_semaphore_available(&semaphore) == most && waits_misused == 2, "one too many");
    mc_assert(skua_semaphore_try_acquire(&semaphore, most + 1) == -EINVAL, "there are never so many");
    mc_assert(skua_semaphore_acquire(&semaphore, most + 1) == -EINVAL, "nor to wait for");
    mc_assert(skua_semaphore_forget(&semaphore, 1) == 1, "forgets what it is told to");
    mc_assert(skua_semaphore_try_acquire(&semaphore, most) == -EAGAIN, "one is missing");
    mc_assert(skua_semaphore_available(&semaphore) == most - 1, "a permit was lost or made");
    mc_assert(skua_semaphore_try_acquire(&semaphore, most - 1) == 0, "all");
}
static void limits_setup(void)
{
    waits_misused = 0;
    reset(SKUA_SEMAPHORE_MAX + 1);
    mc_thread(goes_to_the_limits, NULL);
}
MC_TEST(limits, .setup = limits_setup);

/* ---- the end ---- */

static void closer(void *arg)
{
    (void)arg;
    skua_semaphore_close(&semaphore);
}
static void close_setup(void)
{
    reset(0);
    mc_thread(closer, NULL);
    mc_thread(holder, (void *)1);
    mc_thread(gives_one, NULL);
}
static void close_finish(void)
{
    mc_assert(got[1] == -EPIPE || (got[1] == 0 && guarded == 1), "neither closed nor served");
    mc_assert(skua_semaphore_available(&semaphore) == 1, "a permit was lost or made");
    mc_assert(skua_semaphore_try_acquire(&semaphore, 1) == -EPIPE, "it is not closed");
    mc_assert(skua_semaphore_try_acquire(&semaphore, 2) == -EPIPE, "closed, whatever there is");
}
MC_TEST(closed, .setup = close_setup, .finish = close_finish, .stale = 2, .max_executions = 300000);

/* Whoever has both permits frees it. */
static void frees(void *arg)
{
    (void)arg;
    if (acquire(0, 2, WAITS_OR_IS_CANCELED) != 0)
        mc_assert(skua_semaphore_acquire(&semaphore, 2) == 0, "the permits are there in the end");
    mc_free(&semaphore, sizeof semaphore);
}
static void free_setup(void)
{
    reset(0);
    mc_thread(frees, NULL);
    mc_thread(gives_one, NULL);
    mc_thread(gives_one, NULL);
}
MC_TEST(freed_by_who_has_all, .setup = free_setup, .stale = 2, .max_executions = 300000);
