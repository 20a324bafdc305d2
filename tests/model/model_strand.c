/* Fork-join (sched/strand.c, Y1 … Y11) with two and three thieves: each job is run once, by its owner or by a thief;
 * its joiner has what it did; who waits is woken; what is public is found as long as there is the token.
 */
/* model-sources: sched/strand.c */
#include <string.h>

#include "model/mc.h"
#include "sched/barrier.h"
#include "sched/strand.h"

enum { JOBS = 4 };

static struct skuai_strand strand;
static skua_job jobs[JOBS];
static bool sated; /* the owner does not care for who is hungry */
static unsigned forked, runs[16]; /* by the number that a job carries */
static skua_word32 woken, others_ran;

/* ---- what scheduler and fibers do ---- */

static skua_word32 queued; /* the token lies in somebody's deque */

static void push_token(void)
{
    mc_assert(skuai_exchange_32(&queued, 1, SKUAI_RELEASE) == 0, "the token is in two queues");
    mc_futex_wake(&queued, 1);
}
static void made_public(bool any)
{
    if (any && skuai_strand_offer(&strand))
        push_token();
}

bool skuai_barrier_everywhere(void)
{
    mc_barrier_everywhere();
    return true;
}

#define CONTENT(job) (*(uint64_t *)(void *)(job)->room)

static void run(skua_job *job)
{
    uint64_t number = SKUAI_READ(CONTENT(job));
    mc_assert(runs[number]++ == 0, "a job ran twice");
    SKUAI_WRITE(CONTENT(job), number + 100);
}

/* As parallel.c's. */
static void look(void)
{
    if (!skuai_strand_is_hungry(&strand))
        return;
    if (sated)
        skuai_strand_sate(&strand);
    else
        made_public(skuai_strand_share(&strand));
}

static void fork_one(void)
{
    skua_job *job = skuai_strand_top(&strand);
    SKUAI_WRITE(CONTENT(job), forked++);
    skuai_store_ptr(&strand.head.top, job + 1, SKUAI_RELEASE); /* as skua/parallel.h */
    if (skuai_strand_is_below_limit(&strand, job))
        look();
}

static void join_one(void)
{
    skua_job *job = skuai_strand_top(&strand) - 1;
    enum skuai_strand_join where = SKUAI_STRAND_PRIVATE;
    unsigned number = --forked;
    skuai_store_ptr(&strand.head.top, job, SKUAI_RELEASE);
    if (skuai_strand_is_below_limit(&strand, job) &&
        (where = skuai_strand_join(&strand, job)) == SKUAI_STRAND_PRIVATE)
        look();
    if (where != SKUAI_STRAND_AWAY) {
        run(job);
    } else {
        if (skuai_job_wait(job))
            while (!skuai_job_is_done(job)) {
                mc_assert(!skuai_strand_expose(&strand), "what is there to expose?"); /* Y7: it suspends */
                mc_futex_wait(&woken, 0);
                mc_yield(); /* and sees what came before the wake */
            }
        skuai_store_32(&woken, 0, SKUAI_RELAXED);
    }
    mc_assert(SKUAI_READ(CONTENT(job)) == number + 100, "the joiner has what the job did");
    runs[number] = 0;
}

static void run_taken(skua_job *job)
{
    run(job);
    if (skuai_job_done(job)) {
        skuai_store_32(&woken, 1, SKUAI_RELEASE);
        mc_futex_wake(&woken, 1);
    }
}

/* ---- parties ---- */

/* Thieves that need no token. */
static void thief(void *arg)
{
    for (unsigned i = 0; i < (unsigned)(uintptr_t)arg; i++) {
        skuai_strand_poison(&strand);
        skua_job *job = skuai_strand_take(&strand);
        if (job != NULL)
            run_taken(job);
    }
}

