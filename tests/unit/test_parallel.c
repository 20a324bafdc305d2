/* sched/parallel.c and skua/parallel.h: forks and joins give what the calls would, wherever the jobs run. */
#include <errno.h>

#include "sched/barrier.h"
#include "sched/scheduler.h"
#include "skua/cancel_token.h"
#include "support/with_runtime.h"

SKUA_PARALLEL(long, fib, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib, n - 1);
    long right = SKUA_CALL(fib, n - 2);
    return SKUA_JOIN(fib, left) + right;
}
static int run_fib(void *arg)
{
    CHECK_EQ(SKUA_RUN(fib, *(int *)arg), *(int *)arg == 18 ? 2584 : 832040);
    return 0;
}
TEST(recursion) { run_everywhere(run_fib, &(int){ 18 }); }
TEST(many_workers)
{
    for (int i = 0; i < (int)test_scaled(20); i++)
        CHECK_EQ(run_on(8, run_fib, &(int){ 30 }), 0);
}

/* ---- shapes of functions ---- */

struct large {
    int64_t value[9];
};
SKUA_PARALLEL(struct large, large, struct large, in, int, depth)
{
    for (int i = 0; i < 9; i++)
        in.value[i] += depth;
    if (depth == 0)
        return in;
    SKUA_FORK(a, large, in, depth - 1);
    struct large b = SKUA_CALL(large, in, depth - 1), a_result = SKUA_JOIN(large, a);
    for (int i = 0; i < 9; i++)
        a_result.value[i] += b.value[i];
    return a_result;
}
SKUA_PARALLEL_VOID(add, int64_t *, to, int64_t, n) { __atomic_add_fetch(to, n, __ATOMIC_RELAXED); }
SKUA_PARALLEL(int, seven) { return 7; }
SKUA_PARALLEL_DECLARE(bool, odd, int, n);
SKUA_PARALLEL(bool, even, int, n)
{
    if (n == 0)
        return true;
    SKUA_FORK(rest, odd, n - 1);
    return SKUA_JOIN(odd, rest);
}
SKUA_PARALLEL_DEFINE(bool, odd, int, n)
{
    if (n == 0)
        return false;
    SKUA_FORK(rest, even, n - 1);
    return SKUA_JOIN(even, rest);
}
SKUA_PARALLEL(int, eight, int, a, int, b, int, c, int, d, int, e, int, f, int, g, int, h)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
SKUA_PARALLEL(int64_t, loop, int, width, int, depth)
{
    SKUA_FORKED(loop) part[10];
    int64_t sum = 1;
    if (depth == 0)
        return 1;
    for (int i = 0; i < width; i++)
        SKUA_FORK_INTO(part[i], loop, width, depth - 1);
    for (int i = width; i-- > 0;)
        sum += SKUA_JOIN(loop, part[i]);
    return sum;
}
SKUA_PARALLEL(int, shapes)
{
    int64_t sum = 0;
    SKUA_FORK(a, seven);
    SKUA_FORK(b, add, &sum, 3);
    SKUA_FORK(c, eight, 1, 2, 3, 4, 5, 6, 7, 8);
    SKUA_CALL(add, &sum, 4);
    CHECK_EQ(SKUA_JOIN(eight, c), 204);
    SKUA_JOIN(add, b);
    CHECK_EQ(SKUA_JOIN(seven, a), 7);
    CHECK_EQ(sum, 7);
    CHECK(SKUA_CALL(even, 100) && !SKUA_CALL(odd, 100));
    return 5;
}
static int run_shapes(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(shapes), 5);
    CHECK_EQ(SKUA_RUN(loop, 10, 4), 11111);
    struct large result = SKUA_RUN(large, (struct large){ { 1 } }, 8);
    CHECK_EQ(result.value[8], 256 * 36);
    CHECK_EQ(result.value[0], 256 * 37);
    return 0;
}
TEST(shapes) { run_everywhere(run_shapes, NULL); }

/* ---- jobs that wait ---- */

