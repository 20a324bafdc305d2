/* sched/parallel.c and skua/parallel.h: forks and joins give what the calls would, wherever the jobs run. */
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