/* Those that live by the token, as long as there is one. */
static void finder(void *arg)
{
    (void)arg;
    for (;;) {
        while (skuai_exchange_32(&queued, 0, SKUAI_ACQUIRE) == 0)
            mc_futex_wait(&queued, 0);
        skua_job *job = skuai_strand_take(&strand);
        if (skuai_strand_offer_again(&strand))
            push_token();
        if (job == NULL)
            continue;
        run_taken(job);
        skuai_add_32(&others_ran, 1, SKUAI_RELEASE);
        mc_futex_wake(&others_ran, 1);
    }
}
static void wait_for_others(uint32_t count)
{
    uint32_t ran;
    while ((ran = skuai_load_32(&others_ran, SKUAI_ACQUIRE)) < count)
        mc_futex_wait(&others_ran, ran);
}
/* It waits inside of its jobs for what others must run: all at once, or one after the other. */
static void owner_waits(void *arg)
{
    (void)arg;
    fork_one();
    fork_one();
    made_public(skuai_strand_expose(&strand));
    wait_for_others(2);
    join_one();
    join_one();
}
/* The second becomes public while the token for the first is perhaps just being given up. */
static void owner_adds(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 3; i++) {
        fork_one();
        made_public(skuai_strand_expose(&strand));
    }
    wait_for_others(3);
    for (uint32_t i = 0; i < 3; i++)
        join_one();
}
/* Somebody is hungry when it forks, or when it joins. */
static void owner_shares_at_fork(void *arg)
{
    (void)arg;
    skuai_strand_poison(&strand);
    fork_one();
    wait_for_others(1);
    join_one();
}
static void owner_shares_at_join(void *arg)
{
    (void)arg;
    fork_one();
    fork_one();
    skuai_strand_poison(&strand);
    join_one();
    wait_for_others(1);
    join_one();
}
static void owner_waits_twice(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= 2; i++) {
        fork_one();
        made_public(skuai_strand_expose(&strand));
        wait_for_others(i);
    }
    join_one();
    join_one();
}

static void owner_of_two(void *arg)
{
    (void)arg;
    fork_one();
    fork_one();
    join_one();
    join_one();
}
static void owner_of_three(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        fork_one();
    for (int i = 0; i < 3; i++)
        join_one();
}
/* Ends meet again and again at the same places. */
static void owner_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        fork_one();
        fork_one();
        join_one();
        fork_one();
        join_one();
        join_one();
    }
}
/* It suspends with two jobs that nobody has asked for. */
static void owner_exposes(void *arg)
{
    (void)arg;
    fork_one();
    fork_one();
    made_public(skuai_strand_expose(&strand));
    join_one();
    join_one();
}

/* Y11. It gives up if it has forced nothing in so many attempts. */
static void forcer(void *arg)
{
    for (unsigned i = 0; i < (unsigned)(uintptr_t)arg; i++)
        made_public(skuai_strand_force(&strand));
}
static void forcer_until_done(void *arg)
{
    (void)arg;
    while (skuai_load_32(&others_ran, SKUAI_ACQUIRE) == 0) {
        made_public(skuai_strand_force(&strand));
        mc_yield();
    }
}
/* Neither forks nor joins until what it has forked was run. */
static void owner_computes(void *arg)
{
    (void)arg;
    fork_one();
    wait_for_others(1);
    join_one();
}

/* Y10, among thieves who become hungry meanwhile. */
static void owner_watches(void *arg)
{
    (void)arg;
    skuai_strand_watch(&strand, jobs + 2);
    fork_one();
    fork_one();
    skuai_strand_watch(&strand, jobs + 1);
    join_one();
    skuai_strand_watch(&strand, jobs);
    fork_one();
    sated = true;
    join_one();
    join_one();
}
/* Alone: where the limit is. */
static void owner_sees_the_limit(void *arg)
{
    (void)arg;
    skuai_strand_watch(&strand, jobs + 2);
    mc_assert(skuai_strand_is_below_limit(&strand, jobs + 1), "a watched job is not seen");
    mc_assert(!skuai_strand_is_below_limit(&strand, jobs + 2), "a job is seen that nobody watches");
    mc_assert(!skuai_strand_is_hungry(&strand), "hungry for nothing");
    skuai_strand_poison(&strand);
    skuai_strand_watch(&strand, jobs + 1);
    mc_assert(skuai_strand_is_hungry(&strand), "the watch has covered hunger");
    skuai_strand_sate(&strand);
    mc_assert(!skuai_strand_is_hungry(&strand), "still hungry");
    mc_assert(skuai_strand_is_below_limit(&strand, jobs), "the watch is lost");
    mc_assert(!skuai_strand_is_below_limit(&strand, jobs + 1), "the watch stays up");
    fork_one();
    fork_one();
    fork_one();
    made_public(skuai_strand_share(&strand)); /* two of three */
    mc_assert(skuai_strand_is_below_limit(&strand, jobs + 1), "a public job is not seen");
    mc_assert(!skuai_strand_is_below_limit(&strand, jobs + 2), "a private job is seen");
    for (int i = 0; i < 3; i++)
        join_one();
    mc_assert(!skuai_strand_is_below_limit(&strand, jobs + 1), "the watch is not back");
}