SKUA_PARALLEL(int, sleeper, int, depth)
{
    if (depth == 0) {
        CHECK_OK(skua_sleep(SKUA_US));
        return 1;
    }
    SKUA_FORK(a, sleeper, depth - 1);
    SKUA_FORK(b, sleeper, depth - 1);
    CHECK_OK(skua_yield());
    int sum = SKUA_JOIN(sleeper, b);
    return sum + SKUA_JOIN(sleeper, a);
}
/* A run of its own inside a function that a job calls. */
static long nested(int n) { return SKUA_RUN(fib, n); }
SKUA_PARALLEL(long, nests, int, depth)
{
    if (depth == 0)
        return nested(10);
    SKUA_FORK(a, nests, depth - 1);
    long sum = nested(5);
    return SKUA_JOIN(nests, a) + sum;
}
static int run_waits(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(sleeper, 6), 64);
    CHECK_EQ(SKUA_RUN(nests, 20), 55 + 20 * 5);
    return 0;
}
TEST(jobs_that_wait) { run_everywhere(run_waits, NULL); }

/* Those that were used at once and are not any more. */
static int run_then_rests(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(sleeper, 6), 64);
    CHECK_OK(skua_sleep(3 * SKUA_S)); /* of a simulation's time */
    struct skuai_strand_pool *pool = &skuai_worker_self()->sched->strands;
    CHECK(pool->warm == NULL && pool->cold != NULL);
    CHECK_EQ(SKUA_RUN(sleeper, 6), 64);
    return 0;
}
TEST(job_stacks_go_back) { run_seeded(test_seed(), 3, run_then_rests, NULL); }

/* What waits in a job waits for what another job does: the other must run, or be taken. */
SKUA_PARALLEL_VOID(opens, skua_waker, waker, int32_t *, open)
{
    __atomic_store_n(open, 1, __ATOMIC_RELEASE);
    skua_wake(waker);
}
SKUA_PARALLEL(int, waits_for_its_fork, int32_t *, open)
{
    SKUA_FORK(a, opens, skua_waker_self(), open);
    while (!__atomic_load_n(open, __ATOMIC_ACQUIRE))
        CHECK_OK(skua_park());
    SKUA_JOIN(opens, a);
    return *open;
}
static int run_waits_for_its_fork(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        int32_t open = 0;
        CHECK_EQ(SKUA_RUN(waits_for_its_fork, &open), 1);
    }
    return 0;
}
TEST(a_job_waits_for_what_it_has_forked) { run_everywhere(run_waits_for_its_fork, NULL); }

/* What computes until another has run what it has forked: nobody asks, and the guard sees to it. */
SKUA_PARALLEL_VOID(set, int32_t *, flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }
SKUA_PARALLEL(int, computes_for_its_fork, int32_t *, flag)
{
    SKUA_FORK(a, set, flag);
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
        ;
    SKUA_JOIN(set, a);
    return *flag;
}
static int run_computes_for_its_fork(void *arg)
{
    (void)arg;
    int32_t flag = 0;
    CHECK_EQ(SKUA_RUN(computes_for_its_fork, &flag), 1);
    return 0;
}
TEST(a_job_computes_for_what_it_has_forked)
{
    if (!skuai_barrier_everywhere())
        TEST_SKIP("no membarrier here");
    for (uint32_t workers = 2; workers <= 8; workers *= 2)
        CHECK_OK((int)run_on(workers, run_computes_for_its_fork, NULL));
}

/* What forks and joins for ever lets others run: here the one that ends it. */
SKUA_PARALLEL(int, computes_until, int32_t *, flag)
{
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
        SKUA_FORK(a, seven);
        CHECK_EQ(SKUA_JOIN(seven, a), 7);
    }
    return 1;
}
static int set_flag(void *arg)
{
    __atomic_store_n((int32_t *)arg, 1, __ATOMIC_RELEASE);
    return 0;
}
static int set_flag_later(void *arg)
{
    CHECK_OK(skua_sleep(100 * SKUA_US));
    return set_flag(arg);
}
static int run_steps_aside(void *arg)
{
    skua_fiber_fn *const setters[] = { set_flag, set_flag_later };
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int32_t flag = 0;
        skua_task *task;
        CHECK_OK(skua_spawn(&task, setters[i], &flag));
        CHECK_EQ(SKUA_RUN(computes_until, &flag), 1);
        CHECK_OK(skua_join(task, NULL));
    }
    return 0;
}
TEST(jobs_step_aside_for_tasks) { run_everywhere(run_steps_aside, NULL); }

/* ---- many fibers ---- */

static int one_of_many(void *arg)
{
    CHECK_EQ(SKUA_RUN(fib, 12), 144);
    CHECK_EQ(SKUA_RUN(sleeper, 3), 8);
    __atomic_sub_fetch((int64_t *)arg, 1, __ATOMIC_RELEASE);
    return 0;
}
static int run_many(void *arg)
{
    (void)arg;
    int64_t left = 50;
    for (int i = 0; i < 50; i++)
        CHECK_OK(skua_go(one_of_many, &left));
    while (__atomic_load_n(&left, __ATOMIC_ACQUIRE) != 0)
        CHECK_OK(skua_sleep(100 * SKUA_US));
    return 0;
}
TEST(many_fibers) { run_everywhere(run_many, NULL); }

