/* Sets: join_all, race, any, all_settled, over futures, tasks and sets. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "sched/atomic.h"
#include "support/parks.h"
#include "support/with_runtime.h"

struct timed {
    SKUA_FRAME;
    struct {
        uint64_t after_ns;
        int64_t result;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(timed)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.after_ns));
    SKUA_END(self->sleep.result < 0 ? self->sleep.result : self->in.result);
}

static int timed_fiber(void *arg)
{
    const struct timed *what = arg;
    int rc = skua_sleep(what->in.after_ns);
    return rc < 0 ? rc : (int)what->in.result;
}

#define LATER SKUA_NEVER

static int race(void *arg)
{
    (void)arg;
    struct timed futures[3];
    skua_child kids[4];
    skua_task *task;
    struct timed fiber_args = { .in = { LATER, 9 } };
    CHECK_OK(skua_spawn(&task, timed_fiber, &fiber_args));
    skua_child_future(&kids[0], SKUA_FUTURE(&futures[0], timed, .after_ns = LATER, .result = 1));
    skua_child_future(&kids[1], SKUA_FUTURE(&futures[1], timed, .after_ns = 2000, .result = -7));
    skua_child_future(&kids[2], SKUA_FUTURE(&futures[2], timed, .after_ns = LATER, .result = 3));
    skua_child_task(&kids[3], task);
    CHECK_EQ(skua_race(kids, 4), 1);
    CHECK_EQ(kids[1].result, -7);
    CHECK_EQ(kids[0].result, -ECANCELED);
    CHECK_EQ(kids[2].result, -ECANCELED);
    CHECK_EQ(kids[3].result, -ECANCELED);
    return 0;
}
TEST(race_cancels_and_waits_for_its_losers) { run_everywhere(race, NULL); }

static int any(void *arg)
{
    (void)arg;
    struct timed futures[3];
    skua_child kids[3];
    skua_child_future(&kids[0], SKUA_FUTURE(&futures[0], timed, .after_ns = 0, .result = -1));
    skua_child_future(&kids[1], SKUA_FUTURE(&futures[1], timed, .after_ns = 1000, .result = 5));
    skua_child_future(&kids[2], SKUA_FUTURE(&futures[2], timed, .after_ns = LATER, .result = 3));
    CHECK_EQ(skua_any(kids, 3), 1);
    for (int i = 0; i < 3; i++)
        skua_child_future(&kids[i],
                          SKUA_FUTURE(&futures[i], timed, .after_ns = 1 + 100000u * (unsigned)i, .result = -i - 1));
    CHECK(skua_any(kids, 3) < 0);
    CHECK_EQ(skua_any(kids, 0), -EINVAL);
    CHECK_EQ(skua_race(kids, 0), -EINVAL);
    return 0;
}
TEST(any_takes_the_first_success) { run_everywhere(any, NULL); }

static int join_all(void *arg)
{
    (void)arg;
    struct timed futures[50];
    skua_child kids[50];
    for (unsigned i = 0; i < 50; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&futures[i], timed, .after_ns = 100 * (50 - i), .result = i));
    CHECK_EQ(skua_join_all(kids, 50), 0);
    for (unsigned i = 0; i < 50; i++)
        CHECK_EQ(kids[i].result, i);
    for (unsigned i = 0; i < 50; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&futures[i], timed, .after_ns = i == 30 ? 100 : LATER,
                                                .result = i == 30 ? -EIO : 0));
    CHECK_EQ(skua_join_all(kids, 50), -EIO);
    CHECK_EQ(kids[0].result, -ECANCELED);
    for (unsigned i = 0; i < 50; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&futures[i], timed, .after_ns = i, .result = i % 2 ? -1 : 1));
    CHECK_EQ(skua_all_settled(kids, 50), 25);
    CHECK_EQ(skua_join_all(kids, 0), 0);
    return 0;
}
TEST(join_all_and_all_settled) { run_everywhere(join_all, NULL); }

/* Sets inside sets, as a future. */
struct nested {
    SKUA_FRAME;
    struct {
        int depth;
        int64_t result;
        struct nested *pool;
    } in;
    skua_set set;
    skua_child kids[2];
    struct timed leaf;
    struct nested *next;
};
SKUA_ASYNC(nested)
{
    SKUA_BEGIN(self);
    skua_child_future(&self->kids[0], SKUA_FUTURE(&self->leaf, timed, .after_ns = self->in.result < 0 ? LATER : 500,
                                                  .result = self->in.result));
    if (self->in.depth > 0) {
        skua_child_future(&self->kids[1], SKUA_FUTURE(self->in.pool, nested, .depth = self->in.depth - 1,
                                                      .result = self->in.result, .pool = self->in.pool + 1));
        SKUA_AWAIT(skua_join_all_start(&self->set, self->kids, 2));
    } else {
        SKUA_AWAIT(skua_race_start(&self->set, self->kids, 1));
        SKUA_RETURN(self->kids[0].result < 0 ? self->kids[0].result : 1);
    }
    SKUA_END(SKUA_RESULT(&self->set) < 0 ? SKUA_RESULT(&self->set) : self->kids[1].result + 1);
}