static void reset(void)
{
    memset(runs, 0, sizeof runs);
    forked = 0;
    sated = false;
    woken.raw = queued.raw = others_ran.raw = 0;
    memset(&strand, 0xff, sizeof strand);
    skuai_strand_init(&strand, jobs, JOBS);
    mc_name(&strand.head.limit, "limit");
    mc_name(&strand.ends, "ends");
    mc_name(&strand.offered, "offered");
    mc_name(&queued, "queued");
    mc_name(&woken, "woken");
    for (unsigned i = 0; i < JOBS; i++) {
        mc_name(&jobs[i].state, "state %u", i);
        mc_name(jobs[i].room, "room %u", i);
    }
}
static void finish(void)
{
    uint64_t ends = skuai_load_64(&strand.ends, SKUAI_RELAXED);
    mc_assert(ends == 0 && skuai_strand_top(&strand) == jobs && strand.split == jobs,
              "the ends have met where they began");
    mc_assert(!skuai_strand_has_public(&strand), "a job is left");
}

static void with(void (*owner)(void *), unsigned thieves, unsigned takes)
{
    reset();
    mc_thread_named("owner", owner, NULL);
    for (unsigned i = 0; i < thieves; i++)
        mc_thread(thief, (void *)(uintptr_t)takes);
}
static void with_finders(void (*owner)(void *), unsigned finders)
{
    reset();
    mc_thread_named("owner", owner, NULL);
    for (unsigned i = 0; i < finders; i++)
        mc_allow_blocked(mc_thread(finder, NULL));
}
static void two_one_setup(void) { with(owner_of_two, 1, 2); }
static void two_two_setup(void) { with(owner_of_two, 2, 1); }
static void three_two_setup(void) { with(owner_of_three, 2, 2); }
static void three_three_setup(void) { with(owner_of_three, 3, 1); }
static void again_setup(void) { with(owner_again, 2, 2); }
static void exposes_setup(void) { with(owner_exposes, 2, 1); }
static void with_force(void (*owner)(void *), unsigned forces, unsigned takes)
{
    with(owner, 1, takes);
    mc_thread(forcer, (void *)(uintptr_t)forces);
}
static void force_two_setup(void) { with_force(owner_of_two, 2, 1); }
static void force_three_setup(void) { with_force(owner_of_three, 1, 2); }
static void force_again_setup(void) { with_force(owner_again, 2, 2); }
static void force_feeds_setup(void)
{
    with_finders(owner_computes, 1);
    mc_thread(forcer_until_done, NULL);
}
static void watch_setup(void) { with(owner_watches, 2, 1); }
static void limit_setup(void) { with(owner_sees_the_limit, 0, 0); }
static void token_setup(void) { with_finders(owner_waits, 2); }
static void token_again_setup(void) { with_finders(owner_waits_twice, 2); }
static void token_one_setup(void) { with_finders(owner_waits_twice, 1); }
static void token_adds_setup(void) { with_finders(owner_adds, 2); }
static void token_adds_one_setup(void) { with_finders(owner_adds, 1); }
static void hungry_fork_setup(void) { with_finders(owner_shares_at_fork, 2); }
static void hungry_join_setup(void) { with_finders(owner_shares_at_join, 2); }
MC_TEST(token, .setup = token_setup, .finish = finish, .max_executions = 150000);
MC_TEST(token_again, .setup = token_again_setup, .finish = finish, .max_executions = 150000);
MC_TEST(token_one, .setup = token_one_setup, .finish = finish, .bound = 3);
MC_TEST(token_adds, .setup = token_adds_setup, .finish = finish, .max_executions = 150000);
MC_TEST(token_adds_one, .setup = token_adds_one_setup, .finish = finish, .bound = 3, .max_executions = 150000);
MC_TEST(hungry_fork, .setup = hungry_fork_setup, .finish = finish, .bound = 3);
MC_TEST(hungry_join, .setup = hungry_join_setup, .finish = finish, .bound = 3);
MC_TEST(two_one, .setup = two_one_setup, .finish = finish, .bound = 4);
MC_TEST(two_two, .setup = two_two_setup, .finish = finish, .max_executions = 150000);
MC_TEST(three_two, .setup = three_two_setup, .finish = finish, .max_executions = 150000);
MC_TEST(three_three, .setup = three_three_setup, .finish = finish, .max_executions = 150000);
MC_TEST(again, .setup = again_setup, .finish = finish, .max_executions = 150000);
MC_TEST(force_two, .setup = force_two_setup, .finish = finish, .max_executions = 150000);
MC_TEST(force_three, .setup = force_three_setup, .finish = finish, .max_executions = 150000);
MC_TEST(force_again, .setup = force_again_setup, .finish = finish, .max_executions = 150000);
MC_TEST(force_feeds, .setup = force_feeds_setup, .finish = finish, .max_executions = 150000);
MC_TEST(watch, .setup = watch_setup, .finish = finish, .max_executions = 150000);
MC_TEST(limit, .setup = limit_setup, .finish = finish);
MC_TEST(exposes, .setup = exposes_setup, .finish = finish, .max_executions = 150000);