/* ---- from elsewhere ---- */

TEST(from_a_thread)
{
    skua_runtime *rt;
    skua_config config = { .workers = 2 };
    long f = 0;
    int n = 7;
    struct large sum = { { 0 } };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_OK(SKUA_RUN_ON(rt, &f, fib, 20));
    CHECK_EQ(f, 6765);
    CHECK_OK(SKUA_RUN_ON(rt, NULL, fib, 5));
    CHECK_OK(SKUA_RUN_ON(rt, &n, seven));
    CHECK_OK(SKUA_RUN_ON(rt, &sum, large, (struct large){ { 1 } }, 3));
    CHECK_EQ(sum.value[0], 8 * 7);
    int64_t total = 1;
    CHECK_OK(SKUA_RUN_ON(rt, NULL, add, &total, 2));
    CHECK_EQ(total, 3);
    CHECK_OK(skua_runtime_shutdown(rt, SKUA_NEVER, SKUA_NEVER));
    CHECK_EQ(SKUA_RUN_ON(rt, &f, fib, 20), -ESHUTDOWN);
    CHECK_OK(skua_runtime_destroy(rt));
}

struct future {
    SKUA_FRAME;
    SKUA_NO_ARGS;
    SKUA_RUNNING(fib) fib;
    SKUA_RUNNING(large) large;
    SKUA_RUNNING(add) add;
    SKUA_RUNNING(seven) seven;
    int64_t sum;
};
SKUA_ASYNC(future)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(SKUA_RUN_FUTURE(&self->fib, fib, 15));
    CHECK_OK(SKUA_RESULT(&self->fib));
    CHECK_EQ(SKUA_RUN_VALUE(&self->fib), 610);
    SKUA_AWAIT(SKUA_RUN_FUTURE(&self->large, large, (struct large){ { 1 } }, 3));
    CHECK_EQ(SKUA_RUN_VALUE(&self->large).value[0], 8 * 7);
    self->sum = 1;
    SKUA_AWAIT(SKUA_RUN_FUTURE(&self->add, add, &self->sum, 2));
    CHECK_EQ(self->sum, 3);
    SKUA_AWAIT(SKUA_RUN_FUTURE(&self->seven, seven));
    SKUA_END(SKUA_RUN_VALUE(&self->seven));
}
static int run_future(void *arg)
{
    (void)arg;
    struct future future;
    int64_t result;
    skua_task *task;
    CHECK_EQ(skua_await_future(SKUA_FUTURE(&future, future, 0)), 7);
    CHECK_OK(SKUA_SPAWN(&task, future, 0));
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 7);
    return 0;
}
TEST(from_a_future) { run_everywhere(run_future, NULL); }

/* ---- cancellation, task-locals ---- */

static int32_t load(int32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void add_to(int32_t *word) { __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL); }

struct canceled {
    int32_t begun, told;
    bool shields;
    skua_task *task;
};
/* Each of them ends when it is cancelled, and not before. */
SKUA_PARALLEL(int, until_canceled, struct canceled *, c, int, depth)
{
    if (depth == 0) {
        add_to(&c->begun);
        int rc;
        while ((rc = skua_sleep(10 * SKUA_US)) == 0)
            ;
        CHECK_EQ(rc, -ECANCELED);
        CHECK_EQ(skua_interrupted(), -ECANCELED);
        add_to(&c->told);
        return 1;
    }
    SKUA_FORK(a, until_canceled, c, depth - 1);
    int sum = SKUA_CALL(until_canceled, c, depth - 1);
    return SKUA_JOIN(until_canceled, a) + sum;
}
static int cancel_me(void *arg)
{
    CHECK_EQ(SKUA_RUN(until_canceled, arg, 4), 16);
    return 0;
}
static int run_cancel(void *arg)
{
    (void)arg;
    struct canceled c = { 0 };
    CHECK_OK(skua_spawn(&c.task, cancel_me, &c));
    while (load(&c.begun) < 16) /* all of them wait, so all of them are shared */
        CHECK_OK(skua_sleep(10 * SKUA_US));
    skua_cancel(c.task);
    CHECK_OK(skua_join(c.task, NULL));
    CHECK_EQ(c.told, 16);
    return 0;
}
TEST(cancellation_reaches_what_was_taken) { run_everywhere(run_cancel, NULL); }