static int nesting(void *arg)
{
    (void)arg;
    enum { DEPTH = 20 };
    struct nested *pool = calloc(DEPTH + 1, sizeof *pool);
    skua_task *task;
    int64_t result = 0;
    CHECK(pool != NULL);
    CHECK_OK(SKUA_SPAWN(&task, nested, .depth = DEPTH, .result = 1, .pool = pool));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, DEPTH + 1);
    CHECK_OK(SKUA_SPAWN(&task, nested, .depth = DEPTH, .result = -1, .pool = pool));
    for (int i = 0; i < 5; i++)
        skua_yield();
    skua_cancel(task); /* reaches every leaf through all the sets */
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    free(pool);
    return 0;
}
TEST(sets_in_sets) { run_everywhere(nesting, NULL); }

/* A child that has several ops under way at once, and ends while a fire is on its way. */
struct two_ops {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op a, b;
};
SKUA_ASYNC(two_ops)
{
    SKUA_BEGIN(self);
    skua_sleep_start(&self->a, 300);
    skua_sleep_start(&self->b, 100);
    SKUA_YIELD();
    SKUA_AWAIT(&self->a.op);
    SKUA_AWAIT(&self->b.op);
    SKUA_END(self->a.result | self->b.result);
}

static int several_ops(void *arg)
{
    (void)arg;
    struct two_ops futures[20];
    skua_child kids[20];
    for (int i = 0; i < 20; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&futures[i], two_ops));
    CHECK_EQ(skua_join_all(kids, 20), 0);
    return 0;
}
TEST(children_with_several_ops) { run_everywhere(several_ops, NULL); }

static int spins(void *arg)
{
    while (!skua_interrupted())
        skua_yield();
    return *(int *)arg;
}

static int tasks_of_all_kinds(void *arg)
{
    (void)arg;
    skua_child kids[30];
    struct timed args = { .in = { 1000, 4 } };
    int after = 77;
    for (int i = 0; i < 30; i++) {
        skua_task *task;
        if (i % 3 == 0)
            CHECK_OK(skua_spawn(&task, timed_fiber, &args));
        else if (i % 3 == 1)
            CHECK_OK(SKUA_SPAWN(&task, timed, .after_ns = LATER, .result = 1));
        else
            CHECK_OK(skua_spawn(&task, spins, &after));
        skua_child_task(&kids[i], task);
    }
    int64_t winner = skua_race(kids, 30);
    CHECK(winner >= 0 && winner % 3 == 0);
    for (int i = 0; i < 30; i++)
        CHECK_EQ(kids[i].result, i % 3 == 1 ? -ECANCELED : i % 3 == 2 ? 77 : kids[i].result);
    return 0;
}
TEST(sets_of_tasks) { run_everywhere(tasks_of_all_kinds, NULL); }

static int waits_for_a_set(void *arg)
{
    (void)arg;
    struct timed futures[4];
    skua_child kids[4];
    for (int i = 0; i < 4; i++)
        skua_child_future(&kids[i], SKUA_FUTURE(&futures[i], timed, .after_ns = LATER, .result = 0));
    return (int)skua_join_all(kids, 4);
}

/* ---- the slots of children that have ended ------------------------------------------------------------------- */

struct innocents {
    skua_task *first[2], *next[8];
    bool over;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int innocent(void *arg)
{
    const struct innocents *all = arg;
    while (!all->over)
        skua_yield();
    return skua_interrupted();
}

static int spawns_innocents(void *arg)
{
    struct innocents *all = arg;
    for (int i = 0; i < 8; i++)
        CHECK_OK(skua_spawn(&all->next[i], innocent, all));
    return 0;
}

struct yields_then_sleeps {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op sleep;
};
SKUA_ASYNC(yields_then_sleeps)
{
    SKUA_BEGIN(self);
    SKUA_YIELD();
    SKUA_AWAIT(skua_sleep_start(&self->sleep, SKUA_S));
    SKUA_END(0);
}

/* On one worker: both tasks have ended, and others have their slots, when the set looks at the first and decides. */
static int reused_slots(void *arg)
{
    struct innocents all = { .over = false };
    skua_child kids[3];
    struct yields_then_sleeps sleeper;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_spawn(&all.first[i], nothing, NULL));
        skua_child_task(&kids[i], all.first[i]);
    }
    CHECK_OK(skua_go(spawns_innocents, &all));
    skua_child_future(&kids[2], SKUA_FUTURE(&sleeper, yields_then_sleeps));
    CHECK(skua_race(kids, 3) < 2);
    all.over = true;
    for (int i = 0; i < 8; i++) {
        int64_t result = -1;
        CHECK_OK(skua_join(all.next[i], &result));
        CHECK_EQ(result, 0);
    }
    return 0;
}
TEST(a_loser_that_has_ended_is_not_cancelled)
{
    run_on(1, reused_slots, NULL);
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_seeded(seed, 1, reused_slots, NULL);
}