struct run_canceled {
    SKUA_FRAME;
    struct {
        struct canceled *c;
    } in;
    SKUA_RUNNING(until_canceled) run;
};
SKUA_ASYNC(run_canceled)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(SKUA_RUN_FUTURE(&self->run, until_canceled, self->in.c, 3));
    CHECK_OK(SKUA_RESULT(&self->run));
    SKUA_END(SKUA_RUN_VALUE(&self->run));
}
static int run_cancel_future(void *arg)
{
    (void)arg;
    struct canceled c = { 0 };
    int64_t result;
    CHECK_OK(SKUA_SPAWN(&c.task, run_canceled, .c = &c));
    while (load(&c.begun) < 8)
        CHECK_OK(skua_sleep(10 * SKUA_US));
    skua_cancel(c.task);
    CHECK_OK(skua_join(c.task, &result));
    CHECK_EQ(result, 8);
    return 0;
}
TEST(cancellation_of_a_future_reaches_its_jobs) { run_everywhere(run_cancel_future, NULL); }

/* In a shield, with jobs that wait. */
SKUA_PARALLEL(int, shielded, int, depth)
{
    if (depth == 0) {
        CHECK_OK(skua_sleep(10 * SKUA_US));
        return 1;
    }
    SKUA_FORK(a, shielded, depth - 1);
    int sum = SKUA_CALL(shielded, depth - 1);
    return SKUA_JOIN(shielded, a) + sum;
}
SKUA_PARALLEL(int, shields, struct canceled *, c)
{
    add_to(&c->begun);
    while (skua_sleep(10 * SKUA_US) == 0)
        ;
    SKUA_SHIELD();
    return SKUA_CALL(shielded, 4);
}
static int shield_me(void *arg)
{
    CHECK_EQ(SKUA_RUN(shields, arg), 16);
    return 0;
}
static int run_shields(void *arg)
{
    (void)arg;
    struct canceled c = { 0 };
    CHECK_OK(skua_spawn(&c.task, shield_me, &c));
    while (load(&c.begun) == 0)
        CHECK_OK(skua_sleep(10 * SKUA_US));
    skua_cancel(c.task);
    CHECK_OK(skua_join(c.task, NULL));
    return 0;
}
TEST(a_shield_covers_what_is_forked_in_it) { run_everywhere(run_shields, NULL); }

/* Jobs that wait for longer than their forker has time, wherever they run. Beyond its deadline there is time again. */
SKUA_PARALLEL(int, has_time, int, depth, uint64_t, pause_ns, int, expected)
{
    if (depth == 0) {
        CHECK_EQ(skua_sleep(pause_ns), expected);
        return 1;
    }
    SKUA_FORK(a, has_time, depth - 1, pause_ns, expected);
    int sum = SKUA_CALL(has_time, depth - 1, pause_ns, expected);
    return SKUA_JOIN(has_time, a) + sum;
}
SKUA_PARALLEL(int, has_a_deadline, int, depth)
{
    SKUA_FORK(before, has_time, depth, 10 * SKUA_US, 0);
    int sum = SKUA_JOIN(has_time, before);
    {
        SKUA_DEADLINE(20 * SKUA_US);
        SKUA_DEADLINE(SKUA_S);
        sum += SKUA_CALL(has_time, depth, 100 * SKUA_S, -ETIMEDOUT);
        {
            SKUA_SHIELD();
            sum += SKUA_CALL(has_time, depth, 10 * SKUA_US, 0);
        }
    }
    return sum + SKUA_CALL(has_time, depth, 10 * SKUA_US, 0);
}
static int run_deadline(void *arg)
{
    (void)arg;
    CHECK_EQ(SKUA_RUN(has_a_deadline, 3), 32);
    return 0;
}
TEST(a_deadline_reaches_what_was_taken) { run_everywhere(run_deadline, NULL); }