/* ---- a child that has ended while a fire is under way to it, in a task that is given up ---------------------- */

enum { NO_ADDRESS = 4242 }; /* a result that would be an op's address, if it were one */

struct ends_early {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    skua_sleep_op sleep;
};
SKUA_ASYNC(ends_early)
{
    SKUA_BEGIN(self);
    skua_sleep_start(&self->sleep, 1000000);
    while (!skua_op_is_done(&self->sleep.op))
        ; /* computes; the guard ends the sleep, and its fire is delivered when this task runs again */
    SKUA_AWAIT(&self->sleep.op);
    SKUA_END(NO_ADDRESS);
}

struct given_up {
    struct ends_early future;
    skua_child kid;
    skua_word32 state;
};

static int keeps_the_worker(void *arg)
{
    struct given_up *given_up = arg;
    skuai_store_32(&given_up->state, 1, SKUAI_RELEASE);
    while (skuai_load_32(&given_up->state, SKUAI_ACQUIRE) == 1)
        skuai_pause();
    return 0;
}

static int waits_for_the_fire(void *arg)
{
    struct given_up *given_up = arg;
    CHECK_OK(skua_go(keeps_the_worker, arg)); /* runs when the set waits */
    skua_child_future(&given_up->kid, SKUA_FUTURE(&given_up->future, ends_early));
    return (int)skua_join_all(&given_up->kid, 1);
}

static void no_log(void *context, enum skua_log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static void *lets_the_worker_go(void *arg)
{
    struct given_up *given_up = arg;
    struct timespec a_while = { .tv_nsec = 20000000 }; /* the shutdown has seen by then that tasks are left */
    nanosleep(&a_while, NULL);
    skuai_store_32(&given_up->state, 2, SKUAI_RELEASE);
    return NULL;
}

TEST(a_child_that_has_ended_is_not_asked_what_it_waits_for)
{
    static struct given_up given_up;
    skua_runtime *rt;
    skua_config config = { .workers = 1, .ignore_environment = true, .log = no_log };
    skua_spawn_attr there;
    pthread_t thread;
    CHECK_OK(skua_runtime_create(&rt, &config));
    there = (skua_spawn_attr){ .runtime = rt };
    CHECK_OK(skua_spawn_with(NULL, &there, waits_for_the_fire, &given_up));
    while (skuai_load_32(&given_up.state, SKUAI_ACQUIRE) == 0)
        sched_yield();
    CHECK_EQ(pthread_create(&thread, NULL, lets_the_worker_go, &given_up), 0);
    (void)skua_runtime_shutdown(rt, 0, 0); /* reports what the tasks wait for */
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

static int cancelled_from_outside(void *arg)
{
    (void)arg;
    skua_task *task;
    int64_t result = 0;
    CHECK_OK(skua_spawn(&task, waits_for_a_set, NULL));
    skua_yield();
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    return 0;
}
TEST(cancelling_the_waiter_cancels_the_children) { run_everywhere(cancelled_from_outside, NULL); }

/* ---- sets whose children park ---------------------------------------------------------------------------------- */

/* A set of a set of two and a third: the task's one waker is for all who are parked. */
struct two {
    SKUA_FRAME;
    struct {
        struct stage *stage;
    } in;
    skua_set set;
    skua_child children[2];
    struct parks futures[2];
};

SKUA_ASYNC(two)
{
    SKUA_BEGIN(self);
    for (int i = 0; i < 2; i++)
        skua_child_future(&self->children[i], SKUA_FUTURE(&self->futures[i], parks, .stage = self->in.stage));
    SKUA_AWAIT(skua_join_all_start(&self->set, self->children, 2));
    SKUA_END(SKUA_RESULT(&self->set));
}

static int three(void *arg)
{
    struct two two;
    struct parks third;
    skua_child children[2];
    skua_child_future(&children[0], SKUA_FUTURE(&two, two, .stage = arg));
    skua_child_future(&children[1], SKUA_FUTURE(&third, parks, .stage = arg));
    int64_t result = skua_join_all(children, 2);
    CHECK_EQ(children[1].result, result < 0 ? result : RESULT);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(two.children[i].result, result < 0 ? result : RESULT);
    return (int)result;
}

static int park_sets(void *arg)
{
    (void)arg;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct stage stage = { .go = { 0 } };
        skua_task *task;
        int64_t result = 1;
        CHECK_OK(skua_spawn(&task, three, &stage));
        wait_until_ready(&stage, 3);
        if (cancel)
            skua_cancel(task);
        else
            go(&stage);
        CHECK_OK(skua_join(task, &result));
        CHECK_EQ(result, cancel ? -ECANCELED : 0);
    }
    return 0;
}
TEST(children_of_sets_park) { run_everywhere(park_sets, NULL); }