/* Jobs that are forked where something is cancelled, and then, in the same run, where nothing is. */
SKUA_PARALLEL(int, within_token, skua_cancel_token *, token)
{
    int sum = 0;
    {
        SKUA_CANCEL_SCOPE(token);
        sum += SKUA_CALL(has_time, 3, 100 * SKUA_S, -ECANCELED);
    }
    return sum + SKUA_CALL(has_time, 3, 10 * SKUA_US, 0);
}
static int cancel_soon(void *token)
{
    CHECK_OK(skua_sleep(20 * SKUA_US));
    skua_cancel_token_cancel(token);
    return 0;
}
static int run_within_token(void *arg)
{
    (void)arg;
    skua_cancel_token token;
    skua_cancel_token_init(&token, NULL);
    skua_task *task;
    CHECK_OK(skua_spawn(&task, cancel_soon, &token));
    CHECK_EQ(SKUA_RUN(within_token, &token), 16);
    CHECK_OK(skua_join(task, NULL));
    skua_cancel_token_fini(&token);
    return 0;
}
TEST(a_token_reaches_what_was_taken_and_no_more) { run_everywhere(run_within_token, NULL); }

static skua_local key = SKUA_LOCAL_INIT(NULL);
SKUA_PARALLEL_VOID(reads, int, depth)
{
    CHECK_OK(skua_sleep(SKUA_US));
    CHECK(skua_local_get(&key) == &key);
    if (depth == 0)
        return;
    SKUA_FORK(a, reads, depth - 1);
    SKUA_CALL(reads, depth - 1);
    SKUA_JOIN(reads, a);
}
static int run_locals(void *arg)
{
    (void)arg;
    CHECK_OK(skua_local_set(&key, &key));
    SKUA_RUN(reads, 5);
    return 0;
}
TEST(jobs_read_their_forkers_locals) { run_everywhere(run_locals, NULL); }

/* ---- misuse ---- */

SKUA_PARALLEL_VOID(forgets)
{
    SKUA_FORK(a, seven);
    (void)a;
}
SKUA_PARALLEL_VOID(calls_what_forgets)
{
    SKUA_FORK(a, seven);
    SKUA_CALL(forgets);
    SKUA_JOIN(seven, a);
}
SKUA_PARALLEL_VOID(joins_out_of_order)
{
    SKUA_FORK(a, seven);
    SKUA_FORK(b, seven);
    SKUA_JOIN(seven, a);
    SKUA_JOIN(seven, b);
}
SKUA_PARALLEL_VOID(joins_twice)
{
    SKUA_FORK(a, seven);
    SKUA_FORK(b, seven);
    SKUA_JOIN(seven, b);
    SKUA_JOIN(seven, b);
    (void)a;
}
SKUA_PARALLEL_VOID(forks_too_much)
{
    static SKUA_FORKED(seven) all[20000];
    for (int i = 0; i < 20000; i++)
        SKUA_FORK_INTO(all[i], seven);
}
static int run_misuse(void *arg)
{
    switch (*(int *)arg) {
    case 0:
        SKUA_RUN(forgets);
        break;
    case 1:
        SKUA_RUN(calls_what_forgets);
        break;
    case 2:
        SKUA_RUN(joins_out_of_order);
        break;
    case 3:
        SKUA_RUN(joins_twice);
        break;
    default:
        SKUA_RUN(forks_too_much);
        break;
    }
    return 0;
}
static void misuse(void *arg) { run_on(1, run_misuse, arg); }
TEST(a_fork_that_is_not_joined)
{
    test_expect_abort(misuse, &(int){ 0 }, "misuse: a job has ended with jobs that were forked and not joined");
#if !defined(NDEBUG)
    test_expect_abort(misuse, &(int){ 1 }, "misuse: seven comes after a call that has left a job unjoined");
#endif
}
TEST(joins_in_the_wrong_order)
{
#if !defined(NDEBUG)
    test_expect_abort(misuse, &(int){ 2 }, "misuse: seven is joined out of order, or twice");
    test_expect_abort(misuse, &(int){ 3 }, "misuse: seven is joined out of order, or twice");
#endif
}
TEST(a_job_stack_that_is_full) { test_expect_abort(misuse, &(int){ 4 }, "more than 15,000 jobs of one fiber"); }

static void run_outside(void *arg)
{
    (void)arg;
    SKUA_RUN(seven);
}
struct runs_in_a_future {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(runs_in_a_future)
{
    SKUA_BEGIN(self);
    SKUA_END(SKUA_RUN(seven));
}
static int run_misplaced(void *arg)
{
    struct runs_in_a_future future;
    (void)arg;
    return (int)skua_await_future(SKUA_FUTURE(&future, runs_in_a_future, 0));
}
static void run_inside_a_future(void *arg) { run_on(1, run_misplaced, arg); }
TEST(runs_in_the_wrong_place)
{
    test_expect_abort(run_outside, NULL, "misuse: SKUA_RUN was called outside of a runtime: use SKUA_RUN_ON");
    test_expect_abort(run_inside_a_future, NULL, "a future's body");
}
